"""Sign flips, equivalence, and comparisons with the best against scipy and tables."""

import numpy as np
import pytest
from scipy import stats

from headwater.leaderboard.statistics.differences import differences
from headwater.leaderboard.statistics.paired_tests import (
    equivalence_bound,
    equivalence_p,
    sign_flip_p,
)
from headwater.leaderboard.statistics.with_best import (
    differences_to_control,
    dunnett_quantile,
    may_be_best,
)
from perf.rates import World


@pytest.mark.parametrize("count", [2, 5, 10])
def test_sign_flips_are_scipys_permutation_of_paired_samples(count):
    values = np.random.default_rng(count).normal(0.4, 1, count)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(values) == pytest.approx(expected.pvalue)


def test_sign_flips_of_many_values_are_drawn():
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    assert sign_flip_p(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)
    assert 0 < sign_flip_p(np.full(40, 1.0)) < 1e-3


def test_sign_flips_leave_nan_out():
    assert sign_flip_p(np.array([np.nan, 1.0, 2.0])) == 0.5
    assert np.isnan(sign_flip_p(np.array([np.nan])))
    assert sign_flip_p(np.zeros(7)) == 1


def test_equivalence_is_two_one_sided_t_tests():
    values = np.random.default_rng(0).normal(0.3, 1, 25)
    error = float(stats.sem(values))
    above = stats.ttest_1samp(values, -0.8, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 0.8, alternative="less").pvalue
    mean = float(values.mean())
    assert equivalence_p(mean, error, 24, 0.8) == pytest.approx(max(above, below))
    bound = equivalence_bound(mean, error, 24)
    assert equivalence_p(mean, error, 24, bound) == pytest.approx(0.05)


@pytest.mark.parametrize(
    "count, degrees, two_sided, expected",
    [
        (1, 10, False, 1.812),  # Student's
        (1, 10, True, 2.228),
        (3, 20, False, 2.19),  # Dunnett 1955 and 1964, tables 1 and 2
        (3, 20, True, 2.54),
        (9, 10, False, 2.81),
        (9, 20, True, 2.95),
    ],
)
def test_quantiles_are_dunnetts(count, degrees, two_sided, expected):
    found = dunnett_quantile(count, degrees, two_sided=two_sided)
    assert found == pytest.approx(expected, abs=6e-3)


def test_only_the_far_worse_cannot_be_the_best():
    worth = np.array([0.0, 1.0, 1.0, -2.0])
    board = World(4, 6).measure(worth, np.random.default_rng(0)).board
    assert may_be_best(differences(board)).tolist() == [False, True, True, False]


def test_without_noise_every_source_may_be_the_best():
    board = World(3, 1, seeds=1).draw(np.random.default_rng(0)).board
    pairs = differences(board)
    assert may_be_best(pairs).all()
    assert np.isnan(differences_to_control(pairs, 0)).all()


def test_the_true_best_is_left_out_and_all_bounds_miss_in_at_most_five_percent():
    held, covered = [], []
    for drawn in World(8, 6, worth=0.0).boards(200):
        pairs = differences(drawn.board)
        held.append(may_be_best(pairs)[0])
        lower, upper = differences_to_control(pairs, 0).T
        covered.append(((lower < 0) & (upper > 0))[1:].all())
    assert 0.92 <= np.mean(held) <= 0.98
    assert 0.92 <= np.mean(covered) <= 0.98
