"""Compare every source with the best of the others, or with a control, at one stated error rate.

The sources share their targets, so that differences d_ij to a common j, each over its standard error,
are t values with correlation 1/2: they are (Z_i - Z_j) / sqrt(2) over a common chi. Dunnett's
quantile q bounds the largest of k of them,

    P(all of k (Z_i - Z_0) / sqrt(2) <= q chi) = E_chi E_Z0 [ F(sqrt(2) q chi + Z_0)^k ],

F the normal distribution, chi^2 a chi-squared over its degrees; two-sided, F(Z_0 + sqrt(2) q chi) -
F(Z_0 - sqrt(2) q chi) takes the place of F. Both expectations are taken by quadrature.

Hsu (Annals of Statistics 1981): source i cannot be told from the best if no j is better than it by
more than q standard errors, q one-sided with k = S - 1. The set of all such sources holds the true
best with at least the level, since it is left out only if some t value to it exceeds q. Pairs have
the moderated errors of ``differences``, so a source with much noise does not widen all others.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy import ndarray as Array
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr, roots_hermitenorm

from headwater.leaderboard.statistics.board import CONFIDENCE
from headwater.leaderboard.statistics.differences import Differences

NODES = 64
"""Points of each quadrature."""


@cache
def dunnett_quantile(
    count: int, degrees: float, *, level: float = CONFIDENCE, two_sided: bool = False
) -> float:
    """Return q, which the largest of ``count`` t values of correlation 1/2 stays below at a level."""
    points, weights = roots_hermitenorm(NODES)
    weights = weights / weights.sum()
    quantiles = (np.arange(4 * NODES) + 0.5) / (4 * NODES)
    chi = np.sqrt(2 * gammaincinv(degrees / 2, quantiles) / degrees)

    def excess(q: float) -> float:
        reach = np.sqrt(2) * q * chi[:, None]
        inside = ndtr(points + reach)
        if two_sided:
            inside = inside - ndtr(points - reach)
        return float(np.mean(inside**count @ weights)) - level

    return float(brentq(excess, 0, 1e3))


def may_be_best(pairs: Differences, level: float = CONFIDENCE) -> Array:
    """Return (S,) bool, the sources that cannot be told from the best (Hsu)."""
    t, quantile = _t_values(pairs, level, two_sided=False)
    is_beaten: Array = np.any(t > quantile, axis=0)
    return ~is_beaten


def differences_to_control(pairs: Differences, control: int, level: float = CONFIDENCE) -> Array:
    """Return (S, 2), bounds of each source's difference to one of them that hold for all at once
    (Dunnett); NaN for the control and where no noise is known.
    """
    _, quantile = _t_values(pairs, level, two_sided=True)
    width = quantile * pairs.errors[:, control]
    value = pairs.values[:, control]
    return np.stack([value - width, value + width], axis=1)


def _t_values(pairs: Differences, level: float, *, two_sided: bool) -> tuple[Array, float]:
    """Return (S, S) t values, row less column, and the quantile for all of a column."""
    can_be_told = ~np.isnan(pairs.p_values)
    if not can_be_told.any():
        return np.zeros(pairs.values.shape), float("nan")
    count = int(can_be_told.sum(axis=0).max())
    degrees = float(pairs.degrees[can_be_told].min())
    quantile = dunnett_quantile(count, degrees, level=level, two_sided=two_sided)
    t = np.divide(pairs.values, pairs.errors, out=np.zeros(pairs.values.shape), where=can_be_told)
    return t, quantile
