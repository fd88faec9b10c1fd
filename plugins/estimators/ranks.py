"""Ranks of values, equal ones sharing theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def mid_ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each of (n,) values from 1; equal ones get the mean of theirs.

    That of scipy.stats, whose import takes longer than the estimators that need this.
    """
    import numpy as np

    _, positions, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[positions]
    return ranks
