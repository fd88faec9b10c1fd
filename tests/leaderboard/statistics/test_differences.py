"""Differences of all pairs against plain loops, scipy, and boards of which the answer is known."""

import numpy as np
import pytest
from scipy import stats

from headwater.leaderboard.statistics.board import Board, Scope
from headwater.leaderboard.statistics.differences import differences
from perf.rates import World


def _pairs(count):
    return [(a, b) for a in range(count) for b in range(a + 1, count)]


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_sums_over_pairs_equal_plain_loops(missing):
    board = World(7, 5, 2, 2, worth=0.03, missing=missing).draw(np.random.default_rng(0)).board
    found = differences(board)
    means = board.family_means
    for a, b in _pairs(7):
        both = means[a] - means[b]
        both = both[~np.isnan(both)]
        assert found.values[a, b] == pytest.approx(both.mean())
        assert found.values[b, a] == pytest.approx(-both.mean())
    assert (found.degrees[np.triu_indices(7, 1)] <= board.family_degrees).all()


def test_two_sources_have_the_paired_t_test():
    board = World(2, 6, seeds=1).draw(np.random.default_rng(0)).board
    expected = stats.ttest_rel(*board.family_means)
    found = differences(board)
    assert found.p_values[0, 1] == pytest.approx(expected.pvalue)
    assert found.interval(0, 1) == pytest.approx(expected.confidence_interval(0.95))


def test_seeds_of_two_sources_on_one_target_have_the_paired_t_test():
    board = World(2, 1, seeds=5).draw(np.random.default_rng(0)).board
    found = differences(board)
    assert found.scope is Scope.THESE
    assert found.p_values[0, 1] == pytest.approx(stats.ttest_rel(*board.values[:, 0]).pvalue)


def test_equal_noise_gives_the_pooled_test_of_the_two_way_table():
    board = World(6, 200, seeds=1).draw(np.random.default_rng(1)).board
    means = board.family_means
    left = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
    mean_square = np.sum(left**2) / (5 * 199)
    found = differences(board)
    assert found.errors[0, 1] == pytest.approx(np.sqrt(2 * mean_square / 200), rel=0.05)


def test_p_values_are_adjusted_as_scipy_adjusts_them():
    board = World(9, 6, worth=0.05).draw(np.random.default_rng(0)).board
    found = differences(board)
    pairs = np.triu_indices(9, 1)
    expected = stats.false_discovery_control(found.p_values[pairs])
    assert found.adjusted_p_values[pairs] == pytest.approx(expected)
    told = found.better | found.better.T
    assert told[pairs].tolist() == (expected <= 0.05).tolist()


def test_sources_far_apart_are_told_apart_and_ranked():
    worth = np.array([0.0, 3.0, 3.0, 1.0])
    board = World(4, 9, luck=0.05).measure(worth, np.random.default_rng(0)).board
    found = differences(board)
    assert found.ranks.tolist() == [[4, 4], [1, 2], [1, 2], [3, 3]]
    assert found.tie_groups == [(0, 1), (2, 2), (3, 3)]
    assert set(found.order[:2]) == {1, 2}


def test_tie_groups_are_the_longest_runs_without_a_pair_told_apart():
    board = World(12, 9, worth=0.06).draw(np.random.default_rng(4)).board
    found = differences(board)
    told = (found.better | found.better.T)[np.ix_(found.order, found.order)]
    runs = [
        (first, last)
        for first in range(12)
        for last in range(first, 12)
        if not told[first : last + 1, first : last + 1].any()
    ]
    longest = [
        (first, last)
        for first, last in runs
        if not any((a, b) != (first, last) and a <= first and b >= last for a, b in runs)
    ]
    assert found.tie_groups == longest


def test_what_never_varies_is_not_told_apart():
    constant = np.broadcast_to(np.array([0.1, 0.2, 0.3])[:, None, None], (3, 4, 2))
    found = differences(Board(constant.copy(), np.arange(4)))
    assert np.isnan(found.adjusted_p_values).all()
    assert not found.better.any()
    assert found.tie_groups == [(0, 2)]
    equal = differences(Board(np.full((3, 4, 2), 0.3), np.arange(4)))
    assert not equal.better.any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 2), (2, 1, 1), (5, 1, 1), (3, 2, 1)])
def test_boards_too_small_to_tell_claim_nothing(shape):
    sources, families, seeds = shape
    board = World(sources, families, seeds=seeds).draw(np.random.default_rng(0)).board
    found = differences(board)
    assert not found.better.any()
    assert found.ranks.tolist() == [[1, sources]] * sources


def test_sources_without_a_shared_target_are_not_compared():
    board = World(5, 6, worth=1.0).draw(np.random.default_rng(0)).board
    board.values[3] = np.nan
    found = differences(board)
    assert np.isnan(found.values[3, :3]).all()
    assert found.ranks[3].tolist() == [1, 5]
    assert found.order[-1] == 3
