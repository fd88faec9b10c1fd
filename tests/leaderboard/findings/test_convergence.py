"""F9 on stores where the truth is known."""

import numpy as np
import pandas as pd
import pytest

from headwater.leaderboard.findings import Verdict
from headwater.leaderboard.findings._base import FindingRows
from headwater.leaderboard.findings.catalogue import FINDINGS
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
    own, epochs, seconds, pretrained, scratch, reached = (part.value for part in found.parts)
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


def test_f9_to_scratchs_best_only_informs():
    assert not [part.decides for part in FINDINGS["F9"].examine(alike(12))][1]


@pytest.mark.slow
@pytest.mark.parametrize("families", [4, 12])
def test_f9_of_networks_that_learn_alike_is_seldom_told(families):
    """The audit's world: both curves are drawn alike, and scratch's best is one that scratch reached by luck."""
    verdicts = [FINDINGS["F9"].examine(alike(families, seed))[0].verdict for seed in range(200)]
    assert verdicts.count(Verdict.SUPPORTED) / 200 <= 0.07
    assert verdicts.count(Verdict.CONTRADICTED) / 200 <= 0.07


def alike(families: int, seed: int = 0) -> FindingRows:
    """Rows of the view for networks whose curves are drawn alike, two seeds a target."""
    draw = np.random.default_rng(seed)
    rising = 1 - np.exp(-np.arange(1, 16) / 4)
    curves = rising + draw.normal(0, 0.03, (2 * families, 2, 15))
    best = curves.max(axis=-1, keepdims=True)
    own = (curves >= 0.95 * best).argmax(axis=-1) + 1
    there = curves >= best[:, 1:]
    reached = there.any(axis=-1)
    epochs = np.where(reached, there.argmax(axis=-1) + 1, 16)
    columns = {
        "task": np.repeat([f"t{number}" for number in range(families)], 2),
        "seed": np.tile([0, 1], families),
        "reached": reached[:, 0],
        "epochs": epochs[:, 0],
        "scratch_epochs": epochs[:, 1],
        "difference_epochs": epochs[:, 1] - epochs[:, 0],
        "difference_seconds": 2.0 * (epochs[:, 1] - epochs[:, 0]),
        "difference_own_epochs": own[:, 1] - own[:, 0],
    }
    return FindingRows({"f09_convergence": pd.DataFrame(columns).assign(metric="accuracy")})


def test_f9_one_that_never_gets_there_counts_as_an_epoch_more_than_it_ran(tmp_path):
    found = answer(
        world(tmp_path / "s.duckdb", (), targets(3), lambda *_: 0.1, curves=learning(SLOW, NEVER)),
        "F9",
    )
    own, epochs, seconds, _, _, reached = found.parts
    assert (epochs.value, seconds.value, reached.value) == (5 - 6, 10 - 12, 0)
    assert epochs.verdict is Verdict.CONTRADICTED
    assert (own.value, found.verdict) == (4 - 3, Verdict.SUPPORTED)


def test_f9_turns_metrics_that_should_be_low(tmp_path):
    cards = targets(3)
    losses = learning([0.9, 0.5, 0.4], [0.4, 0.3, 0.2])
    metrics = {card.name: ("rmse", -1) for card in cards}
    found = answer(
        world(tmp_path / "s.duckdb", (), cards, lambda *_: 0.1, curves=losses, metrics=metrics),
        "F9",
    )
    assert [part.value for part in found.parts[:2]] == [0, 2]
    assert (found.parts[3].value, found.parts[4].value) == (1, 3)


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
    assert part.by_target["t/sketches-0"] == pytest.approx(1)
