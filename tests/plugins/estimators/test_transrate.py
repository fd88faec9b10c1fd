"""TransRate against determinants of D × D matrices."""

from __future__ import annotations

import numpy as np
import pytest

import headwater as hw
from headwater.registry.errors import BadName, NotApplicable
from tests.plugins.estimators import cases


def rate(rows, epsilon):
    sign, log = np.linalg.slogdet(np.eye(rows.shape[1]) + rows.T @ rows / (len(rows) * epsilon))
    assert sign == 1
    return log / 2


def brute(case, epsilon=1e-4):
    """R(Z) − Σ_c n_c/N R(Z_c), Z centred and of mean squared length 1."""
    features = case.features.astype(np.float64)
    centred = features - features.mean(0)
    scaled = centred / np.sqrt((centred**2).sum(1).mean())
    within = sum(
        (case.labels == label).mean() * rate(scaled[case.labels == label], epsilon)
        for label in np.unique(case.labels)
    )
    return rate(scaled, epsilon) - within


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_its_definition(case):
    data = case()
    assert hw.score("transrate", data.features, data.labels) == pytest.approx(brute(data), rel=1e-7)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_the_distortion_is_an_option(case):
    data = case()
    assert hw.score("transrate[epsilon=0.5]", data.features, data.labels) == pytest.approx(
        brute(data, 0.5), rel=1e-7
    )


def test_images_of_a_class_in_blocks_count_all(monkeypatch):
    from headwater.plugins.estimators import transrate

    monkeypatch.setattr(transrate, "BLOCK_NUMBERS", 40)  # eight images at a time
    data = cases.few_features()
    assert hw.score("transrate", data.features, data.labels) == pytest.approx(brute(data), rel=1e-9)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_neither_scale_nor_a_shift_matters(case, factor):
    data = case()
    moved = data.features.astype(np.float64) * factor + 5 * factor
    assert hw.score("transrate", moved, data.labels) == pytest.approx(
        hw.score("transrate", data.features, data.labels), rel=1e-6
    )


def test_labels_that_say_nothing_score_0():
    """Two classes with the very same features."""
    half = np.random.default_rng(0).normal(size=(20, 4))
    score = hw.score("transrate", np.r_[half, half], np.repeat([0, 1], 20))
    assert 0 <= score < 1e-12


def test_shuffled_labels_score_less():
    data = cases.separable()
    shuffled = np.random.default_rng(0).permutation(data.labels)
    assert hw.score("transrate", data.features, data.labels) > 2 * hw.score(
        "transrate", data.features, shuffled
    )


def test_features_that_do_not_vary_have_a_reason_instead_of_a_score():
    data = cases.constant()
    with pytest.raises(NotApplicable, match="the same features"):
        hw.score("transrate", data.features, data.labels)


def test_a_distortion_that_is_none_is_refused():
    data = cases.few_features()
    with pytest.raises(BadName, match="above 0"):
        hw.score("transrate[epsilon=0.0]", data.features, data.labels)
