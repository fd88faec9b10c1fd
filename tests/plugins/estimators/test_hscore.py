"""H-score against its definition with a pseudo-inverse by SVD."""

from __future__ import annotations

import numpy as np
import pytest

import headwater as hw
from headwater.registry.errors import NotApplicable
from tests.plugins.estimators import cases


def brute(case):
    """tr(cov(X)⁺ cov(E[X|y])) of standardised columns, constant ones left out."""
    features = case.features.astype(np.float64)
    features = features[:, features.std(0) > 1e-12 * np.abs(features.mean(0))]
    features = (features - features.mean(0)) / features.std(0)
    means = np.stack([features[case.labels == label].mean(0) for label in case.labels])
    covariance, between = np.atleast_2d(np.cov(features.T)), np.atleast_2d(np.cov(means.T))
    return np.trace(np.linalg.pinv(covariance, rcond=1e-9, hermitian=True) @ between)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_the_trace_of_its_definition(case):
    data = case()
    assert hw.score("hscore", data.features, data.labels) == pytest.approx(brute(data), rel=1e-6)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_between_0_and_the_number_of_canonical_correlations(case):
    data = case()
    assert (
        0
        < hw.score("hscore", data.features, data.labels)
        <= min(data.features.shape[1], data.classes - 1)
    )


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_the_scale_of_features_does_not_matter(case, factor):
    data = case()
    assert hw.score("hscore", data.scaled(factor).features, data.labels) == pytest.approx(
        hw.score("hscore", data.features, data.labels), rel=1e-5
    )


def test_columns_of_unlike_scale_all_count():
    """A rank rule on the raw covariance would drop the column of scale 1e-7."""
    data = cases.few_features()
    scales = np.array([1e-7, 1e-3, 1.0, 1e3, 1e7])
    assert hw.score("hscore", data.features * scales, data.labels) == pytest.approx(
        hw.score("hscore", data.features, data.labels), rel=1e-8
    )


def test_any_invertible_map_changes_nothing_and_a_repeated_column_adds_nothing():
    data = cases.few_features()
    expected = hw.score("hscore", data.features, data.labels)
    mixed = data.features @ np.random.default_rng(0).normal(size=(5, 5)) + 7
    repeated = np.c_[data.features, data.features[:, :2] * 3 - 1]
    assert hw.score("hscore", mixed, data.labels) == pytest.approx(expected, rel=1e-8)
    assert hw.score("hscore", repeated, data.labels) == pytest.approx(expected, rel=1e-8)


def test_the_trace_is_of_the_matrix_product_not_of_the_elements():
    """Correlated features, where the two differ."""
    data = cases.few_features()
    data.features[:, 1] += 2 * data.features[:, 0]
    features = data.features
    means = np.stack([features[data.labels == label].mean(0) for label in data.labels])
    elementwise = np.trace(np.linalg.inv(np.cov(features.T)) * np.cov(means.T))
    assert abs(hw.score("hscore", features, data.labels) - elementwise) > 0.1


@pytest.mark.parametrize(
    "case", [cases.few_images, cases.as_many, cases.single_precision_few_images], ids=cases.name
)
def test_where_images_are_few_it_is_c_minus_1_whatever_the_labels_and_says_so(case):
    data = case()
    for seed in range(3):
        score = hw.score(
            "hscore", data.features, np.random.default_rng(seed).permutation(data.labels)
        )
        assert score == pytest.approx(data.classes - 1)
        assert score.note.startswith("says nothing") and "hscore_reg" in score.note


def test_low_rank_is_no_saturation():
    data = cases.rank_deficient_few_images()
    score = hw.score("hscore", data.features, data.labels)
    assert score.note == "" and score < data.classes - 1


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_that_do_not_vary_have_a_reason_instead_of_a_score(value, dtype):
    with pytest.raises(NotApplicable, match="the same features"):
        hw.score("hscore", np.full((40, 5), value, dtype), np.arange(40) % 3)
