"""PARC against corrcoef, scipy's Spearman correlation and scikit-learn's PCA."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

import headwater as hw
from headwater.registry.errors import NotApplicable
from tests.facts import missing_facts
from tests.plugins.estimators import cases


def brute(features, labels, components=32):
    """100 · Spearman of 1 − corr(features) and 1 − corr(one-hot), above the diagonal."""
    features = features.astype(np.float64)
    if features.shape[1] > components:
        rank = np.linalg.matrix_rank(features - features.mean(0))
        features = PCA(min(components, rank), svd_solver="full").fit_transform(features)
    one_hot = (np.asarray(labels)[:, None] == np.unique(labels)).astype(float)
    above = np.triu_indices(len(labels), 1)
    apart, truly = (np.round(1 - np.corrcoef(rows), 12)[above] for rows in (features, one_hot))
    return 100 * spearmanr(apart, truly)[0]


@pytest.mark.parametrize("components", [3, 32])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_its_definition(case, components):
    data = case()
    expected = brute(data.features, data.labels, components)
    assert hw.score("parc", data.features, data.labels, components=components) == pytest.approx(
        expected, abs=1e-3
    )


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_the_scale_of_features_does_not_matter(case, factor):
    data = case()
    expected = hw.score("parc", data.features, data.labels)
    assert hw.score("parc", data.scaled(factor).features, data.labels) == pytest.approx(
        expected, abs=1e-3
    )


def test_of_two_features_whose_distances_are_0_or_2_rounding_makes_no_order():
    data = cases.make(40, 2)
    signs = np.where(np.diff(data.features, axis=1) > 0, 1.0, -1.0)
    apart, truly = (
        np.not_equal.outer(values, values)[np.triu_indices(40, 1)]
        for values in (signs[:, 0], data.labels)
    )
    assert hw.score("parc", data.features, data.labels) == pytest.approx(
        100 * np.corrcoef(apart, truly)[0, 1]
    )


def test_more_images_than_a_probe_holds_are_sampled_by_the_seed_and_it_says_so():
    data = cases.make(90, 40)
    score = hw.score("parc[images=30,probes=4,seed=1]", data.features, data.labels)
    assert score == hw.score("parc[images=30,probes=4,seed=1]", data.features, data.labels)
    assert score != hw.score("parc[images=30,probes=4,seed=2]", data.features, data.labels)
    assert missing_facts(score.note, "4 probe sets", "30 of 90 images", "seed 1") == []
    generator = np.random.default_rng(1)
    probes = [np.sort(generator.choice(90, 30, replace=False)) for _ in range(4)]
    assert score == pytest.approx(
        np.mean([brute(data.features[rows], data.labels[rows]) for rows in probes]), abs=1e-6
    )


def test_regression_compares_distances_of_targets_each_to_unit_deviation():
    random = np.random.default_rng(0)
    features, targets = random.normal(size=(25, 6)), random.normal(size=(25, 2)) * [1, 1000]
    scaled = targets / targets.std(0)
    above = np.triu_indices(25, 1)
    apart = np.linalg.norm(scaled[:, None] - scaled[None], axis=2)[above]
    expected = 100 * spearmanr((1 - np.corrcoef(features))[above], apart)[0]
    assert hw.score("parc", features, targets, task_type="regression") == pytest.approx(
        expected, abs=1e-9
    )


def test_multilabel_rows_of_one_label_each_score_as_classes():
    data = cases.few_features()
    flags = np.eye(3, dtype=int)[data.labels]
    expected = hw.score("parc", data.features, data.labels)
    assert hw.score("parc", data.features, flags, task_type="multilabel") == pytest.approx(
        expected, abs=1e-9
    )


def test_balanced_and_unbalanced_flags_that_equal_features_score_high():
    """Features that are the labels, with a little noise, order the pairs as the labels do."""
    random = np.random.default_rng(0)
    flags = (random.random((40, 6)) < 0.4).astype(int)
    assert (
        hw.score("parc", flags + random.normal(size=(40, 6)) * 0.01, flags, task_type="multilabel")
        > 60
    )


@pytest.mark.parametrize(
    ("features", "labels", "what"),
    [
        (np.ones((12, 4)), np.arange(12) % 3, "features"),
        (np.random.default_rng(0).normal(size=(6, 4)), np.arange(6), "labels"),
        (np.random.default_rng(0).normal(size=(12, 1)), np.arange(12) % 3, "features"),
        (np.random.default_rng(0).normal(size=(2, 4)), np.arange(2), "features"),
    ],
    ids=["constant features", "one image a class", "one feature", "two images"],
)
def test_distances_without_an_order_have_a_reason(features, labels, what):
    with pytest.raises(NotApplicable, match=f"equally far apart in their {what}"):
        hw.score("parc", features, labels)
