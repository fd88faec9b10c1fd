"""Boxes as data sets write them: read, checked, and scaled to shares of the image's side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np

from headwater import DataError

BOXES = ("bbox", "boxes", "bboxes")
CATEGORIES = ("category", "categories", "category_id", "label", "labels", "class", "classes")
"""What data sets call them."""
SHARES = "_shares"
"""After a form of boxes that is not in pixels."""


@dataclass(frozen=True)
class Read:
    """An image's boxes (n, 5) float32, x1, y1, x2, y2 as shares of its sides and the class, and its flaws: what and how handled.

    ``left_out``: the whole image is, as what is in it is not known. ``written``: all of its boxes (m, 4) in the data set's numbers.
    """

    boxes: np.ndarray
    flaws: tuple[tuple[str, str], ...] = ()
    left_out: bool = False
    written: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))


@dataclass(frozen=True)
class Writing:
    """How a data set writes its boxes: in a ``form`` such as xywh, in pixels or ``shares`` of the image's sides.

    ``classes``: name -> index.
    """

    form: str
    shares: bool
    classes: Mapping[str, int]

    @property
    def other(self) -> str:
        """The same form, shares in place of pixels or the other way round."""
        return self.form if self.shares else f"{self.form}{SHARES} (YOLO: cxcywh{SHARES})"

    def read(self, target: Any, shape: Callable[[], tuple[int, int]]) -> Read:
        """An image's target; ``shape``: its (width, height), asked for only where there are boxes."""
        if (found := fields_of(target)) is None:
            return _without("has no boxes with categories", "image left out")
        boxes, categories = found
        if len(boxes) != len(categories):
            return _without(
                f"has {_count(len(boxes), 'box')} and {len(categories)} categories",
                "image left out",
            )
        if not len(boxes):
            return Read(np.zeros((0, 5), np.float32))
        try:
            numbers = np.asarray(boxes, dtype=np.float64).reshape(len(boxes), 4)
        except (TypeError, ValueError):
            return _without("has boxes that are not four numbers each", "image left out")
        return self._checked(numbers, categories, shape())

    def _checked(
        self, numbers: np.ndarray, categories: Sequence[Any], shape: tuple[int, int]
    ) -> Read:
        sides = np.array([*shape, *shape], dtype=np.float64)
        corners = _CORNERS[self.form](numbers) * (sides if self.shares else 1.0)
        labels = np.array([class_of(category, self.classes) for category in categories])
        clipped = corners.clip(0, sides)
        usual = np.isfinite(corners).all(1)
        empty = ~usual | (corners[:, 2:] <= corners[:, :2]).any(1)
        outside = ~empty & (clipped[:, 2:] <= clipped[:, :2]).any(1)
        unknown = ~empty & ~outside & (labels < 0)
        keep = ~(empty | outside | unknown)
        over = keep & (np.abs(clipped - corners) > 1).any(
            1
        )  # up to a pixel: data sets that count from 1, or to the last pixel
        named = ", ".join(
            sorted({repr(categories[row]) for row in np.flatnonzero(unknown).tolist()})[:3]
        )
        left, flaws = "left out", []
        for which, what, where, handled in (
            (empty, "empty box", "", left),
            (outside, "box", " outside the image", left),
            (unknown, "box", f" of no known category ({named})", left),
            (over, "box", " partly outside the image", "clipped"),
        ):
            if number := int(which.sum()):
                flaws.append(
                    (
                        f"has {_count(number, what)}{where}",
                        f"{handled}{'' if keep.any() else ', and with it the image'}",
                    )
                )
        if not keep.any():
            return Read(np.zeros((0, 5), np.float32), tuple(flaws), left_out=True, written=numbers)
        encoded = np.concatenate([clipped / sides, labels[:, None]], axis=1)[keep]
        return Read(encoded.astype(np.float32), tuple(flaws), written=numbers)


def fields_of(target: Any) -> tuple[Sequence[Any], Sequence[Any]] | None:
    """Boxes and categories of ``{"bbox": [...], "category": [...]}``, or a list of ``{"bbox": ..., "category": ...}``; else None."""
    if isinstance(target, Mapping):
        boxes = next((target[name] for name in BOXES if target.get(name) is not None), None)
        categories = next(
            (target[name] for name in CATEGORIES if target.get(name) is not None), None
        )
        return None if boxes is None or categories is None else (boxes, categories)
    if isinstance(target, Sequence) and not isinstance(target, str | bytes):
        both = [
            fields_of({name: [value] for name, value in one.items()})
            if isinstance(one, Mapping)
            else None
            for one in target
        ]
        known = [one for one in both if one is not None]
        return (
            ([boxes[0] for boxes, _ in known], [labels[0] for _, labels in known])
            if len(known) == len(both)
            else None
        )
    return None


def class_of(category: Any, classes: Mapping[str, int]) -> int:
    """The index of a class given as index or name; -1 for none."""
    if is_index(category):
        return int(category) if 0 <= int(category) < len(classes) else -1
    return classes.get(str(category), -1)


def is_index(category: Any) -> bool:
    return isinstance(category, Integral) and not isinstance(category, bool)


def writing_of(boxes: Any, classes: Sequence[str]) -> Writing:
    """Of ``xywh``, ``xyxy``, ``cxcywh``, in pixels, or with ``_shares`` after it; raises DataError for another."""
    form = str(boxes).removesuffix(SHARES)
    if form not in _CORNERS:
        known = ", ".join([*_CORNERS, *(f"{name}{SHARES}" for name in _CORNERS)])
        raise DataError(
            f"boxes={boxes} is not known", subject=str(boxes), hint=f"boxes is one of {known}."
        )
    return Writing(form, str(boxes) != form, {name: index for index, name in enumerate(classes)})


def _xywh(numbers: np.ndarray) -> np.ndarray:
    return np.concatenate([numbers[:, :2], numbers[:, :2] + numbers[:, 2:]], axis=1)


def _cxcywh(numbers: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [numbers[:, :2] - numbers[:, 2:] / 2, numbers[:, :2] + numbers[:, 2:] / 2], axis=1
    )


_CORNERS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "xywh": _xywh,
    "xyxy": lambda numbers: numbers,
    "cxcywh": _cxcywh,
}


def _count(number: int, what: str) -> str:
    return f"{number} {what if number == 1 else f'{what}es'}"


def _without(what: str, handled: str) -> Read:
    return Read(np.zeros((0, 5), np.float32), ((what, handled),), left_out=True)
