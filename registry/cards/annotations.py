"""Annotations: what a data set says of its images, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.registry.cards.flaw import Flaw

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.cards.task import Task


@dataclass(frozen=True)
class Annotations:
    """The targets of a split as its task hands them over, with all that is needed to encode them.

    ``names`` say which image an error is about. ``image_size``: S, the side of the squares that the
    images become. ``shape(row)``: (width, height) of an image as it is stored; for dense types,
    whose whole image is squeezed into the square.
    """

    task: Task
    targets: Sequence[Any]
    names: Sequence[str]
    classes: Sequence[str]
    image_size: int
    shape: Callable[[int], tuple[int, int]]


@dataclass(frozen=True)
class Encoded:
    """``targets``: (n, ...) of the images kept; ``rows``: (n,) int, which these are, ascending;
    None: all of them.
    """

    targets: np.ndarray
    rows: np.ndarray | None = None
    flaws: tuple[Flaw, ...] = ()
