"""Say how far a metric on so many images may lie from that on all such images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from headwater.leaderboard.statistics.board import CONFIDENCE

IMAGE_DRAWS = 100
"""Draws of a bootstrap over images: they give a spread to a tenth of itself, and some metrics take
milliseconds each.
"""


def wilson(share: float, images: int, level: float = CONFIDENCE) -> tuple[float, float]:
    """Return the bounds of a share of independent images: all shares whose test the observed one
    passes.

    Source: Wilson, J. Am. Stat. Assoc. 1927.
    """
    from scipy.stats import binomtest

    interval = binomtest(round(share * images), images).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def share_interval(hits: int, units: int, level: float = CONFIDENCE) -> tuple[float, float]:
    """Return the bounds of a share of independent units that never cover less than they say.

    Source: Clopper and Pearson, Biometrika 1934.
    """
    from scipy.stats import binomtest

    interval = binomtest(hits, units).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)


def resampled(measure: Callable[[Array], float], images: int, draws: int = IMAGE_DRAWS) -> Array:
    """Return (draws,), a metric on images that are drawn with replacement.

    The rows drawn depend on the number of images only, so that what two networks got on them can be
    compared.

    Args:
        measure: The metric on rows, (images,) int.
        images: The number of images.
        draws: The number of draws.
    """
    random = np.random.default_rng(0)
    values = []
    for _ in range(draws):
        rows = random.integers(images, size=images)
        values.append(measure(rows))
    return np.array(values)


def between(drawn: Array, level: float = CONFIDENCE) -> tuple[float, float]:
    """Return percentile bounds of the draws (draws,); NaN where none gives a number.

    A draw that gives no number (a class that nobody drew) does not count.
    """
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return float("nan"), float("nan")
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(defined, tails)
    return float(low), float(high)
