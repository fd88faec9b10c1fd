"""Intervals of means against scipy's t, and against boards of which the answer is plain."""

import numpy as np
import pytest
from scipy import stats

from headwater.leaderboard.statistics.board import Board, Scope
from headwater.leaderboard.statistics.intervals import differences_to_mean, mean_intervals
from perf.rates import World


def test_families_are_the_sample_of_targets_like_these():
    board = World(3, 5, 2, worth=0.05).draw(np.random.default_rng(0)).board
    bounds = mean_intervals(board, Scope.LIKE_THESE).bounds()
    for row, values in zip(bounds, board.family_means, strict=True):
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert tuple(row) == pytest.approx(tuple(expected))


def test_two_families_say_nothing_of_others():
    board = World(3, 2, 4).draw(np.random.default_rng(0)).board
    assert np.isnan(mean_intervals(board, Scope.LIKE_THESE).bounds()).all()
    assert not np.isnan(mean_intervals(board, Scope.THESE).bounds()).any()


def test_seeds_of_one_source_on_one_target_are_a_sample():
    board = World(1, 1, seeds=5).draw(np.random.default_rng(0)).board
    bounds = mean_intervals(board, Scope.THESE).bounds()[0]
    expected = stats.ttest_1samp(board.values[0, 0], 0).confidence_interval(0.95)
    assert tuple(bounds) == pytest.approx(tuple(expected))


def test_one_seed_has_no_interval_on_these_targets():
    board = World(3, 5, seeds=1).draw(np.random.default_rng(0)).board
    assert np.isnan(mean_intervals(board, Scope.THESE).bounds()).all()


def test_a_seed_that_lifts_all_sources_alike_leaves_few_degrees():
    random = np.random.default_rng(0)
    values = random.normal(size=(1, 3, 2)) + 1e-4 * random.normal(size=(40, 3, 2))
    degrees = mean_intervals(Board(values, np.arange(3)), Scope.THESE).degrees
    assert degrees == pytest.approx(3, rel=0.01)


def test_test_images_widen_as_the_mean_over_targets_does():
    board = World(3, 4, seeds=3).draw(np.random.default_rng(0)).board
    variance = np.full(board.values.shape, 0.02**2)
    without = mean_intervals(board, Scope.THESE)
    with_images = mean_intervals(Board(board.values, board.families, variance), Scope.THESE)
    added = with_images.errors**2 - without.errors**2
    assert added == pytest.approx(0.02**2 / 4)
    assert (with_images.degrees > without.degrees).all()


def test_differences_to_the_mean_source_are_narrower_than_the_means():
    board = World(12, 9, worth=0.03).draw(np.random.default_rng(0)).board
    to_mean = differences_to_mean(board)
    assert to_mean.scope is Scope.LIKE_THESE
    assert to_mean.means == pytest.approx(board.means - board.means.mean())
    assert (to_mean.errors < mean_intervals(board, Scope.LIKE_THESE).errors).all()


def test_two_sources_differ_from_their_mean_by_half_the_difference():
    board = World(2, 6, seeds=1).draw(np.random.default_rng(0)).board
    expected = stats.ttest_rel(*board.family_means).confidence_interval(0.95)
    bounds = differences_to_mean(board).bounds()[0]
    assert tuple(2 * bounds) == pytest.approx(tuple(expected))


def test_equal_values_have_no_interval_to_the_mean_source():
    board = Board(np.full((3, 4, 2), 0.3), np.arange(4))
    assert np.isnan(differences_to_mean(board).bounds()).all()
