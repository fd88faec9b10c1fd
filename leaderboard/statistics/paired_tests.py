"""Judge one row of values, one value a family (a difference, an effect), by tests that are short.

**Sign flips.** If a value is as likely to be x as -x, every pattern of signs is equally likely. p is
the share of patterns whose mean is at least as far from 0 as the one seen: no normal distribution
is asked for. With F values p cannot fall below 2 / 2^F, so below six families it claims nothing.

**Equivalence** (two one-sided tests, Schuirmann 1987). A mean is shown to lie within +-margin where
both t tests against the margins reject at 5 %: p = max over both sides. The smallest margin that is
shown at a level is |mean| + t error.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from scipy.special import stdtr, stdtrit

from headwater.leaderboard.statistics.board import CONFIDENCE

MAX_EXACT = 14
"""Values up to which all patterns of signs are counted; beyond, ``FLIPS`` are drawn."""

FLIPS = 20_000


def sign_flip_p(values: Array) -> float:
    """Return the two-sided p of the mean of values (F,) being 0; NaN is left out, none gives NaN."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan")
    if len(values) <= MAX_EXACT:
        patterns = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
    else:
        drawn = np.random.default_rng(0).integers(2, size=(FLIPS, len(values)))
        patterns = np.concatenate([np.zeros((1, len(values)), int), drawn])
    sums = np.abs((1 - 2 * patterns) @ values)
    rounding = 1e-12 * np.abs(values).sum()
    return float(np.mean(sums >= sums[0] - rounding))


def equivalence_p(mean: float, error: float, degrees: float, margin: float) -> float:
    """Return the p of the mean lying outside +-margin: small where it is shown to lie within.

    Args:
        mean: The estimate.
        error: Its standard error, above 0.
        degrees: The degrees of freedom of a t with this error.
        margin: The largest difference that does not matter, above 0.
    """
    return float(stdtr(degrees, (abs(mean) - margin) / error))


def equivalence_bound(
    mean: float, error: float, degrees: float, level: float = CONFIDENCE
) -> float:
    """Return the smallest margin within which the mean is shown to lie at a confidence level."""
    return float(abs(mean) + stdtrit(degrees, level) * error)
