"""Precision: how far a metric on so many images may lie from that on all such images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headwater.leaderboard.statistics.bootstrap import LEVEL

DRAWS = 100
"""Of a bootstrap over images: enough for a spread to a tenth of itself, and some metrics take milliseconds each."""


def wilson(share: float, images: int, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of a share of independent images (Wilson, J. Am. Stat. Assoc. 1927): those whose test the share passes."""
    from scipy.stats import binomtest

    interval = binomtest(round(share * images), images).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def resampled(
    measure: Callable[[np.ndarray], float], images: int, draws: int = DRAWS
) -> np.ndarray:
    """(draws,) a metric on images drawn with replacement: ``measure(rows)`` of (images,) int rows, for one number of images the same ones
    each time, so that what two networks got on them can be compared."""
    random = np.random.default_rng(0)
    return np.array([measure(random.integers(images, size=images)) for _ in range(draws)])


def between(drawn: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Percentile bounds; draws that give no number (a class that nobody drew) do not count, NaN where none does."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
