"""COCO's outlines as masks, drawn when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

VOID = 255
FAR = 10
"""Corners may lie so many image sides away."""


@dataclass(frozen=True)
class Outlined:
    """An object to be drawn as ``value``: its ``drawable`` outline, or its box where it has none."""

    value: int
    outline: Any
    box: Sequence[float]
    crowd: bool = False

    def run_lengths(self, height: int, width: int) -> Any:
        """pycocotools' run lengths, or None without an outline."""
        from pycocotools import mask

        if isinstance(self.outline, Mapping):
            packed = isinstance(self.outline["counts"], str)
            return dict(self.outline) if packed else mask.frPyObjects(dict(self.outline), height, width)
        return mask.merge(mask.frPyObjects(self.outline, height, width)) if self.outline else None


def drawable(outline: Any, height: int, width: int) -> Any:
    """What of an outline can be drawn: its polygons, or run lengths of the image's size; None for nothing.

    pycocotools trusts what it is given; numbers out of all proportion would cost it the memory.
    """
    if isinstance(outline, Mapping):
        counts, size = outline.get("counts"), outline.get("size")
        whole = isinstance(counts, str) or (
            isinstance(counts, list) and _are_numbers(counts, 0, height * width) and sum(counts) == height * width
        )
        return outline if whole and size == [height, width] else None
    far = FAR * max(height, width)
    polygons = [each for each in outline if _is_polygon(each) and _are_numbers(each, -far, far)] if isinstance(outline, list) else []
    return polygons or None


def _is_polygon(polygon: Any) -> bool:
    """At least three corners, x and y in turn."""
    return isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0


def _are_numbers(values: list[Any], low: float, high: float) -> bool:
    return all(isinstance(value, int | float) and low <= value <= high for value in values)


@dataclass(frozen=True)
class Masks(Sequence[Any]):
    """Of each image its (height, width) and objects -> (H, W) uint8; ``empty`` where no object is.

    At the bottom lie the boxes of objects without outlines, then crowd regions, then the objects from the largest to the smallest, so
    that a small one is seen on a large one.
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
        found = [(each, each.run_lengths(height, width)) for each in self.objects[row]]
        outlined = [(each, lengths) for each, lengths in found if lengths is not None]
        for each in (each for each, lengths in found if lengths is None):
            left, top, right, bottom = _corners(each.box)
            drawn[top:bottom, left:right] = each.value
        for each, lengths in sorted(outlined, key=lambda pair: (not pair[0].crowd, -int(mask.area(pair[1])))):
            drawn[mask.decode(lengths).astype(bool)] = each.value
        return drawn


def _corners(box: Sequence[float]) -> tuple[int, int, int, int]:
    x, y, width, height = box
    return max(0, int(x)), max(0, int(y)), max(0, int(x + width + 1)), max(0, int(y + height + 1))
