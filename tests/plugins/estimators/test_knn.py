"""k nearest neighbours against a sorted list of distances for each image."""

from __future__ import annotations

import math

import numpy as np
import pytest

import headwater as hw
from headwater.registry.errors import BadName
from tests.plugins.estimators import cases


def distance(a, b, metric):
    if metric == "l2":
        return math.dist(a, b)
    lengths = math.hypot(*a) * math.hypot(*b)
    return 1 - sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 1.0


def neighbours(features, image, k, metric):
    """The k nearest other images; of equally near ones the earlier first."""
    rows = [[float(value) for value in row] for row in features]
    others = [other for other in range(len(rows)) if other != image]
    apart = {other: round(distance(rows[image], rows[other], metric), 9) for other in others}
    return sorted(others, key=lambda other: (apart[other], other))[:k]


def voted(labels):
    """The class with most votes; among several the one that comes first, that of the nearest."""
    return max(labels, key=labels.count)


def brute(case, k=5, metric="cosine"):
    labels = case.labels.tolist()
    guesses = [
        voted([labels[other] for other in neighbours(case.features, image, k, metric)])
        for image in range(len(labels))
    ]
    return sum(guess == label for guess, label in zip(guesses, labels, strict=True)) / len(labels)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("k", [1, 4, 5])
@pytest.mark.parametrize(
    "case", [case for case in cases.CASES if case is not cases.far_from_zero], ids=cases.name
)
def test_it_is_the_share_of_images_whose_neighbours_vote_for_their_class(case, k, metric):
    data = case()
    assert hw.score("knn", data.features, data.labels, k=k, metric=metric) == pytest.approx(
        brute(data, k, metric), abs=1e-12
    )


def test_far_from_zero_distances_keep_their_order():
    data = cases.far_from_zero()
    assert hw.score("knn[metric=l2]", data.features, data.labels) == pytest.approx(
        brute(data, metric="l2"), abs=1e-12
    )


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_blocks_of_images_and_single_precision_find_the_same_neighbours(metric, kind, monkeypatch):
    from headwater.plugins.estimators import knn

    data = cases.make(120, 6, classes=4, seed=3)
    whole = hw.score("knn", data.features.astype(kind), data.labels, metric=metric)
    monkeypatch.setattr(knn, "BLOCK_NUMBERS", 1300)  # ten images at a time
    monkeypatch.setattr(knn, "EXACT_NUMBERS", 0)
    assert (
        hw.score("knn", data.features.astype(kind), data.labels, metric=metric)
        == whole
        == pytest.approx(brute(data, metric=metric))
    )


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_the_scale_of_features_does_not_matter(case, metric, factor):
    data = case()
    assert hw.score("knn", data.scaled(factor).features, data.labels, metric=metric) == hw.score(
        "knn", data.features, data.labels, metric=metric
    )


def test_a_tie_of_votes_goes_to_the_class_of_the_nearest():
    """The image at 0 (class 0) has neighbours of class 1, 0, 0, 1, nearest first: two votes each."""
    from headwater.plugins.estimators.knn import vote

    assert vote(np.array([[1, 0, 0, 1], [0, 1, 1, 0], [2, 1, 1, 0]])).tolist() == [1, 0, 1]


def test_of_equally_near_images_the_earlier_is_the_nearer(monkeypatch):
    """On a lattice, distances are equal in fours; also where the images come in blocks."""
    from headwater.plugins.estimators import knn

    grid = np.array([[x, y] for x in range(6) for y in range(6)], dtype=float) * 0.1 + 7.3
    labels = np.random.default_rng(0).integers(0, 3, 36)
    expected = [neighbours(grid, image, 3, "l2") for image in range(36)]
    assert knn.nearest_neighbours(grid, np.arange(36), 3, "l2").tolist() == expected
    monkeypatch.setattr(knn, "BLOCK_NUMBERS", 250)
    assert knn.nearest_neighbours(grid, np.arange(36), 3, "l2").tolist() == expected
    assert hw.score("knn[k=3,metric=l2]", grid, labels) == pytest.approx(
        brute(cases.Case(grid, labels, grid), 3, "l2")
    )


def test_an_image_is_not_its_own_neighbour_and_there_are_no_more_than_the_others():
    features, labels = np.array([[0.0], [0.1], [5.0]]), [0, 0, 1]
    assert hw.score("knn[k=1,metric=l2]", features, labels) == pytest.approx(2 / 3)
    assert hw.score("knn[k=50,metric=l2]", features, labels) == pytest.approx(2 / 3)


def test_of_many_images_a_seeded_sample_is_predicted_from_all_others():
    data = cases.make(80, 5, seed=4, spread=0.7)
    score = hw.score("knn[images=25,seed=3]", data.features, data.labels)
    asked = np.sort(np.random.default_rng(3).choice(80, 25, replace=False))
    labels = data.labels.tolist()
    right = [
        voted([labels[other] for other in neighbours(data.features, image, 5, "cosine")])
        == labels[image]
        for image in asked
    ]
    assert score == pytest.approx(np.mean(right)) and score.note == "of 25 of 80 images, seed 3"


def test_regression_is_r_squared_of_the_neighbours_mean():
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 3))
    targets = np.c_[features[:, 0] * 5 + random.normal(size=60), random.normal(size=60)]
    predicted = np.array(
        [
            np.mean([targets[other] for other in neighbours(features, image, 5, "l2")], 0)
            for image in range(60)
        ]
    )
    first, second = 1 - ((targets - predicted) ** 2).sum(0) / (
        (targets - targets.mean(0)) ** 2
    ).sum(0)
    assert second < 0 < 0.5 < first
    score = hw.score("knn[metric=l2]", features, targets, task_type="regression")
    assert score == pytest.approx(first / 2)  # no better than the mean counts as 0


def test_multilabel_is_the_area_under_the_curve_of_the_neighbours_share():
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    features = random.normal(size=(60, 4))
    flags = (features[:, :3] + random.normal(size=(60, 3)) > 0.3).astype(int)
    shares = np.array(
        [
            np.mean([flags[other] for other in neighbours(features, image, 5, "cosine")], 0)
            for image in range(60)
        ]
    )
    expected = np.mean([roc_auc_score(flags[:, column], shares[:, column]) for column in range(3)])
    constant = np.c_[flags, np.zeros(60, int)]  # no image has the fourth label: it is left out
    assert hw.score("knn", features, constant, task_type="multilabel") == pytest.approx(expected)


@pytest.mark.parametrize("options", [{"metric": "manhattan"}, {"k": 0}])
def test_options_that_mean_nothing_are_refused(options):
    data = cases.few_features()
    with pytest.raises(BadName):
        hw.score("knn", data.features, data.labels, **options)
