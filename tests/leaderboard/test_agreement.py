"""Each statistic against scipy, or against its definition by enumeration, on copies written out instead of weights."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from headwater.leaderboard.statistics.agreement import (
    STATISTICS,
    kendall_tau_b,
    pearson,
    recall,
    regret,
    rel,
    spearman,
    weighted_tau,
)


def pools(count=120):
    """Scores, truths and weights: smooth and with ties, some sources held twice, some not at all."""
    draw = np.random.default_rng(3)
    for turn in range(count):
        size = int(draw.integers(3, 7))
        scores = draw.integers(0, 4, size).astype(float) if turn % 2 else draw.normal(size=size)
        truth = draw.integers(1, 5, size).astype(float) if turn % 3 else draw.normal(size=size)
        weights = draw.multinomial(size, np.ones(size) / size, size=4)
        weights[0] = 1
        yield scores, truth, weights


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pearson, stats.pearsonr),
        (spearman, stats.spearmanr),
        (kendall_tau_b, stats.kendalltau),
        (weighted_tau, stats.weightedtau),
    ],
    ids=["pearson", "spearman", "kendall", "weighted"],
)
def test_correlations_are_scipys_of_the_copies_written_out(ours, theirs):
    compared = 0
    for scores, truth, weights in pools():
        for found, held in zip(ours(scores, truth, weights), weights, strict=True):
            one, other = np.repeat(scores, held), np.repeat(truth, held)
            if len(set(other)) == 1:
                assert np.isnan(found)
            elif len(set(one)) == 1:
                assert found == 0
            else:
                compared += 1
                assert found == pytest.approx(theirs(one, other)[0], abs=1e-10)
    assert compared > 300


def tops(values, held, k):
    """Every top k that some order of the ties gives, each as likely as it comes up."""
    return [set(sorted(order, key=lambda at: -values[at])[:k]) for order in permutations(held)]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_regret_rel_and_recall_are_expectations_over_every_order_of_the_ties(k):
    for scores, truth, weights in pools(60):
        found = zip(
            regret(scores, truth, weights, k),
            rel(scores, truth, weights, k),
            recall(scores, truth, weights, k),
            strict=True,
        )
        for (lost, kept, hit), counts in zip(found, weights, strict=True):
            held = np.flatnonzero(counts)
            best, chosen = truth[held].max(), tops(scores, held, k)
            want = np.mean([(best - max(truth[list(top)])) / abs(best) for top in chosen])
            assert (lost, kept) == (pytest.approx(want), pytest.approx(1 - want))
            if best > 0:
                assert kept == pytest.approx(
                    np.mean([max(truth[list(top)]) / best for top in chosen])
                )
            if len(held) < 5:
                pairs = [
                    len(one & other) / min(k, len(held))
                    for one in chosen
                    for other in tops(truth, held, k)
                ]
                assert hit == pytest.approx(np.mean(pairs))


def test_scores_that_are_all_equal_are_a_uniform_choice():
    truth, ones = np.array([0.9, 0.6, 0.3]), np.ones((1, 3))
    found = {
        name: float(statistic(np.zeros(3), truth, ones)[0])
        for name, statistic in STATISTICS.items()
    }
    assert found["regret1"] == pytest.approx((0 + 1 / 3 + 2 / 3) / 3)
    assert (
        found["kendall"],
        found["pearson"],
        found["weighted_tau"],
        found["regret3"],
        found["recall3"],
    ) == (0, 0, 0, 0, 1)


def test_a_best_of_zero_has_no_relative_regret_and_negative_metrics_do():
    assert np.isnan(regret(np.array([1.0, 2.0]), np.array([0.0, -1.0]), np.ones((1, 2)))[0])
    assert regret(np.array([1.0, 2.0]), np.array([-0.5, -0.6]), np.ones((1, 2)))[
        0
    ] == pytest.approx(0.2)


def test_constant_truths_that_only_rounding_tells_apart_are_constant():
    truth = np.full(7, 0.1) * 3
    assert np.isnan(pearson(np.arange(7.0), truth, np.full((1, 7), 3.0))[0])
