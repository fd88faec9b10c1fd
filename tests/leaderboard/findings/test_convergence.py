"""F9 on stores where the truth is known."""

import pytest

from headwater.leaderboard.findings import Verdict
from tests.leaderboard.findings.world import BASE, SCRATCH, answer, targets, world

SLOW = [0.1, 0.2, 0.3, 0.39, 0.4]
FAST = [0.4, 0.5, 0.6, 0.6, 0.6]
NEVER = [0.1, 0.2, 0.3, 0.3, 0.3]


def learning(scratch, pretrained):
    return lambda source, task, seed: {SCRATCH: scratch, BASE: pretrained}[source]


def test_f9_supported_where_the_pretrained_network_is_there_sooner(tmp_path):
    store = world(
        tmp_path / "s.duckdb", (), targets(3), lambda *_: 0.1, curves=learning(SLOW, FAST)
    )
    found = answer(store, "F9")
    assert (found.verdict, found.parts[0].targets, found.parts[0].cells) == (
        Verdict.SUPPORTED,
        3,
        6,
    )
    epochs, own, seconds, pretrained, scratch, reached = (part.value for part in found.parts)
    assert (epochs, own, seconds, pretrained, scratch, reached) == (4, 4 - 3, 8, 1, 5, 1)


def test_f9_contradicted_where_scratch_is_there_sooner(tmp_path):
    found = answer(
        world(
            tmp_path / "s.duckdb",
            (),
            targets(3),
            lambda *_: 0.1,
            curves=learning(FAST, [0.1, 0.2, 0.3, 0.4, 0.6]),
        ),
        "F9",
    )
    assert (found.verdict, found.parts[0].value) == (Verdict.CONTRADICTED, 3 - 5)


def test_f9_one_that_never_gets_there_counts_as_an_epoch_more_than_it_ran(tmp_path):
    found = answer(
        world(tmp_path / "s.duckdb", (), targets(3), lambda *_: 0.1, curves=learning(SLOW, NEVER)),
        "F9",
    )
    epochs, _, seconds, _, _, reached = found.parts
    assert (epochs.value, seconds.value, reached.value) == (5 - 6, 10 - 12, 0)
    assert found.verdict is Verdict.CONTRADICTED


def test_f9_turns_metrics_that_should_be_low(tmp_path):
    cards = targets(3)
    losses = learning([0.9, 0.5, 0.4], [0.4, 0.3, 0.2])
    metrics = {card.name: ("rmse", -1) for card in cards}
    found = answer(
        world(tmp_path / "s.duckdb", (), cards, lambda *_: 0.1, curves=losses, metrics=metrics),
        "F9",
    )
    assert (found.parts[0].value, found.parts[3].value, found.parts[4].value) == (2, 1, 3)


def test_f9_without_curves_says_what_to_run(tmp_path):
    found = answer(world(tmp_path / "s.duckdb", (), targets(3), lambda *_: 0.1), "F9")
    assert found.verdict is Verdict.NOT_ENOUGH
    assert found.parts[0].missing.startswith("no learning curves")


def test_f9_that_varies_from_target_to_target_cannot_be_told(tmp_path):
    both = [learning(SLOW, FAST), learning(FAST, SLOW)]
    store = world(
        tmp_path / "s.duckdb",
        (),
        targets(4),
        lambda *_: 0.1,
        curves=lambda s, t, seed: both[int(t[-1]) % 2](s, t, seed),
    )
    part = answer(store, "F9").parts[0]
    assert part.verdict is Verdict.CANNOT_TELL
    assert part.by_target["t/sketches-0"] == pytest.approx(4)
