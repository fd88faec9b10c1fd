"""Sufficient statistics: what a plain evaluation gives, however the images are cut into shards."""

from __future__ import annotations

from dataclasses import fields
from functools import reduce
from operator import add

import numpy as np
import pytest
import threadpoolctl

from headwater.registry.errors import DataError
from headwater.registry.evidence import sums as module
from headwater.registry.evidence.labels import LabelKind
from headwater.registry.evidence.moments import Moments


def plain(features, columns, point):
    """The definitions, written out image by image."""
    z = features.astype(np.float64) - point
    return {
        "count": len(z),
        "sums": sum(z),
        "gram": sum(np.outer(row, row) for row in z),
        "cross": sum(np.outer(y, row) for y, row in zip(columns, z, strict=True)),
        "label_sums": sum(columns),
        "label_squares": sum(columns**2),
        "cubes": sum((row @ row) * row for row in z),
        "fourths": sum((row @ row) ** 2 for row in z),
    }


def check(found: Moments, features, columns, tolerance=1e-10):
    for about, point in (
        ("origin", found.origin),
        ("mean", features.astype(np.float64).mean(0)),
        ("zero", np.zeros(features.shape[1])),
    ):
        moved = {"origin": found, "mean": found.centred, "zero": found.raw}[about]
        for name, expected in plain(features, columns, point).items():
            scale = np.abs(plain(features, np.abs(columns), point)[name]).max() + 1e-30
            assert np.abs(getattr(moved, name) - expected).max() <= tolerance * max(scale, 1.0), (
                about,
                name,
            )


@pytest.fixture(params=[(50, 4), (7, 12), (2, 1)], ids=str)
def data(request):
    count, width = request.param
    random = np.random.default_rng(count)
    return random.normal(size=(count, width)) + 3.0, random.permutation(np.arange(count) % 3)


def one_hot(labels, classes=None):
    return np.eye(classes or labels.max() + 1)[labels]


def test_of_classes(data):
    features, labels = data
    check(Moments.of(features, labels), features, one_hot(labels))


@pytest.mark.parametrize("kind", [LabelKind.NUMBERS, LabelKind.FLAGS])
def test_of_label_columns(kind):
    random = np.random.default_rng(1)
    features, targets = random.normal(size=(30, 5)), random.normal(size=(30, 3))
    columns = targets if kind is LabelKind.NUMBERS else (targets > 0).astype(np.int64)
    check(Moments.of(features, columns, label_kind=kind), features, columns.astype(float))


@pytest.mark.parametrize(
    "cuts", [[1], [25], [49], [50], [10, 11, 11, 30], list(range(1, 50))], ids=len
)
def test_shards_add_up_to_the_whole_wherever_they_are_cut(cuts):
    random = np.random.default_rng(2)
    features, labels = (
        random.normal(size=(50, 4)) * 2 + 5,
        np.sort(random.integers(0, 4, 50)),
    )  # sorted: most shards lack classes
    shards = zip(np.split(features, cuts), np.split(labels, cuts), strict=True)
    merged = reduce(add, (Moments.of(part, own, classes=4) for part, own in shards))
    check(merged, features, one_hot(labels, 4))


def test_the_order_of_shards_does_not_matter():
    random = np.random.default_rng(3)
    parts = [
        Moments.of(random.normal(size=(9, 3)) + shift, random.integers(0, 2, 9), classes=2)
        for shift in (0.0, 10.0, -4.0)
    ]
    one, other = (reduce(add, order).centred for order in (parts, parts[::-1]))
    for field in fields(Moments):
        assert np.allclose(
            getattr(one, field.name), getattr(other, field.name), rtol=1e-11, atol=1e-11
        ), field.name


def test_shards_of_other_classes_or_features_do_not_add_up():
    features, labels = np.eye(4), np.array([0, 1, 0, 1])
    with pytest.raises(DataError, match="do not add up"):
        Moments.of(features, labels) + Moments.of(features, labels, classes=3)
    with pytest.raises(DataError, match=r"4 features and 2 classes .* 3 and 2"):
        Moments.of(features, labels) + Moments.of(features[:, :3], labels)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_blocks_and_threads_make_no_difference(monkeypatch, data, threads):
    features, labels = data
    monkeypatch.setattr(module, "BLOCK_VALUES", 3 * features.shape[1])
    blas = {"num_threads": threads, "user_api": "blas"}
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: [blas])
    check(Moments.of(features, labels), features, one_hot(labels))


def test_features_on_disk_are_read_block_by_block(tmp_path, monkeypatch):
    import tracemalloc

    monkeypatch.setattr(module, "BLOCK_VALUES", 1 << 15)
    random = np.random.default_rng(4)
    features, labels = (
        random.normal(size=(40_000, 16)).astype(np.float32),
        random.integers(0, 5, 40_000),
    )
    np.save(tmp_path / "features.npy", features)
    tracemalloc.start()
    found = Moments.of(np.load(tmp_path / "features.npy", mmap_mode="r"), labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < features.nbytes / 2
    assert np.allclose(
        found.raw.gram, features.T.astype(np.float64) @ features.astype(np.float64), rtol=1e-12
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_mean_far_from_zero_costs_no_digits(scale):
    """The covariance of float32 features a million deviations from zero is that of these very numbers."""
    random = np.random.default_rng(5)
    features = ((random.integers(-8, 8, (60, 4)) / 8 + 2.0**20) * scale).astype(np.float32)
    exact = features.astype(np.float64)
    exact -= exact.mean(0)
    found = Moments.of(features, np.arange(60) % 3).centred.gram
    assert np.allclose(found, exact.T @ exact, rtol=1e-9, atol=1e-9 * scale**2)


def test_within_is_the_mean_covariance_within_classes(data):
    features, labels = data
    classes, counts = np.unique(labels, return_counts=True)
    expected = sum(
        count / len(labels) * np.cov(features[labels == c].T, bias=True)
        for c, count in zip(classes, counts, strict=True)
    )
    assert np.allclose(Moments.of(features, labels).within, expected, atol=1e-10)


def test_class_means_are_about_the_mean(data):
    features, labels = data
    expected = [features[labels == c].mean(0) - features.mean(0) for c in range(labels.max() + 1)]
    assert np.allclose(Moments.of(features, labels).class_means, expected, atol=1e-12)
