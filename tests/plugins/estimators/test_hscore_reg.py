"""Regularised H-score against its definition with scikit-learn's Ledoit–Wolf covariance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf, ledoit_wolf_shrinkage

import headwater as hw
from headwater.plugins.estimators import hscore_reg as module
from headwater.registry.errors import NotApplicable
from headwater.registry.evidence.moments import Moments
from tests.plugins.estimators import cases


def brute(case):
    features = case.features.astype(np.float64)
    covariance, shrinkage = ledoit_wolf(features)
    means = np.stack([features[case.labels == label].mean(0) for label in case.labels])
    between = np.atleast_2d(np.cov(means.T, bias=True))
    return (1 - shrinkage) * np.trace(np.linalg.solve(covariance, between))


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_the_shrinkage_is_that_of_scikit_learn(case):
    data = case()
    found = module.ledoit_wolf(Moments.of(data.features, data.encoded))
    assert found == pytest.approx(ledoit_wolf_shrinkage(data.features.astype(np.float64)), rel=1e-7)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_the_trace_of_its_definition(case):
    data = case()
    score = hw.score("hscore_reg", data.features, data.labels)
    assert score == pytest.approx(brute(data), rel=1e-6)
    assert 0 < score <= data.classes - 1


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_the_scale_of_features_does_not_matter(case, factor):
    data = case()
    scores = [
        hw.score("hscore_reg", scaled.features, data.labels)
        for scaled in (data, data.scaled(factor))
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_few_images_do_not_saturate_it():
    """Labels drawn at random score lower than the true ones, where the plain H-score has C − 1 for both."""
    data = cases.few_images()
    wrong = np.random.default_rng(0).permutation(data.labels)
    assert (
        hw.score("hscore_reg", data.features, wrong)
        < hw.score("hscore_reg", data.features, data.labels)
        < 1.99
    )


def test_where_nothing_is_shrunk_it_is_the_plain_h_score():
    """One feature: Ledoit and Wolf's target is the covariance itself, and scikit-learn's shrinkage 0."""
    for seed in range(20):  # of some, rounding sets the covariance apart from its target
        random = np.random.default_rng(seed)
        labels = np.arange(60) % 3
        features = random.normal(size=(60, 1)) + labels[:, None]
        assert hw.score("hscore_reg", features, labels) == pytest.approx(
            hw.score("hscore", features, labels), rel=1e-12
        )


def test_features_that_do_not_vary_have_a_reason_instead_of_a_score():
    data = cases.constant()
    with pytest.raises(NotApplicable, match="the same features"):
        hw.score("hscore_reg", data.features, data.labels)
