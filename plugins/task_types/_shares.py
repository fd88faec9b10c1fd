"""Coordinates in pixels, or in shares of the image's sides: whether they can be what their task says."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from headwater import DataError, Task

HANDFUL = 5
"""So few boxes or points may all lie in the first pixels of their images; of more it is not believed."""
REACH = 2.0
"""Shares lie below it, those a little off the image too."""


def refuse_misread(
    written: Iterable[np.ndarray], shares: bool, task: Task, what: str, other: str
) -> None:
    """Of each image of a split the boxes or points (n, ...), as they are written. Raises DataError where they are said to be in pixels
    and can only be ``shares``, or the other way round. ``other``: the convention that would be right then.
    """
    largest = np.concatenate([np.zeros(0), *(coordinates.max(1) for coordinates in written)])
    largest = largest[np.isfinite(largest)]
    if len(largest) <= HANDFUL:
        return
    top, usual = float(largest.max()), float(np.median(largest))
    if not shares and 0 < top < REACH:
        problem, hint = (
            f"its {len(largest):,} {what} reach {top:.3g} at most, too little for pixels",
            "shares of the image's sides",
        )
    elif shares and usual >= REACH:
        problem, hint = (
            f"half of its {len(largest):,} {what} reach {usual:.3g} or more, too much for shares",
            "in pixels",
        )
    else:
        return
    raise DataError(
        f"{task.name}: {problem}", subject=task.name, hint=f"Say {other} where they are {hint}."
    )
