"""Shape: the sizes that the range of an estimator's score depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """What the range of a score may depend on; None where it is not known (published scores)."""

    images: int | None = None
    features: int | None = None
    classes: int | None = None
    source_classes: int | None = None


Bound = float | Callable[[Shape], float]
