"""Checks that several task types share: of predictions, of class labels, and of the unit of
coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import TYPE_CHECKING, Any

from headwater import DataError, Task, TrainingError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

MAX_COUNT_IN_CORNER = 5
"""So few boxes or points may all lie in the first pixels of their images; of more it is not
believed.
"""
MAX_SHARE = 2.0
"""Shares of an image's side lie below it, those a little off the image too."""


def check_finite(predictions: Tensor) -> None:
    """Raise TrainingError if a prediction is infinite or not a number."""
    if not bool(predictions.isfinite().all()):
        raise not_numbers()


def float_predictions(predictions: Tensor) -> Tensor:
    """Return the predictions as float32; raise TrainingError if one is not a number."""
    predictions = predictions.float()
    if bool(predictions.isnan().any()):
        raise not_numbers()
    return predictions


def not_numbers() -> TrainingError:
    """Return the error of a network whose training diverged."""
    return TrainingError(
        "the network's outputs are not numbers",
        hint="Lower the learning rate, or turn mixed precision off.",
    )


def is_index(label: Any) -> bool:
    """Return True for the number of a class, False for a name."""
    return isinstance(label, Integral) and not isinstance(label, bool)


def names_of_classes(labels: Iterable[Any]) -> tuple[str, ...]:
    """Return the names of classes, where a data set lists none.

    The names that occur, sorted; if all labels are whole numbers, every number from 0 to the
    largest.
    """
    present = set(labels)
    if all(is_index(label) for label in present):
        largest = max((int(label) for label in present), default=-1)
        return tuple(str(number) for number in range(largest + 1))
    return tuple(sorted({str(label) for label in present}))


def check_unit(
    coordinates: Iterable[np.ndarray], task: Task, *, shares: bool, noun: str, otherwise: str
) -> None:
    """Raise DataError if coordinates said to be in pixels can only be shares of the sides, or the
    other way round.

    Args:
        coordinates: for each image of a split, its boxes or points (n, ...), as the data set writes
            them.
        task: whose coordinates they are.
        shares: the task says that they are shares.
        noun: "boxes" or "points".
        otherwise: the convention, as users write it, that would be right instead.
    """
    import numpy as np

    largest = np.concatenate([np.zeros(0), *(rows.max(1) for rows in coordinates)])
    largest = largest[np.isfinite(largest)]
    count = len(largest)
    if count <= MAX_COUNT_IN_CORNER:
        return
    top, usual = float(largest.max()), float(np.median(largest))
    if not shares and 0 < top < MAX_SHARE:
        problem = f"its {count:,} {noun} reach {top:.3g} at most, too little for pixels"
        unit = "shares of the image's sides"
    elif shares and usual >= MAX_SHARE:
        problem = f"half of its {count:,} {noun} reach {usual:.3g} or more, too much for shares"
        unit = "in pixels"
    else:
        return
    raise DataError(
        f"{task.name}: {problem}",
        subject=task.name,
        hint=f"Say {otherwise} where they are {unit}.",
    )
