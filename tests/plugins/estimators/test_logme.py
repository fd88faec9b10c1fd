"""LogME against the log evidence of Bayesian linear regression, evaluated densely and maximised by a general optimiser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

import headwater as hw
from headwater.registry import Evidence
from headwater.registry.errors import NotApplicable
from tests.facts import missing_facts
from tests.plugins.estimators import cases


def log_evidence(features, y, log_alpha, log_beta):
    """log N(y; 0, I/β + XXᵀ/α), from the definition of a Gaussian: no identity of LogME's derivation is used."""
    covariance = np.eye(len(y)) * np.exp(-log_beta) + features @ features.T * np.exp(-log_alpha)
    log_determinant = np.linalg.slogdet(covariance)[1]
    return -0.5 * (
        len(y) * np.log(2 * np.pi) + log_determinant + y @ np.linalg.solve(covariance, y)
    )


def largest(features, y):
    """The maximum over α and β ≤ e¹³, from nine starts in units of the features' scale."""
    features = features.astype(np.float64)
    scale = np.log((features**2).sum() / len(y))

    def loss(point):
        log_alpha, log_beta = np.clip(point, (-30, -9), (30, 13))
        return -log_evidence(features, y, log_alpha + scale, log_beta)

    starts = [(a, b) for a in (-6, 0, 6) for b in (0, 3, 6)]
    options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000}
    return max(
        -minimize(loss, start, method="Nelder-Mead", options=options).fun for start in starts
    ) / len(y)


def brute(case):
    return np.mean(
        [largest(case.features, (case.labels == c).astype(float)) for c in np.unique(case.labels)]
    )


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_the_largest_log_evidence(case):
    data = case()
    score = hw.score("logme", data.features, data.labels)
    assert score == pytest.approx(brute(data), rel=1e-5, abs=1e-5)


def test_the_determinant_has_all_features_not_only_those_of_the_span():
    """Where N < D, log|A| without its (D − k)·log α, as in published code, is not the evidence."""
    data = cases.few_images()
    features, y, alpha, beta = data.features, (data.labels == 0).astype(float), 0.7, 3.0
    count, width = features.shape
    precision = alpha * np.eye(width) + beta * features.T @ features
    mean = beta * np.linalg.solve(precision, features.T @ y)
    fit = 0.5 * beta * ((y - features @ mean) ** 2).sum() + 0.5 * alpha * mean @ mean
    in_span = np.log(alpha + beta * np.linalg.eigvalsh(features @ features.T)).sum()
    outside = (width - count) * np.log(alpha)
    assert np.linalg.slogdet(precision)[1] == pytest.approx(in_span + outside)
    evidence = (
        0.5 * (width * np.log(alpha) + count * np.log(beta / 2 / np.pi) - in_span - outside) - fit
    )
    assert evidence == pytest.approx(log_evidence(features, y, np.log(alpha), np.log(beta)))
    assert abs(outside) > 1


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_the_scale_of_features_does_not_matter(case, factor):
    data = case()
    scores = [
        hw.score("logme", scaled.features, data.labels) for scaled in (data, data.scaled(factor))
    ]
    assert scores[0] == pytest.approx(
        scores[1], rel=1e-6 if data.features.dtype == np.float32 else 1e-9
    )


def test_both_ways_to_the_spectrum_agree():
    from headwater.plugins.estimators.logme import spectrum_of_images, spectrum_of_moments

    for case in (cases.few_features, cases.few_images, cases.as_many, cases.rank_deficient):
        evidence = Evidence.of(case().features, case().labels)
        of_images, of_moments = spectrum_of_images(evidence), spectrum_of_moments(evidence)
        assert np.allclose(of_images.sigma, of_moments.sigma, rtol=1e-9)
        assert np.allclose(of_images.maxima(), of_moments.maxima(), rtol=1e-9)


@pytest.mark.parametrize(
    ("width", "count"), [(1, 1), (2, 1), (3, 1), (2, 5), (40, 1), (40, 21), (200, 7)]
)
def test_rows_in_the_coordinates_of_eigenvectors(width, count):
    from headwater.plugins.estimators.logme import rotate_to_eigenvectors

    random = np.random.default_rng(width)
    matrix, rows = random.normal(size=(width + 5, width)), random.normal(size=(count, width))
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    found, turned = rotate_to_eigenvectors(matrix.T @ matrix, rows)
    assert np.allclose(found, values, rtol=1e-10)
    assert np.allclose(turned**2, (rows @ vectors) ** 2, atol=1e-9)


def test_regression_is_over_columns_of_targets():
    random = np.random.default_rng(0)
    features = random.normal(size=(30, 4))
    targets = features @ random.normal(size=(4, 3)) + random.normal(size=(30, 3))
    score = hw.score("logme", features, targets, task_type="regression")
    assert score == pytest.approx(np.mean([largest(features, y) for y in targets.T]), abs=1e-6)
    assert hw.score("logme", features, targets[:, 0], task_type="regression") == pytest.approx(
        largest(features, targets[:, 0]), abs=1e-6
    )


def test_multilabel_is_over_labels_and_one_that_is_never_set_does_not_count():
    random = np.random.default_rng(1)
    features = random.normal(size=(30, 4))
    flags = (features[:, :3] + random.normal(size=(30, 3)) > 0).astype(int)
    score = hw.score("logme", features, flags, task_type="multilabel")
    assert score == pytest.approx(
        np.mean([largest(features, y.astype(float)) for y in flags.T]), abs=1e-6
    )
    assert (
        hw.score("logme", features, np.c_[flags, np.zeros(30, int)], task_type="multilabel")
        == score
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_features_that_interpolate_have_a_bounded_score_and_a_note(dtype):
    """One-hot features of the labels: the evidence rises without bound as the noise vanishes."""
    labels = np.arange(30) % 3
    features = np.eye(3, dtype=dtype)[labels]
    rising = [log_evidence(features, features[:, 0], 0.0, log_beta) for log_beta in (5, 10, 20)]
    assert rising[0] < rising[1] < rising[2]
    score = hw.score("logme", features, labels)
    assert missing_facts(score.note, "bounded", "3 of the 3 label columns") == []
    t = np.exp(np.arange(-30, 5, 1e-3))  # three eigenvalues of 10; y is 10 ones
    residual = 10 * (1e-6 + t / (t + 10))
    bounded = -0.5 * (np.log(2 * np.pi * residual / 30) + 1) + 1.5 * np.log(t / (t + 10)) / 30
    assert score == pytest.approx(bounded.max(), abs=1e-6)
    assert hw.score("logme", features * dtype(1e3), labels) == pytest.approx(score, rel=1e-6)


def test_as_many_dimensions_as_images_have_a_limit_not_a_bound():
    """With k = N the evidence tends to log N(y; 0, XXᵀ/α) as the noise vanishes: no note, and the value is that limit."""
    random = np.random.default_rng(2)
    features = random.normal(size=(10, 30))
    targets = features @ random.normal(size=30)
    kernel = features @ features.T
    best_scale = targets @ np.linalg.solve(kernel, targets) / 10
    limit = -0.5 * (np.log(2 * np.pi * best_scale) + np.linalg.slogdet(kernel)[1] / 10 + 1)
    score = hw.score("logme", features, targets, task_type="regression")
    assert score >= limit - 1e-9 and score == pytest.approx(largest(features, targets), abs=1e-3)
    assert score.note == ""


def test_labels_that_features_say_nothing_of_have_the_evidence_of_noise():
    """y orthogonal to X: the best α is infinite, and the model that of noise alone."""
    features = np.array([1.0, -1.0] * 10)[:, None]
    y = np.array([1.0, 1.0, 2.0, 2.0] * 5)
    noise = -0.5 * (np.log(2 * np.pi * (y**2).mean()) + 1)
    assert hw.score("logme", features, y, task_type="regression") == pytest.approx(noise, rel=1e-12)


def test_the_global_maximum_is_found_among_two():
    """A weak direction of large variance and a strong one of small variance: the log evidence has two maxima over α."""
    random = np.random.default_rng(3)
    found, best = [], []
    for _ in range(3):
        axes = np.linalg.qr(random.normal(size=(24, 6)))[0]
        features = axes * np.array([1e4, 1e4, 1e4, 1.0, 1.0, 1.0])
        y = axes @ np.array([0.3, 0.2, 0.1, 2.0, 2.0, 2.0]) + 0.1 * random.normal(size=24)
        found.append(hw.score("logme", features, y, task_type="regression"))
        best.append(max(largest(features, y), largest(features / 1e4, y)))
    assert np.all(np.array(found) >= np.array(best) - 1e-9)


def test_constant_features_are_a_fit_without_variation_and_zeros_none():
    data = cases.constant()
    assert hw.score("logme", data.features, data.labels) == pytest.approx(brute(data), abs=1e-6)
    with pytest.raises(NotApplicable, match="all features are zero"):
        hw.score("logme", data.features * 0, data.labels)


def test_better_features_score_higher():
    data = cases.few_features()
    shuffled = replace(data, labels=np.random.default_rng(0).permutation(data.labels))
    assert hw.score("logme", data.features, data.labels) > hw.score(
        "logme", shuffled.features, shuffled.labels
    )
