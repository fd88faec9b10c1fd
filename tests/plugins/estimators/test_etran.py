"""ETran: its two parts against their definitions, and the pool they are scaled over."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

import headwater as hw
from headwater.registry import Evidence
from headwater.registry.errors import NotApplicable
from tests.plugins.estimators import cases
from tests.plugins.estimators.test_sfda import posteriors


def parts(case):
    evidence = Evidence.of(case.features, case.labels)
    return hw.Registry.discover().estimator("etran")[0].of(evidence).parts


WELL_POSED = [
    case
    for case in cases.CASES
    if case not in (cases.few_images, cases.as_many, cases.single_precision_few_images)
]


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_the_energy_is_the_mean_logsumexp_of_the_features(case):
    data = case()
    assert parts(data)["energy"] == pytest.approx(
        logsumexp(data.features.astype(np.float64), axis=1).mean(), rel=1e-12
    )


@pytest.mark.parametrize("case", WELL_POSED, ids=cases.name)
def test_the_discriminant_part_is_the_mean_posterior_of_the_true_class(case):
    data = case()
    found, _, _ = posteriors(data.features.astype(np.float64), data.encoded)
    assert parts(data)["lda"] == pytest.approx(
        found[np.arange(len(data.labels)), data.encoded].mean(), rel=1e-6
    )


@pytest.mark.parametrize("factor", [1e-3, 1e3, 1e6])
def test_no_scale_overflows(factor):
    found = parts(cases.few_features().scaled(factor))
    assert np.isfinite(found["energy"]) and 0 < found["lda"] <= 1


def test_alone_it_has_no_score():
    data = cases.few_features()
    with pytest.raises(NotApplicable, match="etran belong to a pool") as caught:
        hw.score("etran", data.features, data.labels)
    assert 'hw.score("etran", [first, second], labels)' in caught.value.hint


def test_of_a_pool_each_part_is_scaled_to_its_range():
    data = cases.few_features()
    pool = {
        "plain": data.features,
        "doubled": data.features * 2,
        "noise": np.random.default_rng(0).normal(size=(40, 9)),
    }
    scores = hw.score("etran", pool, data.labels)
    by_part = {part: [score.parts[part] for score in scores.values()] for part in ("energy", "lda")}
    expected = sum(
        (np.array(values) - min(values)) / (max(values) - min(values))
        for values in by_part.values()
    )
    assert list(scores) == ["plain", "doubled", "noise"]
    assert list(scores.values()) == pytest.approx(list(expected))
    assert [float(score) for score in hw.score("etran", list(pool.values()), data.labels)] == list(
        scores.values()
    )


def test_a_pool_of_equals_tells_nothing():
    data = cases.few_features()
    assert [float(score) for score in hw.score("etran", [data.features] * 3, data.labels)] == [
        0.0,
        0.0,
        0.0,
    ]


def test_features_that_do_not_vary_have_a_reason_instead_of_a_score():
    data = cases.constant()
    with pytest.raises(NotApplicable, match="vary within the classes"):
        parts(data)
