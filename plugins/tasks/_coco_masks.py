"""COCO's outlines as masks, drawn when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headwater.plugins.tasks._coco_file import are_numbers

VOID = 255
FAR = 10
"""Corners may lie so many image sides away."""


@dataclass(frozen=True)
class Outlined:
    """An object to be drawn as ``value``: its ``drawable`` outline, or its box where it has none, or all of the image without that too."""

    value: int
    outline: Any
    box: Sequence[float] | None
    crowd: bool = False

    def run_lengths(self, height: int, width: int) -> Any:
        """pycocotools' run lengths, or None without an outline."""
        from pycocotools import mask

        if isinstance(self.outline, Mapping):
            packed = isinstance(self.outline["counts"], str)
            return (
                dict(self.outline)
                if packed
                else mask.frPyObjects(dict(self.outline), height, width)
            )
        return mask.merge(mask.frPyObjects(self.outline, height, width)) if self.outline else None


def drawable(outline: Any, height: int, width: int) -> Any:
    """An outline that can be drawn, polygons or run lengths of the image's size; None for anything else, and where a part of it cannot.

    pycocotools trusts what it is given: it would draw whatever is in the memory, or fill it.
    """
    if isinstance(outline, Mapping):
        counts = outline.get("counts")
        lengths: Any = unpacked(counts) if isinstance(counts, str) else counts
        whole = are_numbers(lengths, 0, height * width) and all(
            isinstance(length, int) for length in lengths
        )
        return (
            outline
            if whole and sum(lengths) == height * width and outline.get("size") == [height, width]
            else None
        )
    far = FAR * max(height, width)
    polygons = outline if isinstance(outline, list) else []
    return (
        polygons
        if polygons and all(_is_polygon(each) and are_numbers(each, -far, far) for each in polygons)
        else None
    )


def _is_polygon(polygon: Any) -> bool:
    """At least three corners, x and y in turn."""
    return isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0


def unpacked(text: str) -> list[int]:
    """The run lengths in COCO's packed form; an impossible one, -1, at the end where it breaks off.

    A character says five bits of a number, the lowest first, and with a sixth whether there are more of it; a number is in two's
    complement and, from the fourth on, what is to be added to the one before the last (maskApi.c, rleFrString).
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - ord("0")
        if not 0 <= bits < 64 or shift > 30:
            return [-1]
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return [*lengths, -1] if shift else lengths


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
            left, top, right, bottom = _corners(each.box) if each.box else (0, 0, width, height)
            drawn[top:bottom, left:right] = each.value
        for each, lengths in sorted(
            outlined, key=lambda pair: (not pair[0].crowd, -int(mask.area(pair[1])))
        ):
            drawn[mask.decode(lengths).astype(bool)] = each.value
        return drawn


def _corners(box: Sequence[float]) -> tuple[int, int, int, int]:
    x, y, width, height = box
    return max(0, int(x)), max(0, int(y)), max(0, int(x + width + 1)), max(0, int(y + height + 1))
