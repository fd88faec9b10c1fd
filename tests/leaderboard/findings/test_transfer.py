"""F1 and F2 on stores where the truth is known."""

import duckdb
import pytest
from scipy.stats import beta

from headwater.leaderboard.findings import Verdict
from tests.leaderboard.findings.world import BASE, answer, chain, targets, world

CHAINS = (chain("some-sketches"), chain("some-aerial"))


def over_scratch(chosen: float, middling: float):
    """The base gains ``middling``; the first chain brings the rest to ``chosen``, the second nothing."""
    return lambda source, task, images, seed: {
        BASE: middling,
        CHAINS[0].name: chosen - middling,
    }.get(source, 0.0)


@pytest.mark.parametrize(
    ("chosen", "middling", "verdict", "shares"),
    [
        (0.2, 0.1, Verdict.SUPPORTED, [1, 1, 1]),
        (0.2, -0.1, Verdict.SUPPORTED, [1, 0, 1]),
        (-0.1, -0.2, Verdict.CONTRADICTED, [0, 0, 0]),
    ],
)
def test_f1_counts_the_targets_where_the_chosen_source_beats_scratch(
    tmp_path, chosen, middling, verdict, shares
):
    found = answer(
        world(tmp_path / "s.duckdb", CHAINS, targets(7), over_scratch(chosen, middling)), "F1"
    )
    assert found.verdict is verdict
    assert [part.value for part in found.parts] == shares
    assert (found.parts[0].targets, found.parts[0].cells) == (7, 42)


def test_f1_interval_is_the_one_of_beta_quantiles(tmp_path):
    """5 of 7 targets gain; Clopper and Pearson's bounds are quantiles of beta distributions."""
    store = world(
        tmp_path / "s.duckdb",
        (),
        targets(7),
        lambda source, task, *_: -0.1 if task[-1] in "36" else 0.1,
    )
    part = answer(store, "F1").parts[0]
    assert (part.value, part.verdict) == (5 / 7, Verdict.CANNOT_TELL)
    assert (part.low, part.high) == pytest.approx((beta.ppf(0.025, 5, 3), beta.ppf(0.975, 6, 2)))
    assert part.by_target["t/sketches-3"] == pytest.approx(-0.1, abs=0.01)


def test_f1_of_five_sources_no_better_than_scratch_is_not_supported_by_choosing_the_luckiest(
    tmp_path,
):
    """Noise alone: the best on test beats scratch nearly everywhere, the best on validation about every other time."""
    names = ("few-sketches", "some-sketches", "many-sketches", "some-aerial")
    noise = __import__("numpy").random.default_rng(3)
    store = world(
        tmp_path / "s.duckdb",
        [chain(name) for name in names],
        targets(12),
        lambda *_: noise.normal(0, 0.05),
        seeds=1,
    )
    with duckdb.connect(str(store.path)) as connection:  # validation that knows nothing of test
        connection.execute("UPDATE metrics SET value = hash(job) / 1e20 WHERE split = 'validation'")
    chosen, _, lucky = answer(store, "F1").parts
    assert lucky.value is not None and lucky.value > 0.8
    assert chosen.verdict is Verdict.CANNOT_TELL


def test_f1_averages_sources_that_tie_on_validation(tmp_path):
    store = world(tmp_path / "s.duckdb", CHAINS, targets(2), over_scratch(0.2, -0.2), noise=0)
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("UPDATE metrics SET value = 0.5 WHERE split = 'validation'")
    part = answer(store, "F1").parts[0]
    assert part.by_target["t/sketches-0"] == pytest.approx((0.2 - 0.2 - 0.2) / 3)


@pytest.mark.parametrize(
    ("gain", "verdict", "share"), [(0.05, Verdict.SUPPORTED, 1), (-0.05, Verdict.CONTRADICTED, 0)]
)
def test_f2_is_over_the_base(tmp_path, gain, verdict, share):
    found = answer(
        world(tmp_path / "s.duckdb", CHAINS, targets(6), lambda s, *_: 0.2 if s == BASE else gain),
        "F2",
    )
    assert (found.verdict, found.parts[0].value, found.parts[2].published) == (verdict, share, 0.85)


def test_f2_does_not_count_chains_on_random_weights(tmp_path):
    chains = (chain("some-sketches", base="scratch/net"),)
    found = answer(world(tmp_path / "s.duckdb", chains, targets(6), lambda *_: 0.1), "F2")
    assert found.verdict is Verdict.NOT_ENOUGH
    assert found.parts[0].missing.startswith("no chains over ")
    assert "add chain[" in found.parts[0].missing


def test_f2_of_one_seed_asks_for_a_second(tmp_path):
    found = answer(world(tmp_path / "s.duckdb", CHAINS, targets(6), lambda *_: 0.1, seeds=1), "F2")
    assert found.verdict is Verdict.NOT_ENOUGH
    assert "seeds = [0, 1]" in found.parts[0].missing


@pytest.mark.parametrize(("count", "more"), [(1, "2 more targets"), (2, "1 more target")])
def test_fewer_than_three_families_are_not_enough(tmp_path, count, more):
    part = answer(world(tmp_path / "s.duckdb", CHAINS, targets(count), lambda *_: 0.1), "F1").parts
    assert part[0].verdict is Verdict.NOT_ENOUGH
    assert part[0].missing == f"needs {more}"


def test_three_families_cannot_tell_a_share(tmp_path):
    part = answer(world(tmp_path / "s.duckdb", CHAINS, targets(3), lambda *_: 0.1), "F1").parts[0]
    assert part.verdict is Verdict.CANNOT_TELL
    assert part.smallest_effect is None
    assert part.missing.startswith("about 3 more targets")
