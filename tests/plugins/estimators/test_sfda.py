"""SFDA against its steps written out, image by image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

import headwater as hw
from headwater.registry.errors import NotApplicable
from tests.plugins.estimators import cases


def posteriors(features, labels, shrinkage=None):
    """Of the shrunk Fisher discriminant (N, C), and the shrinkage used."""
    counts = np.bincount(labels)
    means = np.stack([features[labels == c].mean(0) for c in range(len(counts))])
    within = np.zeros((features.shape[1], features.shape[1]))
    for row, label in zip(features, labels, strict=True):
        within += np.outer(row - means[label], row - means[label]) / len(labels)
    if shrinkage is None:
        shrinkage = max(np.exp(-5 * np.linalg.eigvalsh(within)[-1]), 1e-10)
    shrunk = (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(
        len(within)
    )
    weights = np.linalg.solve(shrunk, (means - features.mean(0)).T)
    offsets = np.log(counts / len(labels)) - 0.5 * np.einsum(
        "cd,dc->c", means + features.mean(0), weights
    )
    return softmax(features @ weights + offsets, axis=1), shrinkage, means


def brute(case):
    features, labels = case.features.astype(np.float64), case.encoded
    first, shrinkage, means = posteriors(features, labels)
    softened = softmax(first, axis=1)
    mixed = np.empty_like(features)
    for i, label in enumerate(labels):
        p = softened[i, label]
        others = np.mean([mean for c, mean in enumerate(means) if c != label], axis=0)
        mixed[i] = p * features[i] + (1 - p) * others
    second = posteriors(mixed, labels, shrinkage)[0]
    return second[np.arange(len(labels)), labels].mean()


SATURATED = (cases.few_images, cases.as_many, cases.single_precision_few_images)


@pytest.mark.parametrize(
    "case", [case for case in cases.CASES if case not in SATURATED], ids=cases.name
)
def test_it_is_what_its_steps_give(case):
    data = case()
    assert hw.score("sfda", data.features, data.labels) == pytest.approx(brute(data), rel=1e-6)


@pytest.mark.parametrize("case", SATURATED, ids=cases.name)
def test_where_images_are_few_it_is_near_1_whatever_the_labels_and_says_so(case):
    data = case()
    score = hw.score("sfda", data.features, np.random.default_rng(0).permutation(data.labels))
    assert score == pytest.approx(1.0, abs=0.02) and score.note.startswith("says little")


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_it_is_a_mean_posterior_at_any_scale_and_changes_nothing(case, factor):
    data = case().scaled(factor)
    before = data.features.copy()
    assert 1 / data.classes < hw.score("sfda", data.features, data.labels) <= 1
    assert np.array_equal(before, data.features)


def test_the_scale_of_features_decides_the_shrinkage_and_so_the_score():
    data = cases.few_features()
    small, large = (
        hw.score("sfda", data.scaled(factor).features, data.labels) for factor in (1e-3, 1e3)
    )
    assert abs(small - large) > 1e-3


def test_features_that_do_not_vary_have_a_reason_instead_of_a_score():
    data = cases.constant()
    with pytest.raises(NotApplicable, match="vary within the classes"):
        hw.score("sfda", data.features, data.labels)
