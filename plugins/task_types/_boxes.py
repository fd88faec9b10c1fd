"""Boxes as data sets write them: read, checked, and scaled to shares of the image's sides; and the
places to probe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headwater import DataError, Flaw, Probe
from headwater.plugins.task_types._checks import is_index

BOX_KEYS = ("bbox", "boxes", "bboxes")
"""What data sets call boxes."""
CATEGORY_KEYS = ("category", "categories", "category_id", "label", "labels", "class", "classes")
"""What data sets call the boxes' classes."""
SHARES_SUFFIX = "_shares"
"""Ends the name of a format whose boxes are not in pixels."""
MAX_SILENT_CLIP = 1
"""Pixels that a box may reach over the edge unreported: data sets count from 1, or to the last
pixel.
"""
PROBE_TRIES = 8
"""Places drawn in each image to find some that lie in no box."""
IMAGE_LEFT_OUT = "image left out"


@dataclass(frozen=True)
class ImageBoxes:
    """The boxes of one image.

    Attributes:
        encoded: (n, 5) float32: x1, y1, x2, y2 as shares of the image's sides, and the class.
        flaws: what is wrong and how it was handled; the image's name is still to be filled in.
        left_out: the whole image is, as what is in it is not known.
        written: all of its boxes, (m, 4), in the data set's numbers.
    """

    encoded: np.ndarray = field(default_factory=lambda: np.zeros((0, 5), np.float32))
    flaws: tuple[Flaw, ...] = ()
    left_out: bool = False
    written: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))


@dataclass(frozen=True)
class BoxFormat:
    """How a data set writes its boxes.

    Attributes:
        corners: "xywh", "xyxy" or "cxcywh".
        shares: the numbers are shares of the image's sides, not pixels.
        classes: name -> index.
    """

    corners: str
    shares: bool
    classes: Mapping[str, int]

    @classmethod
    def parse(cls, text: Any, classes: Sequence[str]) -> BoxFormat:
        """Return the format of the convention ``boxes=text``, such as "xywh" or "cxcywh_shares";
        raise DataError.
        """
        corners = str(text).removesuffix(SHARES_SUFFIX)
        if corners not in _TO_CORNERS:
            formats = [*_TO_CORNERS, *(f"{name}{SHARES_SUFFIX}" for name in _TO_CORNERS)]
            raise DataError(
                f"boxes={text} is not known",
                subject=str(text),
                hint=f"boxes is one of {', '.join(formats)}.",
            )
        indices = {name: index for index, name in enumerate(classes)}
        return cls(corners, shares=str(text) != corners, classes=indices)

    @property
    def in_other_unit(self) -> str:
        """Return the same format, shares in place of pixels or the other way round, as a hint spells it."""
        if self.shares:
            return self.corners
        return f"{self.corners}{SHARES_SUFFIX} (YOLO: cxcywh{SHARES_SUFFIX})"

    def read(self, target: Any, shape: Callable[[], tuple[int, int]]) -> ImageBoxes:
        """Return an image's boxes.

        Args:
            target: what the data set has for the image.
            shape: returns the image's (width, height); called only if there are boxes.
        """
        fields = fields_of(target)
        if fields is None:
            return _left_out("no-boxes-with-categories", "has no boxes with categories")
        boxes, categories = fields
        if len(boxes) != len(categories):
            noun = "box" if len(boxes) == 1 else "boxes"
            flaw = Flaw.counting(
                "",
                f"has {{}} {noun} and {{}} categories",
                IMAGE_LEFT_OUT,
                code="unequal-boxes-and-categories",
                numbers=[len(boxes), len(categories)],
            )
            return ImageBoxes(flaws=(flaw,), left_out=True)
        if not len(boxes):
            return ImageBoxes()
        try:
            numbers = np.asarray(boxes, dtype=np.float64).reshape(len(boxes), 4)
        except (TypeError, ValueError):
            return _left_out(
                "boxes-not-of-four-numbers", "has boxes that are not four numbers each"
            )
        return self._checked(numbers, categories, shape())

    def _checked(
        self, numbers: np.ndarray, categories: Sequence[Any], shape: tuple[int, int]
    ) -> ImageBoxes:
        """Return the usable ones of boxes (m, 4), and the flaws of the others."""
        sides = np.array([*shape, *shape], dtype=np.float64)
        unit = sides if self.shares else 1.0
        corners = _TO_CORNERS[self.corners](numbers) * unit
        clipped = corners.clip(0, sides)
        labels = np.array([class_index(category, self.classes) for category in categories])

        # Each box has one flaw at most: the first of these that it has.
        is_finite = np.isfinite(corners).all(1)
        empty = ~is_finite | _has_no_area(corners)
        outside = ~empty & _has_no_area(clipped)
        unknown = ~empty & ~outside & (labels < 0)
        usable = ~(empty | outside | unknown)
        overhang = np.abs(clipped - corners).max(1)
        over_edge = usable & (overhang > MAX_SILENT_CLIP)

        strange = sorted({repr(categories[row]) for row in np.flatnonzero(unknown).tolist()})
        # An image without a usable box would read as one in which nothing is.
        image_too = "" if usable.any() else ", and with it the image"
        left_out = f"left out{image_too}"
        flaws = [
            _box_flaw("empty-box", "has {} empty {noun}", empty, left_out),
            _box_flaw("box-outside", "has {} {noun} outside the image", outside, left_out),
            _box_flaw(
                "box-of-no-category",
                "has {} {noun} of no known category{items}",
                unknown,
                left_out,
                items=strange[:3],
            ),
            _box_flaw(
                "box-partly-outside", "has {} {noun} partly outside the image", over_edge, "clipped"
            ),
        ]
        reported = tuple(flaw for flaw in flaws if flaw is not None)
        if not usable.any():
            return ImageBoxes(flaws=reported, left_out=True, written=numbers)
        encoded = np.concatenate([clipped / sides, labels[:, None]], axis=1)[usable]
        return ImageBoxes(encoded.astype(np.float32), reported, written=numbers)


def _has_no_area(corners: np.ndarray) -> np.ndarray:
    """Return whether each of boxes (m, 4) ends before it begins."""
    return np.asarray((corners[:, 2:] <= corners[:, :2]).any(1))


def _box_flaw(
    code: str, pattern: str, rows: np.ndarray, handled: str, items: Sequence[str] = ()
) -> Flaw | None:
    """Return the flaw of the boxes that are True in ``rows`` (m,); None if none is."""
    count = int(rows.sum())
    if not count:
        return None
    sentence = pattern.replace("{noun}", "box" if count == 1 else "boxes")
    return Flaw.counting("", sentence, handled, code=code, numbers=[count], items=items)


def _left_out(code: str, problem: str) -> ImageBoxes:
    return ImageBoxes(flaws=(Flaw("", problem, IMAGE_LEFT_OUT, code=code),), left_out=True)


def fields_of(target: Any) -> tuple[Sequence[Any], Sequence[Any]] | None:
    """Return the boxes and the categories of a target; None if it has none.

    Args:
        target: ``{"bbox": [...], "category": [...]}``, or a list of ``{"bbox": ..., "category":
            ...}``.
    """
    if isinstance(target, Mapping):
        lists = {key: value for key, value in target.items() if value is not None}
        boxes = _first(lists, BOX_KEYS)
        categories = _first(lists, CATEGORY_KEYS)
        if boxes is None or categories is None:
            return None
        return boxes[0], categories[0]
    if not isinstance(target, Sequence) or isinstance(target, str | bytes):
        return None
    all_boxes: list[Any] = []
    all_categories: list[Any] = []
    for item in target:
        if not isinstance(item, Mapping):
            return None
        box = _first(item, BOX_KEYS)
        category = _first(item, CATEGORY_KEYS)
        if box is None or category is None:
            return None
        all_boxes += box
        all_categories += category
    return all_boxes, all_categories


def _first(values: Mapping[str, Any], keys: Sequence[str]) -> list[Any] | None:
    """Return a list of the value of the first key that there is; None if there is none."""
    # A list of one, since the value itself may be None.
    for key in keys:
        if key in values:
            return [values[key]]
    return None


def class_index(category: Any, classes: Mapping[str, int]) -> int:
    """Return the index of a class given as index or name; -1 if there is no such class."""
    if not is_index(category):
        return classes.get(str(category), -1)
    index = int(category)
    return index if 0 <= index < len(classes) else -1


def _from_xywh(numbers: np.ndarray) -> np.ndarray:
    start = numbers[:, :2]
    size = numbers[:, 2:]
    return np.concatenate([start, start + size], axis=1)


def _from_cxcywh(numbers: np.ndarray) -> np.ndarray:
    centre = numbers[:, :2]
    half_size = numbers[:, 2:] / 2
    return np.concatenate([centre - half_size, centre + half_size], axis=1)


_TO_CORNERS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "xywh": _from_xywh,
    "xyxy": lambda numbers: numbers,
    "cxcywh": _from_cxcywh,
}


def probe_boxes(targets: np.ndarray) -> Probe:
    """Return what estimators score of encoded boxes (N, K, 5).

    The centre of every box with its class; and random places in no box, as the class after the
    last.
    """
    image, box = np.nonzero(targets[..., 4] >= 0)
    corners = targets[image, box, :4]
    labels = targets[image, box, 4].astype(np.int64)
    background_image, background = _background_places(targets)
    background_label = labels.max(initial=-1) + 1

    images = np.concatenate([image, background_image])
    background_labels = np.full(len(background), background_label)
    all_labels = np.concatenate([labels, background_labels])
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    places = np.concatenate([centres, background])
    # A probe's places are in the order of the images; a stable sort leaves the boxes first.
    order = np.argsort(images, kind="stable")
    return Probe(all_labels[order], images[order], places[order])


def _background_places(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return images (m,) and places (m, 2) in none of their boxes, drawn from a fixed seed."""
    # Images × tries × boxes × coordinates.
    generator = np.random.default_rng(0)
    places = generator.random((len(targets), PROBE_TRIES, 1, 2))
    boxes = targets[:, None]
    is_after_start = places >= boxes[..., :2]
    is_before_end = places <= boxes[..., 2:4]
    is_box = boxes[..., 4] >= 0
    inside = (is_after_start & is_before_end).all(-1) & is_box
    image, place = np.nonzero(~inside.any(-1))
    return image, places[image, place, 0]
