"""GBC against the Bhattacharyya distance of every two classes, with full matrices and determinants."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

import headwater as hw
from headwater.plugins.estimators.gbc import FLOOR
from headwater.registry.errors import BadName, NotApplicable
from tests.facts import missing_facts
from tests.plugins.estimators import cases


def projected(features, components):
    features = features.astype(np.float64)
    centred = features - features.mean(0)
    rank = np.linalg.matrix_rank(centred, tol=1e-7 * np.linalg.norm(centred, 2))
    return PCA(min(components, rank), svd_solver="full").fit_transform(features)


def brute(case, components=64, spherical=False):
    """−Σ_{i≠j} exp(−D_B) of Gaussians whose covariances are written out as matrices."""
    rows = projected(case.features, components)
    groups = [rows[case.labels == label] for label in np.unique(case.labels)]
    several = [group for group in groups if len(group) > 1]
    pooled = sum(((group - group.mean(0)) ** 2).sum(0) for group in several) / sum(
        map(len, several)
    )
    floor = FLOOR * rows.var(0).mean()
    gaussians = []
    for group in groups:
        variance = group.var(0) if len(group) > 1 else pooled
        variance = np.full_like(variance, variance.mean()) if spherical else variance
        gaussians.append((group.mean(0), np.diag(np.maximum(variance, floor))))
    total = 0.0
    for i, (mean, covariance) in enumerate(gaussians):
        for j, (other_mean, other) in enumerate(gaussians):
            if i != j:
                between, apart = (covariance + other) / 2, mean - other_mean
                distance = apart @ np.linalg.inv(between) @ apart / 8
                logs = [np.linalg.slogdet(matrix)[1] for matrix in (between, covariance, other)]
                total += np.exp(-distance - (logs[0] - (logs[1] + logs[2]) / 2) / 2)
    return -total


@pytest.mark.parametrize("covariance", ["diagonal", "spherical"])
@pytest.mark.parametrize("components", [2, 64])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_its_definition(case, components, covariance):
    data = case()
    score = hw.score(
        "gbc", data.features, data.labels, components=components, covariance=covariance
    )
    assert score == pytest.approx(brute(data, components, covariance == "spherical"), rel=1e-5)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_neither_scale_nor_a_shift_matters(case, factor):
    data = case()
    moved = data.features.astype(np.float64) * factor + 5 * factor
    assert hw.score("gbc", moved, data.labels) == pytest.approx(
        hw.score("gbc", data.features, data.labels), rel=1e-6
    )


def test_pairs_in_blocks_are_the_same_pairs(monkeypatch):
    from headwater.plugins.estimators import gbc

    data = cases.many_classes()
    whole = hw.score("gbc", data.features, data.labels)
    monkeypatch.setattr(gbc, "BLOCK_NUMBERS", 130)  # three classes at a time
    assert hw.score("gbc", data.features, data.labels) == pytest.approx(whole, rel=1e-12)


def test_classes_alike_score_the_least_and_classes_far_apart_nearly_0():
    half = np.random.default_rng(0).normal(size=(20, 4))
    labels = np.repeat([0, 1, 2], 20)
    assert hw.score("gbc", np.r_[half, half, half], labels) == pytest.approx(-6)
    assert -1e-9 < hw.score("gbc", np.r_[half, half + 60, half - 60], labels) <= 0


def test_sixty_four_variances_whose_product_is_no_float_are_no_trouble():
    """Their determinant is about 1e-380; both means and all pairs stay exact in logarithms."""
    data = cases.make(300, 64, seed=1)
    tiny = data.features * 1e-6
    assert hw.score("gbc", tiny, data.labels) == pytest.approx(brute(data), rel=1e-6)


def test_a_class_of_one_image_is_said():
    data = cases.unbalanced()
    note = hw.score("gbc", data.features, data.labels).note
    assert missing_facts(note, "1 of 3 classes", "pooled variance") == []


def test_where_every_class_has_one_image_there_is_a_reason():
    with pytest.raises(NotApplicable, match="single image"):
        hw.score("gbc", np.random.default_rng(0).normal(size=(5, 3)), np.arange(5))


def test_features_that_do_not_vary_have_a_reason():
    data = cases.constant()
    with pytest.raises(NotApplicable, match="the same features"):
        hw.score("gbc", data.features, data.labels)


def test_an_unknown_covariance_is_refused():
    data = cases.few_features()
    with pytest.raises(BadName, match="diagonal or spherical"):
        hw.score("gbc[covariance=full]", data.features, data.labels)
