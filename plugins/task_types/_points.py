"""Points as data sets write them, and the columns that they are encoded in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from headwater import DataError, Task

X, Y, VISIBLE, ASPECT, PARTNER = range(5)
"""Columns of an encoded point: where it is, as shares of the image's width and height; 1 where it
is visible, else 0; the image's width over its height, which squeezed images do not tell; the point
that it becomes in a mirror, or ``UNMIRRORED``.
"""
UNMIRRORED = -1.0
PIXELS, SHARES = "pixels", "shares"
"""In what points are written: pixels of the image, or shares of its width and height."""


class ImagePoints(NamedTuple):
    """The K points of one image.

    Attributes:
        places: (K, 2) shares of width and height, 0 where not visible.
        visible: (K,) bool.
        outside: numbers of the points outside of the image.
        in_corner: those at exactly (0, 0), of which the data set does not say whether they are
            visible.
    """

    places: np.ndarray
    visible: np.ndarray
    outside: tuple[int, ...]
    in_corner: tuple[int, ...]


def read_points(target: Any, name: str) -> np.ndarray | None:
    """Return an image's points as they are written.

    Args:
        target: (x, y) or (x, y, visible) for each point, None or NaN for one that is not labelled;
            or all of that in one flat list, as COCO writes its triples.
        name: the image, in messages.

    Returns:
        (K, 3) x, y, and whether visible, NaN if that is not said; None if the image has no points.

    Raises:
        DataError: the target is none of that.
    """
    if target is None or (isinstance(target, float) and math.isnan(target)):
        return None
    try:
        points = [_point(point) for point in _grouped(_as_list(target))]
    except (TypeError, ValueError):
        raise DataError(
            f"{name} has {_short(target)}, which are no points",
            subject=name,
            hint="Give (x, y) or (x, y, visible) for each point.",
        ) from None
    return np.array(points, dtype=np.float64).reshape(len(points), 3)


def is_labelled(points: np.ndarray) -> np.ndarray:
    """Return (K,) bool: which of the points (K, 3) the data set says to be somewhere."""
    labelled: np.ndarray = np.isfinite(points[:, :2]).all(1) & (points[:, 2] != 0)
    return labelled


def place_points(points: np.ndarray, size: tuple[int, int]) -> ImagePoints:
    """Return the points of an image as shares of its sides.

    Not visible are those off the image, and those in its corner of which it is not said: data sets
    write so what is not labelled.

    Args:
        points: (K, 3), from the image's left and upper edge.
        size: the image's (width, height) in the points' unit.
    """
    labelled = is_labelled(points)
    corner = labelled & np.isnan(points[:, 2]) & (points[:, :2] == 0).all(1)
    shares = np.where(labelled[:, None], points[:, :2], 0.0) / size
    outside = labelled & ~((shares >= 0) & (shares <= 1)).all(1)
    visible = labelled & ~outside & ~corner
    return ImagePoints(
        places=np.where(visible[:, None], shares, 0.0),
        visible=visible,
        outside=tuple(np.flatnonzero(outside).tolist()),
        in_corner=tuple(np.flatnonzero(corner).tolist()),
    )


def in_shares(task: Task) -> bool:
    """Return True if the task's convention ``points`` is shares, False if it is pixels; raise
    DataError for another.
    """
    written = str(task.conventions.get("points", PIXELS))
    if written not in (PIXELS, SHARES):
        raise DataError(
            f"points={written} is not known",
            subject=task.name,
            hint=f"points is {PIXELS} or {SHARES}.",
        )
    return written == SHARES


def partners(task: Task, points: int) -> np.ndarray:
    """Return (K,) float32: the point that each point becomes in a mirror, from the task's
    convention ``mirrored``.

    Raises:
        DataError: ``mirrored`` does not swap points.
    """
    written = str(task.conventions.get("mirrored", ""))
    if not written:
        return np.full(points, UNMIRRORED, dtype=np.float32)
    hint = (
        "mirrored=1+0+2 would swap the first two of three points; "
        f"it has {points} here, numbered from 0."
    )
    try:
        order = np.array([int(number) for number in written.split("+")])
    except ValueError:
        raise DataError(
            f"{task.name}: mirrored is {written!r}, no numbers joined by +",
            subject=task.name,
            hint=hint,
        ) from None
    if sorted(order) != list(range(points)):
        raise DataError(
            f"{task.name}: mirrored does not name each of {points} points once",
            subject=task.name,
            hint=hint,
        )
    wrong = np.flatnonzero(order[order] != np.arange(points)).tolist()
    if wrong:
        first, partner = wrong[0], order[wrong[0]]
        swapped = f"point {first} becomes {partner}, but that becomes {order[partner]}"
        raise DataError(
            f"{task.name}: mirrored does not swap points: {swapped}", subject=task.name, hint=hint
        )
    return order.astype(np.float32)


def _as_list(target: Any) -> list[Any]:
    if isinstance(target, str | bytes | dict) or not isinstance(target, Iterable):
        raise TypeError
    return list(target.tolist() if hasattr(target, "tolist") else target)


def _grouped(points: Sequence[Any]) -> Sequence[Any]:
    """Return a flat list of numbers in pairs, other lists as they are.

    In triples where the length allows it and every third number is one of COCO's 0, 1 and 2.
    """
    if not points or not all(isinstance(value, int | float) for value in points):
        return points
    if len(points) % 3 == 0 and all(value in (0, 1, 2) for value in points[2::3]):
        return [points[at : at + 3] for at in range(0, len(points), 3)]
    if len(points) % 2:
        raise ValueError
    return [points[at : at + 2] for at in range(0, len(points), 2)]


def _point(point: Any) -> list[float]:
    if point is None:
        return [math.nan, math.nan, 0.0]
    values = [math.nan if value is None else float(value) for value in _as_list(point)]
    if len(values) == 2:
        return [*values, math.nan]
    if len(values) == 3:
        return [*values[:2], float(values[2] > 0)]
    raise ValueError


def _short(target: Any) -> str:
    text = repr(target)
    return text if len(text) < 60 else f"{text[:57]}..."
