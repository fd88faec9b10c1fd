"""Evidence: arrays are checked once, and labels compacted."""

from __future__ import annotations

import numpy as np
import pytest

from headwater.registry import Evidence
from headwater.registry.errors import DataError
from headwater.registry.evidence.shape import Shape

X = np.arange(12.0).reshape(6, 2)
Y = [0, 1, 0, 1, 2, 2]


@pytest.mark.parametrize(
    ("labels", "encoded"),
    [
        ([0, 1, 0, 1, 2, 2], [0, 1, 0, 1, 2, 2]),
        ([5, -1, 5, -1, 9, 9], [1, 0, 1, 0, 2, 2]),
        (["b", "a", "b", "a", "c", "c"], [1, 0, 1, 0, 2, 2]),
        ([True, False] * 3, [1, 0] * 3),
        ([1.0, 0.0, 1.0, 0.0, 7.0, 7.0], [1, 0, 1, 0, 2, 2]),
        ([[0], [3], [0], [3], [4], [4]], [0, 1, 0, 1, 2, 2]),
        (np.array([2, 10, 2, 10, 2, 2], dtype=np.uint8), [0, 1, 0, 1, 0, 0]),
        (np.array(["x", "y", "x", "y", "x", "x"], dtype=object), [0, 1, 0, 1, 0, 0]),
    ],
)
def test_classes_are_compacted_in_sorted_order(labels, encoded):
    found = Evidence.of(X, labels).labels
    assert found.tolist() == encoded and found.dtype == np.int64


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("float32", "float32"),
        ("float64", "float64"),
        ("float16", "float32"),
        ("int64", "float64"),
        ("bool", "float64"),
    ],
)
def test_features_stay_in_their_precision(given, kept):
    assert Evidence.of(X.astype(given), Y).features.dtype == kept


def test_an_array_is_not_copied_and_a_file_not_read(tmp_path):
    assert Evidence.of(X, Y).features is X
    np.save(tmp_path / "x.npy", X)
    assert isinstance(
        Evidence.of(np.load(tmp_path / "x.npy", mmap_mode="r"), Y).features, np.memmap
    )


def test_numbers_are_columns():
    flat = Evidence.of(X, [0.5, 1, 2, 3, 4, 5], label_kind="numbers")
    assert flat.labels.shape == (6, 1) and flat.labels.dtype == np.float64
    assert flat.shape == Shape(6, 2, None, None)


def test_flags_are_whole():
    found = Evidence.of(X, np.eye(6)[:, :3], label_kind="flags")
    assert found.labels.dtype == np.int64 and found.shape.classes == 3


def test_the_shape_counts_the_classes_that_occur():
    assert Evidence.of(X, [0, 9, 0, 9, 0, 9], np.full((6, 4), 0.25)).shape == Shape(6, 2, 2, 4)


def test_probabilities_of_half_precision_are_rescaled():
    given = np.full((6, 3), 1 / 3).astype(np.float16)
    given[0, 0] += np.float16(5e-4)
    found = Evidence.of(X, Y, given).source_probabilities
    assert found.dtype == np.float32 and np.abs(found.sum(1) - 1).max() < 1e-6


def test_exact_probabilities_are_not_copied():
    given = np.full((6, 4), 0.25)
    assert Evidence.of(X, Y, given).source_probabilities is given


def with_value(value):
    features = X.copy()
    features[4, 1] = value
    return features


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((X[0], Y), r"features have shape \(2,\)"),
        ((X[:, :, None, None], Y), r"features have shape \(6, 2, 1, 1\)"),
        ((X[:, :0], Y), r"features have shape \(6, 0\)"),
        ((X[:1], [0]), "features are of 1 image"),
        ((X[:0], []), "features are of 0 images"),
        ((with_value(np.nan), Y), "image 4 .* nan in column 1"),
        ((with_value(-np.inf), Y), "image 4 .* -inf in column 1"),
        ((X.astype(str), Y), "features .* array of numbers"),
        (([[1, 2], [3]] * 3, Y), "features .* array of numbers"),
        ((X + 1j, Y), "features .* array of numbers"),
        ((X, Y[:4]), "labels .* 4 images, features of 6"),
        ((X, [3] * 6), "all labels are 3"),
        ((X, np.eye(6)[:, :3]), r"labels have shape \(6, 3\)"),
        ((X, [0.5, 1, 0, 1, 2, 2]), "labels are no whole numbers"),
        ((X, [np.nan, 1, 0, 1, 2, 2]), "labels are no whole numbers"),
        ((X, [None, "a", "b", "a", "b", "a"]), "an image has no label"),
        ((X, Y, np.full((5, 4), 0.25)), "source_probabilities are of 5 images"),
        ((X, Y, np.full((6, 4), 0.3)), r"1\.2 for image 0"),
        ((X, Y, np.tile([1.5, -0.5], (6, 1))), "one has the value -0.5"),
        ((X, Y, np.full((6, 4), np.nan)), "source_probabilities of image 0 .* nan"),
        ((X, [1.0] * 6, None, "numbers"), "the same targets"),
        ((X, [np.inf, *Y[1:]], None, "numbers"), "labels of image 0 .* inf"),
        ((X, ["a"] * 6, None, "numbers"), "labels are not numbers"),
        ((X, np.full((6, 2), 2), None, "flags"), "flags are 0 or 1"),
        ((X, np.ones((6, 2)), None, "flags"), "the same labels"),
        ((X, Y, None, "boxes"), "labels of kind 'boxes'"),
    ],
)
def test_what_cannot_be_scored_is_named(arguments, says):
    with pytest.raises(DataError, match=says):
        Evidence.of(*arguments)
