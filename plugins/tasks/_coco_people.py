"""COCO's keypoints: one image for each annotated object, cut out when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.plugins.tasks._coco_file import four

if TYPE_CHECKING:
    import numpy as np

Box = tuple[int, int, int, int]
"""left, top, right, bottom, in whole pixels."""


@dataclass(frozen=True)
class Crop:
    """A part of an image, which is opened when numpy asks for its pixels."""

    file: Path
    box: Box

    @property
    def size(self) -> tuple[int, int]:
        """width, height."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        import numpy as np
        from PIL import Image

        with Image.open(self.file) as image:
            return np.asarray(image.convert("RGB").crop(self.box), dtype=dtype)


@dataclass(frozen=True)
class Crops(Sequence[Crop]):
    """Parts of images."""

    files: Sequence[Path]
    boxes: Sequence[Box]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: Any) -> Any:
        return Crop(self.files[row], self.boxes[row])


def crop_of(annotation: Mapping[str, Any], size: tuple[int, int], margin: float) -> Box | None:
    """The object's box, grown on each side by ``margin`` of its width or height, within the image (width, height); None for nothing."""
    if (box := four(annotation.get("bbox"))) is None:
        return None
    x, y, width, height = box
    left, top = math.floor(x - margin * width), math.floor(y - margin * height)
    right, bottom = math.ceil(x + (1 + margin) * width), math.ceil(y + (1 + margin) * height)
    found = max(0, left), max(0, top), min(size[0], right), min(size[1], bottom)
    return found if found[0] < found[2] and found[1] < found[3] else None


def points_in(flat: Sequence[float], box: Box) -> list[list[float]]:
    """(K, 3): x, y from the crop's corner and visibility, of x, y, v in turn; all 0 where a point is not labelled (v = 0)."""
    triples = [flat[place : place + 3] for place in range(0, len(flat), 3)]
    return [
        [float(x) - box[0], float(y) - box[1], float(v)] if v else [0.0, 0.0, 0.0]
        for x, y, v in triples
    ]
