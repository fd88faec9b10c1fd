"""The bootstrap against known answers, enumeration and simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from headwater.leaderboard.statistics.bootstrap import Comparison, cell_weights, widening


def comparison(gains, tasks=None, seeds=None, **more) -> Comparison:
    """Gains (S, T, K) or (S, K), laid out as cells."""
    gains = np.asarray(gains, float)
    if gains.ndim == 2:
        gains = gains[:, None, :]
    sources, t, k = gains.shape
    return Comparison(
        gains.reshape(sources, t * k), np.repeat(np.arange(t), k), np.tile(np.arange(k), t), **more
    )


def test_draws_match_the_enumeration_of_two_tasks():
    weights = cell_weights(np.array([0, 1]), np.array([0, 0]), 20_000)
    kinds, counts = np.unique(weights, axis=0, return_counts=True)
    assert kinds.tolist() == [[0, 2], [1, 1], [2, 0]]
    assert counts / 20_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.015)


def test_draws_match_the_enumeration_of_two_tasks_with_unequal_seeds():
    """Task 0 has seeds 0 and 1, task 1 has seed 0 only: every path of the hierarchy, with its probability."""
    expected: dict[tuple[int, ...], float] = {}
    for first, second in itertools.product((0, 1), repeat=2):
        places = [
            list(itertools.product((0, 1), repeat=2)) if task == 0 else [(2,)]
            for task in (first, second)
        ]
        for path in itertools.product(*places):
            held = tuple(np.bincount(np.concatenate(path), minlength=3))
            expected[held] = expected.get(held, 0) + 0.25 / np.prod(
                [len(place) for place in places]
            )
    weights = cell_weights(np.array([0, 0, 1]), np.array([0, 1, 0]), 40_000).astype(int)
    kinds, counts = np.unique(weights, axis=0, return_counts=True)
    assert {
        tuple(kind): count / 40_000 for kind, count in zip(kinds.tolist(), counts, strict=True)
    } == pytest.approx(expected, abs=0.01)


def test_cells_of_one_task_and_seed_are_drawn_together():
    weights = cell_weights(np.array([0, 1, 0, 1]), np.array([5, 5, 5, 5]), 100)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 3]).all()


def test_draws_are_the_same_every_time():
    one, other = (
        cell_weights(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), 50) for _ in range(2)
    )
    assert (one == other).all()


def test_mean_and_share_of_negative_gains():
    compared = comparison([[[0.1, -0.1], [0.3, np.nan]]])
    assert compared.mean == pytest.approx([0.1])
    assert compared.negative == pytest.approx([1 / 3])


@pytest.mark.parametrize(("seeds", "tasks"), [(5, 1), (20, 1), (1, 5), (2, 12)])
def test_intervals_of_normal_gains_cover_their_mean_95_times_in_100(seeds, tasks):
    """400 simulated benchmarks; a binomial with p = 0.95 stays within 0.92 and 0.98 but once in two hundred times."""
    random = np.random.default_rng(1)
    truth = 0.2
    gains = (
        truth
        + random.normal(0, 0.05, (400, tasks, 1)) * (tasks > 1)
        + random.normal(0, 0.05, (400, tasks, seeds))
    )
    low, high = comparison(gains).interval.T
    assert 0.915 <= np.mean((low < truth) & (truth < high)) <= 0.985


def test_the_interval_approaches_students_for_many_seeds():
    gains = np.random.default_rng(2).normal(0.3, 0.1, (1, 60))
    expected = stats.t.interval(0.95, 59, gains.mean(), gains.std(ddof=1) / np.sqrt(60))
    assert comparison(gains, draws=20_000).interval[0] == pytest.approx(expected, abs=0.002)


def test_widening_is_students_quantile_over_the_normal_one():
    assert widening(2, 0.95) == pytest.approx(np.sqrt(2) * 12.7062 / 1.95996, rel=1e-4)
    assert widening(10_000, 0.95) == pytest.approx(1, abs=1e-3)
    assert np.isnan(widening(1, 0.95))


def test_one_seed_of_one_task_has_no_interval_and_separates_nothing():
    compared = comparison([[0.1], [0.9]])
    assert np.isnan(compared.interval).all()
    assert compared.ranks.tolist() == [[1, 2], [1, 2]]


def test_a_source_with_one_cell_among_many_has_no_interval():
    gains = np.random.default_rng(3).normal(0.3, 0.01, (2, 6))
    gains[1, 1:] = np.nan
    compared = comparison(gains)
    assert np.isnan(compared.interval[1]).all()
    assert not np.isnan(compared.interval[0]).any()
    assert compared.ranks.tolist() == [[1, 2], [1, 2]]


def test_identical_sources_tie():
    gains = np.random.default_rng(4).normal(0.3, 0.1, (1, 4, 3))
    compared = comparison(np.concatenate([gains, gains, gains - 1]))
    assert compared.ranks.tolist() == [[1, 2], [1, 2], [3, 3]]


def test_what_makes_a_task_easy_cancels_out_of_comparisons():
    """Gains differ by 1 between tasks and by 0.02 between sources: intervals overlap, yet the ranks are certain."""
    easy, noise = (
        np.arange(8.0)[None, :, None] / 8,
        np.random.default_rng(5).normal(0, 0.002, (2, 8, 3)),
    )
    compared = comparison(easy + np.array([0.02, 0.0])[:, None, None] + noise)
    assert compared.interval[0, 0] < compared.interval[1, 1]
    assert compared.ranks.tolist() == [[1, 1], [2, 2]]


def test_equal_sources_are_called_different_once_in_forty_times_each_way():
    gains = np.random.default_rng(6).normal(0, 1, (300, 2, 6))
    wrong = [comparison(pair, draws=500).better.any() for pair in gains]
    assert np.mean(wrong) <= 0.09


def test_sources_are_compared_on_the_cells_that_both_have():
    """The second is better wherever both were measured, though its mean is worse."""
    gains = np.array([[0.9, 0.9, 0.1, 0.1, 0.1, 0.1], [np.nan, np.nan, 0.2, 0.21, 0.2, 0.19]])
    compared = comparison(gains)
    assert compared.mean[0] > compared.mean[1]
    assert compared.better.tolist() == [[False, False], [True, False]]


def test_the_seeds_still_needed_are_those_students_formula_asks_for():
    difference = np.array([0.05, -0.03, 0.04, -0.02])
    more = comparison([difference, np.zeros(4)]).more_to_separate(0, 1)
    needed = next(
        n
        for n in range(5, 101)
        if stats.t.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n) < difference.mean()
    )
    assert (more.seeds, more.tasks) == (needed - 4, None)


def test_where_tasks_disagree_more_tasks_are_asked_for_not_seeds():
    difference = np.array([[0.2, 0.2], [-0.1, -0.1], [0.15, 0.15]])
    more = comparison([difference, np.zeros((3, 2))]).more_to_separate(0, 1)
    means = difference.mean(axis=1)
    needed = next(
        n
        for n in range(4, 101)
        if stats.t.ppf(0.975, n - 1) * means.std(ddof=1) / np.sqrt(n) < means.mean()
    )
    assert (more.seeds, more.tasks) == (None, needed - 3)


@pytest.mark.parametrize(
    "gains", [[[0.1, 0.2], [0.1, 0.2]], [[0.1], [0.2]], [[0.1, np.nan], [np.nan, 0.2]]]
)
def test_where_it_cannot_be_told_no_number_is_given(gains):
    more = comparison(gains).more_to_separate(0, 1)
    assert (more.seeds, more.tasks) == (None, None)
