"""COCO's outlines as masks, drawn by pycocotools when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headwater.plugins.tasks._coco_file import are_numbers

VOID = 255
"""Value of a pixel that counts for nothing."""
MAX_DISTANCE = 10
"""Largest coordinate of a corner, in image sides."""


@dataclass(frozen=True)
class Outlined:
    """An object to be drawn.

    Attributes:
        value: class number, drawn where the object is.
        outline: polygons or run lengths (see ``drawable``); None: the box is filled, all of the
            image without a box.
        box: x, y, width, height; None if there is none.
        crowd: it is a region of several objects.
    """

    value: int
    outline: Any
    box: Sequence[float] | None
    crowd: bool = False

    def run_lengths(self, height: int, width: int) -> Any:
        """Return pycocotools' run lengths; None without an outline."""
        from pycocotools import mask

        if not self.outline:
            return None
        if not isinstance(self.outline, Mapping):
            polygons = mask.frPyObjects(self.outline, height, width)
            return mask.merge(polygons)
        lengths = dict(self.outline)
        is_packed = isinstance(lengths["counts"], str)
        return lengths if is_packed else mask.frPyObjects(lengths, height, width)


def drawable(outline: Any, height: int, width: int) -> Any:
    """Return the outline if it can be drawn: polygons, or run lengths of the image's size; else,
    also for a part, None.

    pycocotools trusts its input: it would draw whatever is in the memory, or fill it.
    """
    if isinstance(outline, Mapping):
        is_drawable = _are_run_lengths(outline, height, width)
    elif isinstance(outline, list) and outline:
        farthest = MAX_DISTANCE * max(height, width)
        is_drawable = all(_is_polygon(polygon, farthest) for polygon in outline)
    else:
        is_drawable = False
    return outline if is_drawable else None


def _are_run_lengths(outline: Mapping[str, Any], height: int, width: int) -> bool:
    """Return True for run lengths, packed or as numbers, that cover an image of that size exactly."""
    counts = outline.get("counts")
    lengths: Any = unpacked(counts) if isinstance(counts, str) else counts
    pixels = height * width
    if not are_numbers(lengths, 0, pixels):
        return False
    if not all(isinstance(length, int) for length in lengths):
        return False
    return sum(lengths) == pixels and outline.get("size") == [height, width]


def _is_polygon(polygon: Any, farthest: float) -> bool:
    """Return True for at least three corners, x and y in turn, none of them too far away."""
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        return False
    return are_numbers(polygon, -farthest, farthest)


def unpacked(text: str) -> list[int]:
    """Return the run lengths in COCO's packed form; if it breaks off, the last is an impossible
    one, -1.

    A character holds five bits of a number, the lowest first, and a sixth that tells if more
    follow; a number is in two's complement and, from the fourth on, is to be added to the one
    before the last (pycocotools' maskApi.c, rleFrString).
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - ord("0")
        # Lengths of images fit into seven characters; more would fill the memory.
        if not 0 <= bits < 64 or shift > 30:
            return [-1]
        value |= (bits & 31) << shift
        shift += 5
        has_more = bits & 32
        if has_more:
            continue
        # The highest of the five bits is the sign.
        value -= (bits & 16) << (shift - 4)
        if len(lengths) > 2:
            value += lengths[-2]
        lengths.append(value)
        value = shift = 0
    if shift:
        lengths.append(-1)
    return lengths


@dataclass(frozen=True)
class Masks(Sequence[Any]):
    """The masks of images, (H, W) uint8.

    At the bottom lie the boxes of objects without outlines, then crowd regions, then the objects
    from the largest to the smallest, so that a small one is seen on a large one.

    Attributes:
        sizes: (height, width) of each image.
        objects: of each image.
        empty: value where there is no object.
    """

    sizes: Sequence[tuple[int, int]]
    objects: Sequence[Sequence[Outlined]]
    empty: int

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, row: Any) -> Any:
        import numpy as np
        from pycocotools import mask

        height, width = self.sizes[row]
        drawn = np.full((height, width), self.empty, np.uint8)
        outlined = []
        for item in self.objects[row]:
            lengths = item.run_lengths(height, width)
            if lengths is not None:
                order = (not item.crowd, -int(mask.area(lengths)))
                outlined.append((order, item.value, lengths))
                continue
            left, top, right, bottom = _corners(item.box) if item.box else (0, 0, width, height)
            drawn[top:bottom, left:right] = item.value
        outlined.sort(key=lambda entry: entry[0])
        for _, value, lengths in outlined:
            is_covered = mask.decode(lengths).astype(bool)
            drawn[is_covered] = value
        return drawn


def _corners(box: Sequence[float]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of all pixels that a box touches, from the image's corner."""
    x, y, width, height = box
    corners = (x, y, x + width + 1, y + height + 1)
    # An index below 0 would count from the other side.
    left, top, right, bottom = (max(0, int(value)) for value in corners)
    return left, top, right, bottom
