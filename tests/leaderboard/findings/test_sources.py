"""F5 and F7 on stores where the truth is known."""

import pytest

from headwater.leaderboard.findings import Verdict
from tests.leaderboard.findings.world import answer, chain, targets, world

SOME, MANY, JOINT = (
    chain("some-sketches"),
    chain("many-sketches"),
    chain("some-sketches", "many-aerial"),
)
THREE = chain("some-sketches", "many-aerial", "web")
FEW = chain("few-sketches")


@pytest.mark.parametrize(
    ("joint", "largest", "verdicts"),
    [
        (0.1, 0.2, [Verdict.SUPPORTED, Verdict.SUPPORTED]),
        (0.3, 0.2, [Verdict.SUPPORTED, Verdict.CONTRADICTED]),
        (-0.1, 0.2, [Verdict.CONTRADICTED, Verdict.SUPPORTED]),
    ],
)
def test_f5_pairs_the_chain_of_most_tasks_with_the_largest_within_domain_source(
    tmp_path, joint, largest, verdicts
):
    gains = {THREE.name: joint, JOINT.name: 9.0, MANY.name: largest, SOME.name: -9.0}
    store = world(
        tmp_path / "s.duckdb",
        (SOME, MANY, JOINT, THREE),
        targets(4),
        lambda s, *_: gains.get(s, 0.0),
    )
    found = answer(store, "F5")
    assert [part.verdict for part in found.parts] == verdicts
    assert [part.value for part in found.parts] == pytest.approx([joint, joint - largest], abs=0.01)
    assert store.sql("SELECT DISTINCT multi, largest_within FROM f05_multi").rows == [
        (THREE.name, MANY.name)
    ]


def test_f5_without_a_multi_source_chain_or_a_within_domain_source_says_so(tmp_path):
    neither = answer(world(tmp_path / "a.duckdb", (SOME,), targets(4), lambda *_: 0.1), "F5")
    assert [part.missing for part in neither.parts] == [
        "no multi-source cells: chains.joint = true, or chain[base=…,on=TASK+TASK]"
    ] * 2
    alone = answer(world(tmp_path / "b.duckdb", (JOINT,), targets(4), lambda *_: 0.1), "F5")
    assert [part.verdict for part in alone.parts] == [Verdict.SUPPORTED, Verdict.NOT_ENOUGH]
    assert alone.parts[1].missing.startswith("no within-domain source")
    assert alone.verdict is Verdict.NOT_ENOUGH


@pytest.mark.parametrize(
    ("advantage", "verdict"), [(0.1, Verdict.SUPPORTED), (-0.1, Verdict.CONTRADICTED)]
)
def test_f7_is_the_difference_of_gains_of_larger_and_smaller_sources(tmp_path, advantage, verdict):
    gains = {MANY.name: 0.1 + advantage, FEW.name: 0.1}
    found = answer(
        world(tmp_path / "s.duckdb", (MANY, FEW), targets(4), lambda s, *_: gains.get(s, 0.0)), "F7"
    )
    assert (found.verdict, found.parts[0].targets, found.parts[0].cells) == (verdict, 4, 8)
    assert [part.value for part in found.parts] == pytest.approx(
        [advantage, 0.1 + advantage, 0.1], abs=0.01
    )


def test_f7_without_smaller_sources_says_so(tmp_path):
    found = answer(world(tmp_path / "s.duckdb", (SOME, MANY), targets(4), lambda *_: 0.1), "F7")
    assert found.verdict is Verdict.NOT_ENOUGH
    assert found.parts[0].missing.startswith("no smaller-to-larger cells: add ")


def test_equal_gains_cannot_be_told_and_the_remedy_is_named(tmp_path):
    found = answer(
        world(tmp_path / "s.duckdb", (MANY, FEW), targets(5), lambda *_: 0.1, noise=0.05), "F7"
    )
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.parts[0].missing
    assert found.parts[0].low < 0 < found.parts[0].high


def test_unlike_metrics_are_compared_as_normalised_gains(tmp_path):
    """An error of 0.3 that falls by 0.03 against an accuracy of 0.3 that rises by 0.06: never their plain mean of 0.045."""
    cards = targets(2)
    metrics = {cards[0].name: ("rmse", -1)}
    store = world(
        tmp_path / "s.duckdb",
        (MANY, FEW),
        cards,
        lambda s, *_: 0.06 if s == MANY.name else 0.0,
        metrics=metrics,
        noise=0,
    )
    part = answer(store, "F7").parts[0]
    expected = store.sql(
        "SELECT avg(difference_norm), avg(difference_abs) FROM f07_direction"
    ).rows[0]
    assert part.meaning == "larger − smaller sources (normalised)"
    assert part.value == pytest.approx(expected[0])
    assert part.value != pytest.approx(expected[1])
