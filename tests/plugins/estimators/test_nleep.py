"""NLEEP: its mixture against an expectation maximisation in loops, its score against LEEP of the posterior."""

from __future__ import annotations

import math

import numpy as np
import pytest

import headwater as hw
from headwater.plugins.estimators.nleep import (
    EMPTY,
    FLOOR,
    MAX_ROUNDS,
    TOLERANCE,
    mixture_posterior,
)
from headwater.registry.errors import BadName
from tests.facts import missing_facts
from tests.plugins.estimators import cases
from tests.plugins.estimators.test_leep import brute as leep


def projected(features, dimensions=64):
    features = features.astype(np.float64)
    centred = features - features.mean(0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    rank = int((singular > 1e-7 * singular[0]).sum())
    return (left * singular)[:, : min(rank, dimensions)]


def log_density(row, weight, mean, variance):
    """log of weight · Gaussian of diagonal covariance."""
    parts = [
        (x - m) ** 2 / v + math.log(2 * math.pi * v)
        for x, m, v in zip(row, mean, variance, strict=True)
    ]
    return math.log(weight) - sum(parts) / 2


def brute_posterior(rows, components, spherical, seed):
    """The same mixture image by image and component by component."""
    generator = np.random.default_rng(seed)
    rows = rows / math.sqrt(rows.var(0).mean())
    centres = [rows[generator.integers(len(rows))]]
    while len(centres) < components:
        apart = np.array([min(((row - centre) ** 2).sum() for centre in centres) for row in rows])
        draw = generator.random() * apart.sum()
        centres.append(rows[next(i for i in range(len(rows)) if apart[: i + 1].sum() > draw)])
    nearest = [int(np.argmin([((row - centre) ** 2).sum() for centre in centres])) for row in rows]
    posterior, before = np.eye(components)[nearest], -math.inf
    for _ in range(MAX_ROUNDS):
        mixture = []
        for weights in posterior.T:
            count = weights.sum() + EMPTY
            mean = sum(w * row for w, row in zip(weights, rows, strict=True)) / count
            variance = (
                sum(w * (row - mean) ** 2 for w, row in zip(weights, rows, strict=True)) / count
            )
            variance = np.full_like(variance, variance.mean()) if spherical else variance
            mixture.append((count / len(rows), mean, variance + FLOOR))
        logs = np.array([[log_density(row, *component) for component in mixture] for row in rows])
        totals = np.array(
            [
                top + math.log(sum(math.exp(log - top) for log in line))
                for top, line in zip(logs.max(1), logs, strict=True)
            ]
        )
        posterior, likelihood = np.exp(logs - totals[:, None]), totals.mean()
        if likelihood - before < TOLERANCE:
            break
        before = likelihood
    return posterior


@pytest.mark.parametrize("covariance", ["diagonal", "spherical"])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_leep_on_the_posterior_of_a_mixture_fitted_in_loops(case, covariance):
    data = case()
    rows = projected(data.features, dimensions=4)
    components = min(2 * data.classes, len(rows) // 5)
    expected = leep(
        data.labels, brute_posterior(rows, components, covariance == "spherical", seed=0)
    )
    score = hw.score(
        "nleep[components=2,dimensions=4]", data.features, data.labels, covariance=covariance
    )
    assert score == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("factor", [0.5**10, 2.0**10])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_the_scale_of_features_does_not_matter(case, factor):
    data = case()
    assert hw.score("nleep", data.scaled(factor).features, data.labels) == pytest.approx(
        hw.score("nleep", data.features, data.labels), rel=1e-5
    )


def test_rows_of_the_posterior_add_up_to_1_and_blocks_change_nothing(monkeypatch):
    from headwater.plugins.estimators import nleep

    rows = projected(cases.many_classes().features)
    whole = mixture_posterior(rows, 7, False, np.random.default_rng(0))
    assert whole.sum(1) == pytest.approx(1)
    monkeypatch.setattr(nleep, "BLOCK_NUMBERS", 50)
    assert mixture_posterior(rows, 7, False, np.random.default_rng(0)) == pytest.approx(
        whole, abs=1e-9
    )


def test_clusters_far_apart_that_are_the_classes_score_nearly_0():
    data = cases.make(60, 5, seed=3, spread=40.0)
    assert -1e-6 < hw.score("nleep", data.features, data.labels) <= 0
    shuffled = np.random.default_rng(0).permutation(data.labels)
    assert hw.score("nleep", data.features, shuffled) < -0.5


def test_one_seed_gives_one_score_and_another_may_give_another():
    data = cases.many_classes()
    scores = [hw.score("nleep", data.features, data.labels, seed=seed) for seed in (0, 0, 1, 2)]
    assert scores[0] == scores[1] and len(set(scores)) == 3


def test_few_images_have_fewer_components_and_it_says_so():
    data = cases.few_images()
    assert (
        hw.score("nleep", data.features, data.labels).note
        == "3 mixture components rather than 15: 18 images"
    )
    assert hw.score("nleep[components=1]", data.features, data.labels).note == ""


def test_images_fewer_than_five_have_one_component_and_score_the_entropy_of_the_labels():
    score = hw.score("nleep", np.random.default_rng(0).normal(size=(4, 6)), [0, 0, 1, 1])
    assert score == pytest.approx(-math.log(2))


def test_images_that_coincide_are_one_component():
    """Three different images of ten copies each: no fourth centre, and nothing is divided by nothing."""
    features = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), 10, axis=0)
    labels = np.repeat([0, 1, 2], 10)
    score = hw.score("nleep", features, labels)
    assert (
        score == pytest.approx(0, abs=1e-9)
        and score.note == "3 mixture components rather than 15: 30 images"
    )


def test_features_that_do_not_vary_say_nothing_of_the_labels():
    data = cases.constant()
    counts = np.bincount(data.labels) / 40
    assert hw.score("nleep", data.features, data.labels) == pytest.approx(
        float(counts @ np.log(counts))
    )


def test_of_many_images_a_seeded_sample_is_taken_and_it_says_so():
    data = cases.make(90, 5, seed=4)
    score = hw.score("nleep[images=50,components=2,seed=3]", data.features, data.labels)
    assert missing_facts(score.note, "50 of 90 images", "seed 3") == []
    assert score == hw.score("nleep[images=50,components=2,seed=3]", data.features, data.labels)


def test_an_unknown_covariance_is_refused():
    data = cases.few_features()
    with pytest.raises(BadName, match="diagonal or spherical"):
        hw.score("nleep[covariance=full]", data.features, data.labels)
