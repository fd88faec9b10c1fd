"""Moderated variances against Smyth's formulas, evaluated plainly and by simulation."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from scipy.special import polygamma, psi

from headwater.leaderboard.statistics.moderation import common_variance, inverse_trigamma, moderate


@pytest.mark.parametrize("x", [1e-3, 0.1, 1.0, 7.0, 1e4])
def test_trigamma_is_inverted(x):
    assert inverse_trigamma(float(polygamma(1, x))) == pytest.approx(x, rel=1e-6)


def test_moments_are_smyths():
    random = np.random.default_rng(0)
    degrees = 3
    truths = 0.5 * 6 / random.chisquare(6, 400)
    variances = truths * random.chisquare(degrees, 400) / degrees
    logs = np.log(variances) - psi(degrees / 2) + np.log(degrees / 2)
    excess = logs.var(ddof=1) - polygamma(1, degrees / 2)
    prior_degrees = 2 * brentq(lambda x: polygamma(1, x) - excess, 1e-3, 1e3)
    half = prior_degrees / 2
    prior_variance = np.exp(logs.mean() + psi(half) - np.log(half))
    found = common_variance(variances, np.full(400, degrees))
    assert found == pytest.approx((prior_degrees, prior_variance))
    moderated = moderate(variances, np.full(400, degrees), 20)
    expected = (prior_degrees * prior_variance + degrees * variances) / (prior_degrees + degrees)
    assert moderated.values == pytest.approx(expected)
    assert moderated.degrees == pytest.approx(min(prior_degrees + degrees, 20))


def test_the_prior_that_variances_were_drawn_with_is_given_back():
    random = np.random.default_rng(1)
    degrees = random.integers(1, 6, size=20_000)
    truths = 0.5 * 8 / random.chisquare(8, len(degrees))
    variances = truths * random.chisquare(degrees) / degrees
    assert common_variance(variances, degrees) == pytest.approx((8, 0.5), rel=0.1)


def test_variances_that_differ_by_chance_only_become_their_mean():
    variances = stats.chi2(4).ppf((np.arange(60) + 0.5) / 60) / 4 * 0.98 + 0.02
    moderated = moderate(variances, np.full(60, 4), 44)
    assert np.isinf(moderated.prior_degrees)
    assert moderated.values == pytest.approx(variances.mean())
    assert (moderated.degrees == 44).all()


def test_two_variances_are_left_as_they_are():
    moderated = moderate(np.array([1.0, 4.0]), np.array([2, 5]), 9)
    assert moderated.values == pytest.approx([1.0, 4.0])
    assert moderated.degrees == pytest.approx([2, 5])


def test_a_comparison_without_degrees_takes_the_common_variance():
    random = np.random.default_rng(2)
    variances = np.append(random.chisquare(4, 50) / 4, np.nan)
    moderated = moderate(variances, np.append(np.full(50, 4), 0), 100)
    assert moderated.values[-1] == pytest.approx(moderated.prior_variance)
    alone = moderate(np.array([np.nan]), np.array([0]), 0)
    assert np.isnan(alone.values).all()
