"""COCO's outlines: which can be drawn, and what they are drawn as."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as run_lengths

from headwater.plugins.tasks._coco_masks import Masks, Outlined, drawable


def square(left, top, side):
    return [[left, top, left + side, top, left + side, top + side, left, top + side]]


def test_small_objects_lie_on_large_ones_and_crowds_below_all():
    objects = [
        Outlined(1, square(4, 4, 2), ()),
        Outlined(2, square(2, 2, 6), ()),
        Outlined(3, square(3, 3, 1), (), crowd=True),
    ]
    expected = np.zeros((10, 12), np.uint8)
    expected[2:8, 2:8] = 2
    expected[4:6, 4:6] = 1
    assert (Masks([(10, 12)], [objects], 0)[0] == expected).all()
    assert (Masks([(10, 12)], [objects[::-1]], 0)[0] == expected).all()


def test_run_lengths_are_drawn_packed_or_not():
    shape = np.zeros((10, 12), np.uint8, order="F")
    shape[3:7, 5:9] = 1
    flat = shape.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    packed = run_lengths.encode(shape)
    for outline in (
        {"size": [10, 12], "counts": counts},
        {"size": [10, 12], "counts": packed["counts"].decode()},
    ):
        assert drawable(outline, 10, 12) == outline
        assert (Masks([(10, 12)], [[Outlined(7, outline, ())]], 0)[0] == shape * 7).all()


@pytest.mark.parametrize(
    "outline",
    [
        None,
        [],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[0, 0, 5, 0, float("nan"), 5]],
        [[0, 0, 1e12, 0, 1e12, 1e12]],
        {"size": [10, 12], "counts": [1, 2]},
        {"size": [10, 12], "counts": [500, 500]},
        {"size": [10, 12], "counts": [-20, 140]},
        {"size": [12, 10], "counts": [120]},
        {"counts": [120]},
        {"size": [10, 12], "counts": [60.5, 59.5]},
        {"size": [10, 12], "counts": ""},
        {"size": [10, 12], "counts": "zzzz"},
        {"size": [10, 12], "counts": "é"},
        {"size": [10, 12], "counts": "o" * 40},
        [[0, 0, 5, 0, 5, 5], [1, 2, 3, 4]],
        "polygon",
    ],
)
def test_outlines_that_cannot_be_drawn_are_none(outline):
    assert drawable(outline, 10, 12) is None
