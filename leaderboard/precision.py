"""Precision: how far a metric on so many images may lie from that on all such images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from leaderboard.statistics import LEVEL

DRAWS = 200
"""Of a bootstrap over images: enough for bounds to two digits, and some metrics take milliseconds each."""


def wilson(share: float, images: int, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of a share of independent images (Wilson, J. Am. Stat. Assoc. 1927): those whose test the share passes."""
    from scipy.stats import binomtest

    interval = binomtest(round(share * images), images).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def resampled(measure: Callable[[np.ndarray], float], images: int, level: float = LEVEL, draws: int = DRAWS) -> tuple[float, float]:
    """Bounds of any metric by a percentile bootstrap: ``measure(rows)`` of (images,) int rows drawn with replacement, the same each time.

    Draws that give no number (a class that nobody drew) do not count; NaN where none does.
    """
    random = np.random.default_rng(0)
    drawn = np.array([measure(random.integers(images, size=images)) for _ in range(draws)])
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
