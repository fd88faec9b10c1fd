"""The shrunk linear discriminant against Bayes' rule for Gaussians of one covariance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import multivariate_normal

from headwater.registry import Evidence
from headwater.registry.errors import NotApplicable
from headwater.registry.evidence import discriminant
from headwater.registry.evidence.discriminant import (
    Discriminant,
    float64_blocks,
    largest_eigenvalue,
)
from headwater.registry.evidence.moments import Moments
from tests.plugins.estimators import cases


def shrunk_covariance(features, labels, shrinkage):
    shares = np.bincount(labels) / len(labels)
    within = sum(
        share * np.cov(features[labels == c].T, bias=True) for c, share in enumerate(shares)
    )
    return (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(
        len(within)
    )


def bayes(features, labels, shrinkage):
    """Posteriors (N, C) of Gaussians around the class means, by their densities."""
    covariance, shares = (
        shrunk_covariance(features, labels, shrinkage),
        np.bincount(labels) / len(labels),
    )
    densities = [
        multivariate_normal(features[labels == c].mean(0), covariance).logpdf(features)
        for c in range(len(shares))
    ]
    return softmax(np.array(densities).T + np.log(shares), axis=1)


@pytest.mark.parametrize("shrinkage", [0.0, 0.1, 1.0])
def test_posteriors_are_those_of_bayes_rule(shrinkage, monkeypatch):
    data = cases.unbalanced()
    expected = bayes(data.features, data.labels, shrinkage)
    monkeypatch.setattr(discriminant, "BLOCK_VALUES", 35)  # several blocks
    fitted = Discriminant.of(Moments.of(data.features, data.labels), shrinkage)
    blocks = list(fitted.chances(float64_blocks(data.features, data.labels)))
    posteriors = np.concatenate([of_block for of_block, _ in blocks])
    of_true_class = np.concatenate([of_block for _, of_block in blocks])
    assert np.allclose(posteriors, expected, atol=1e-10)
    assert np.allclose(
        of_true_class, expected[np.arange(len(data.labels)), data.labels], atol=1e-10
    )


@pytest.mark.parametrize("factor", [0.1, 1.0, 10.0])
def test_the_shrinkage_falls_with_the_largest_eigenvalue(factor):
    data = cases.few_features().scaled(factor)
    evidence = Evidence.of(data.features, data.labels)
    largest = np.linalg.eigvalsh(shrunk_covariance(data.features, data.labels, 0.0))[-1]
    assert evidence.discriminant.shrinkage == pytest.approx(
        max(np.exp(-5 * largest), 1e-10), rel=1e-9
    )


def test_the_largest_eigenvalue_of_a_large_matrix_is_the_same_every_time():
    factor = np.random.default_rng(0).normal(size=(200, 150))
    values = {largest_eigenvalue(factor @ factor.T) for _ in range(3)}
    assert len(values) == 1
    assert values.pop() == pytest.approx(np.linalg.svd(factor, compute_uv=False)[0] ** 2, rel=1e-12)


def test_features_that_only_vary_between_classes_have_no_discriminant():
    labels = np.arange(12) % 3
    with pytest.raises(NotApplicable, match="vary within the classes"):
        Discriminant.of(Moments.of(np.eye(3)[labels], labels))
