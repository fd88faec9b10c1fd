"""COCO's keypoints: one image for each annotated object, cut out when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.plugins.tasks._coco_file import box_numbers

if TYPE_CHECKING:
    import numpy as np

CropBox = tuple[int, int, int, int]
"""left, top, right, bottom, in whole pixels."""


@dataclass(frozen=True)
class Crop:
    """A part of an image, which is opened when numpy asks for its pixels."""

    file: Path
    box: CropBox

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        import numpy as np
        from PIL import Image

        with Image.open(self.file) as image:
            part = image.convert("RGB").crop(self.box)
        return np.asarray(part, dtype=dtype)


@dataclass(frozen=True)
class Crops(Sequence[Crop]):
    """Parts of images: one of each file, which may come several times."""

    files: Sequence[Path]
    boxes: Sequence[CropBox]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: Any) -> Any:
        return Crop(self.files[row], self.boxes[row])


def crop_box(annotation: Mapping[str, Any], size: tuple[int, int], margin: float) -> CropBox | None:
    """Return the object's box, grown and cut to the image; None if it has no box or nothing of it
    is in the image.

    Args:
        annotation: of the object.
        size: (width, height) of the image.
        margin: share of the box's width and height that is added on each side.
    """
    box = box_numbers(annotation.get("bbox"))
    if box is None:
        return None
    x, y, width, height = box
    left = max(0, math.floor(x - margin * width))
    top = max(0, math.floor(y - margin * height))
    right = min(size[0], math.ceil(x + (1 + margin) * width))
    bottom = min(size[1], math.ceil(y + (1 + margin) * height))
    is_in_image = left < right and top < bottom
    return (left, top, right, bottom) if is_in_image else None


def points_in(flat: Sequence[float], box: CropBox) -> list[list[float]]:
    """Return the points of a crop, (K, 3): x, y from its corner and visibility; all 0 for a point
    that is not labelled.

    Args:
        flat: x, y, v of each point in turn, v = 0 for one that is not labelled.
        box: the crop's.
    """
    left, top, _, _ = box
    points = []
    for place in range(0, len(flat), 3):
        x, y, visibility = flat[place : place + 3]
        point = [0.0, 0.0, 0.0]
        if visibility:
            point = [float(x) - left, float(y) - top, float(visibility)]
        points.append(point)
    return points
