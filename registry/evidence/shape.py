"""Sizes of the evidence, and the bounds of a score that depend on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """The sizes that the range of a score may depend on; None where one is not known.

    Attributes:
        images: N.
        features: D.
        classes: C, or the number of labels that may apply; None where labels are numbers.
        source_classes: The number of the source's own classes.
    """

    images: int | None = None
    features: int | None = None
    classes: int | None = None
    source_classes: int | None = None


@dataclass(frozen=True)
class Bound:
    """A bound of a score that depends on the data.

    Attributes:
        formula: How it depends on them, for people: ``−log C``.
        at: Returns its value for a Shape. Sizes that are not known are None: a TypeError of its
            arithmetic then says that the bound is not known either.
    """

    formula: str
    at: Callable[[Shape], float]

    def value(self, shape: Shape) -> float | None:
        """Return the bound for these sizes; None where it depends on one that is not known."""
        try:
            return float(self.at(shape))
        except TypeError:
            return None
