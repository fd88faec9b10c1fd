"""Points as data sets write them, and the columns that they are encoded in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from headwater import DataError, Task

X, Y, VISIBLE, ASPECT, PARTNER = range(5)
"""Columns of an encoded point: where it is, as shares of the image's width and height; 1 where it is visible, else 0; the image's
width over its height, which squeezed images do not tell; the point that it becomes in a mirror, or ``UNMIRRORED``."""
UNMIRRORED = -1.0
PIXELS, SHARES = "pixels", "shares"
"""In what points are written: of the image, or of its width and height."""


class Placed(NamedTuple):
    """One image's points: ``places`` (K, 2) shares, 0 where not visible; ``visible`` (K,) bool; ``off``: points outside of the image;
    ``corner``: those at exactly (0, 0), of which it is not said whether they are visible."""

    places: np.ndarray
    visible: np.ndarray
    off: tuple[int, ...]
    corner: tuple[int, ...]


def read(target: Any, name: str) -> np.ndarray | None:
    """(K, 3) x, y, and whether visible, NaN where that is not said; None where an image has none. Raises DataError for what are no points.

    Takes (x, y) or (x, y, visible) for each point, None or NaN for one that is not labelled; or all of that in one flat list, as COCO
    writes its triples.
    """
    if target is None or (isinstance(target, float) and math.isnan(target)):
        return None
    try:
        points = [_point(point) for point in _paired(_listed(target))]
    except (TypeError, ValueError):
        hint = "Give (x, y) or (x, y, visible) for each point."
        raise DataError(
            f"{name} has {_short(target)}, which are no points", subject=name, hint=hint
        ) from None
    return np.array(points, dtype=np.float64).reshape(len(points), 3)


def labelled(points: np.ndarray) -> np.ndarray:
    """(K,) bool: which of the points (K, 3) the data set says to be somewhere."""
    known: np.ndarray = np.isfinite(points[:, :2]).all(1) & (points[:, 2] != 0)
    return known


def placed(points: np.ndarray, size: tuple[int, int]) -> Placed:
    """Points (K, 3) of an image, from its left and upper edge, and the ``size`` (width, height) that it has in their unit.

    Not visible are those off the image, and those in its corner of which it is not said: data sets write so what is not labelled.
    """
    there = labelled(points)
    corner = there & np.isnan(points[:, 2]) & (points[:, :2] == 0).all(1)
    shares = np.where(there[:, None], points[:, :2], 0.0) / size
    off = there & ~((shares >= 0) & (shares <= 1)).all(1)
    visible = there & ~off & ~corner
    return Placed(
        np.where(visible[:, None], shares, 0.0),
        visible,
        *(tuple(np.flatnonzero(which).tolist()) for which in (off, corner)),
    )


def in_shares(task: Task) -> bool:
    """Whether its convention ``points`` is shares, not pixels; raises DataError for another."""
    written = str(task.conventions.get("points", PIXELS))
    if written not in (PIXELS, SHARES):
        raise DataError(
            f"points={written} is not known",
            subject=task.name,
            hint=f"points is {PIXELS} or {SHARES}.",
        )
    return written == SHARES


def partners(task: Task, points: int) -> np.ndarray:
    """(K,) what each point becomes in a mirror, from the task's convention ``mirrored``; raises DataError for what swaps no points."""
    written = str(task.conventions.get("mirrored", ""))
    if not written:
        return np.full(points, UNMIRRORED, dtype=np.float32)
    hint = f"mirrored=1+0+2 would swap the first two of three points; it has {points} here, numbered from 0."
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
    if wrong := np.flatnonzero(order[order] != np.arange(points)).tolist():
        swapped = (
            f"point {wrong[0]} becomes {order[wrong[0]]}, but that becomes {order[order[wrong[0]]]}"
        )
        raise DataError(
            f"{task.name}: mirrored does not swap points: {swapped}", subject=task.name, hint=hint
        )
    return order.astype(np.float32)


def _listed(target: Any) -> list[Any]:
    if isinstance(target, str | bytes | dict) or not isinstance(target, Iterable):
        raise TypeError
    return list(target.tolist() if hasattr(target, "tolist") else target)


def _paired(points: Sequence[Any]) -> Sequence[Any]:
    """A flat list in pairs; in triples where its length allows and every third number is one of COCO's 0, 1 and 2."""
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
    values = [math.nan if value is None else float(value) for value in _listed(point)]
    if len(values) not in (2, 3):
        raise ValueError
    return [*values[:2], math.nan if len(values) == 2 else float(values[2] > 0)]


def _short(target: Any) -> str:
    text = repr(target)
    return text if len(text) < 60 else f"{text[:57]}..."
