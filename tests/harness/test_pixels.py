"""Pixels of dense tasks: balanced, in the right cell, and the same for every source."""

from __future__ import annotations

import numpy as np
import pytest

import headwater as hw
from headwater.registry.errors import DataError


def maps(count, height, width):
    """Features that say which image and cell they are from: (N, 3, h, w)."""
    return np.stack(
        np.meshgrid(np.arange(count), np.arange(height), np.arange(width), indexing="ij"), axis=1
    ).astype(np.float32)


def test_a_pixel_has_the_features_of_the_cell_its_centre_lies_in():
    """Masks of 5 × 6 over maps of 2 × 3: pixel row 2 of 5 has its centre at exactly ½ and belongs to the lower cell."""
    masks = np.arange(60).reshape(2, 5, 6)
    features, labels = hw.sample_pixels(maps(2, 2, 3), masks)
    assert labels.tolist() == list(range(60))
    image, row, column = np.unravel_index(labels, masks.shape)
    assert np.array_equal(features[:, 0], image)
    assert np.array_equal(features[:, 1], np.array([0, 0, 1, 1, 1])[row])
    assert np.array_equal(features[:, 2], np.array([0, 0, 1, 1, 2, 2])[column])


@pytest.mark.parametrize("side", [1, 2, 3, 7, 16])
def test_any_ratio_of_sides_agrees_with_the_definition(side):
    masks = np.arange(9 * 9).reshape(1, 9, 9)
    features, labels = hw.sample_pixels(maps(1, side, side), masks, ignore=-1)
    for cell, pixel in zip(features[:, 1:], labels, strict=True):
        assert cell.tolist() == [
            int((pixel // 9 + 0.5) / 9 * side),
            int((pixel % 9 + 0.5) / 9 * side),
        ]


def test_classes_are_balanced_and_small_ones_whole():
    masks = np.zeros((4, 10, 10), dtype=np.uint8)
    masks[:, :2] = 7
    masks[0, 9, 9] = 3
    masks[:, 5] = 255
    labels = hw.sample_pixels(maps(4, 5, 5), masks, per_class=30)[1]
    assert dict(zip(*np.unique(labels, return_counts=True), strict=True)) == {0: 30, 3: 1, 7: 30}


def test_the_same_seed_draws_the_same_pixels_whatever_the_source():
    masks = np.random.default_rng(0).integers(0, 3, (3, 12, 12))
    one, other = (
        hw.sample_pixels(maps(3, side, side), masks, per_class=20, seed=5)[0] for side in (12, 6)
    )
    assert np.array_equal(one[:, 1:] // 2, other[:, 1:]) and np.array_equal(one[:, 0], other[:, 0])
    assert not np.array_equal(
        one, hw.sample_pixels(maps(3, 12, 12), masks, per_class=20, seed=6)[0]
    )


def test_pixels_are_scored_as_images_are():
    random = np.random.default_rng(1)
    masks = random.integers(0, 3, (6, 8, 8))
    masks[:, 4:] = 255
    informed = np.stack([masks == c for c in range(3)], axis=1) + random.normal(size=(6, 3, 8, 8))
    scores = [
        hw.score("logme", *hw.sample_pixels(features, masks))
        for features in (informed, random.normal(size=(6, 3, 8, 8)))
    ]
    assert scores[0] > scores[1] + 0.05


@pytest.mark.parametrize(
    ("features", "masks", "says"),
    [
        (np.zeros((2, 3, 4)), np.zeros((2, 8, 8), int), r"feature maps have shape \(2, 3, 4\)"),
        (np.zeros((2, 3, 4, 4)), np.zeros((2, 8, 8)), "masks are float64"),
        (
            np.zeros((2, 3, 4, 4)),
            np.zeros((3, 8, 8), int),
            "masks .* 3 images, feature maps of 2",
        ),
        (np.zeros((2, 3, 4, 4)), np.full((2, 8, 8), 255), "no pixel has a class"),
    ],
)
def test_what_does_not_fit_is_named(features, masks, says):
    with pytest.raises(DataError, match=says):
        hw.sample_pixels(features, masks)
