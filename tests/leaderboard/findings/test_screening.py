"""F8 on stores where the truth is known."""

from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, ttest_1samp

from headwater.leaderboard.findings import Verdict
from headwater.leaderboard.findings.catalogue import gather
from headwater.leaderboard.findings.screening import complete_settings, screening_parts
from headwater.leaderboard.gains.gain_rows import Filter
from headwater.leaderboard.statistics.correlation import kendall
from tests.leaderboard.findings.world import BASE, answer, chain, targets, world

CHAINS = tuple(
    chain(name)
    for name in ("few-sketches", "some-sketches", "many-sketches", "some-aerial", "many-aerial")
)
SIZES = {"50": 50, "100": 100, "full": 1000}


def effect(small: float, full: float, *, reversed_order: bool = False):
    """Chains gain one to five times ``small`` or ``full``, in the other order at full size where asked."""

    def gain(source: str, task: str, images: int, seed: int) -> float:
        if source == BASE:
            return small if images <= 150 else full
        place = 1 + [card.name for card in CHAINS].index(source)
        return small * place if images <= 150 else full * (6 - place if reversed_order else place)

    return gain


def test_f8_supported_where_small_targets_gain_more_and_the_order_is_kept(tmp_path):
    store = world(tmp_path / "s.duckdb", CHAINS, targets(5), effect(0.1, 0.05), sizes=SIZES)
    found = answer(store, "F8")
    difference, order, gained, regret = found.parts
    assert found.verdict is gained.verdict is Verdict.SUPPORTED
    assert difference.value == pytest.approx(0.05 * (1 + 2 + 3 + 4 + 5 + 1) / 6, abs=0.01)
    assert (order.value, order.low, order.high) == pytest.approx((1, 1, 1), abs=1e-9)
    assert gained.value == pytest.approx(0.05 * (5 - (15 + 0) / 6), abs=0.01)
    assert (regret.value, regret.verdict) == (pytest.approx(0, abs=1e-9), None)
    assert store.sql("SELECT DISTINCT small_images, full_images FROM f08_small").rows == [
        (50, 1000)
    ]


def test_f8_contradicted_where_full_targets_gain_more_and_the_order_is_reversed(tmp_path):
    found = answer(
        world(
            tmp_path / "s.duckdb",
            CHAINS,
            targets(5),
            effect(0.05, 0.1, reversed_order=True),
            sizes=SIZES,
        ),
        "F8",
    )
    difference, order, gained, regret = found.parts
    assert {part.verdict for part in (difference, order, gained)} == {Verdict.CONTRADICTED}
    assert regret.value == pytest.approx(0.1 * 4, abs=0.02)
    assert regret.low >= 0


def test_f8_order_and_its_interval_are_those_of_loops_over_targets_and_seeds(tmp_path):
    noisy = np.random.default_rng(5)
    store = world(
        tmp_path / "s.duckdb",
        CHAINS,
        targets(6),
        lambda *_: noisy.normal(0, 0.1),
        sizes={"50": 50, "full": 999},
        seeds=3,
    )
    rows = store.sql(
        "SELECT task, seed, source, small_score, full_score FROM f08_small ORDER BY ALL"
    ).rows
    values = {(task, seed, source): (small, full) for task, seed, source, small, full in rows}
    tasks, sources = sorted({key[0] for key in values}), sorted({key[2] for key in values})

    def tau(task: str, seeds: list[int]) -> float:
        means = [
            np.mean([values[task, seed, source] for seed in seeds], axis=0) for source in sources
        ]
        return kendalltau(*zip(*means, strict=True)).statistic

    centre = np.mean([tau(task, [0, 1, 2]) for task in tasks])
    part = answer(store, "F8").parts[1]
    assert part.value == pytest.approx(centre)
    expected = ttest_1samp([tau(task, [0, 1, 2]) for task in tasks], 0).confidence_interval()
    assert (part.low, part.high) == pytest.approx(tuple(expected))


def test_taus_of_many_orders_at_once_are_scipys_ties_included():
    draw = np.random.default_rng(0)
    one, other = draw.integers(0, 4, (20, 7)), draw.integers(0, 5, (20, 7))
    assert kendall(one, other) == pytest.approx(
        [kendalltau(*pair).statistic for pair in zip(one, other, strict=True)]
    )
    assert np.isnan(kendall(np.ones((1, 4)), np.arange(4.0)[None]))


def test_regret_averages_sources_that_tie_on_validation(tmp_path):
    store = world(
        tmp_path / "s.duckdb", CHAINS, targets(1), effect(0.1, 0.05), sizes=SIZES, noise=0
    )
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("UPDATE metrics SET value = 0.5 WHERE split = 'validation'")
    (setting,) = complete_settings(gather(store, {"f08_small"}, Filter()).rows("f08_small"))
    assert (
        setting.regret[0] == pytest.approx(setting.regret[1]) == pytest.approx(0.25 - 0.05 * 15 / 6)
    )


def test_f8_with_one_size_says_what_it_needs_and_ignores_a_filter_on_size(tmp_path):
    alone = answer(world(tmp_path / "a.duckdb", CHAINS, targets(4), lambda *_: 0.1), "F8")
    assert alone.verdict is Verdict.NOT_ENOUGH
    for part in alone.parts:
        assert not part.verdict or 'sizes = [50, "full"]' in part.missing
    both = world(tmp_path / "b.duckdb", CHAINS, targets(4), effect(0.1, 0.05), sizes=SIZES)
    assert answer(both, "F8", size="50") == answer(both, "F8")


def test_f8_with_two_sources_has_no_order(tmp_path):
    found = answer(
        world(tmp_path / "s.duckdb", CHAINS[:1], targets(4), effect(0.1, 0.05), sizes=SIZES), "F8"
    )
    assert (found.parts[0].verdict, found.parts[1].verdict) == (
        Verdict.SUPPORTED,
        Verdict.NOT_ENOUGH,
    )
    assert found.parts[1].missing.startswith("needs 3 sources")


def test_a_target_without_a_scale_has_no_regret_beside_one_of_another_metric():
    value = np.linspace(0, 1, 4)
    columns = {
        "task": "t",
        "adaptation": "fine_tune",
        "seed": 0,
        "protocol": "",
        "unit": "",
        "source": list("abcd"),
    }
    zero = pd.DataFrame(
        {
            **columns,
            "metric": "f1",
            "small_score": value,
            "full_score": 0.0,
            "full_norm_value": np.nan,
            "small_validation": value,
        }
    )
    told = pd.DataFrame(
        {
            **columns,
            "task": "u",
            "metric": "accuracy",
            "small_score": value,
            "full_score": value,
            "full_norm_value": value,
            "small_validation": value,
        }
    )
    rows = pd.concat([zero, told])
    parts = screening_parts(rows, complete_settings(rows), "")
    assert [list(part.by_target) for part in parts[1:]] == [["u"], ["u"]]


def test_f8_counts_targets_of_one_family_once(tmp_path):
    """Three of six targets are one data set's, so that each part rests on four families."""
    alike = [replace(card, family="pacs") for card in targets(3)]
    others = targets(6)[3:]
    cards = [*alike, *others]
    found = answer(
        world(tmp_path / "s.duckdb", CHAINS, cards, effect(0.1, 0.05), sizes=SIZES), "F8"
    )
    assert [(part.targets, part.families) for part in found.parts] == [(6, 4)] * 4
