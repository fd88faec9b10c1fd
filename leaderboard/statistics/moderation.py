"""Moderate variances: shrink each to what all of them have in common.

Each of n comparisons i has a variance s_i^2 with df_i degrees, often one or two, which is too noisy
to divide by. Smyth (Statistical Applications in Genetics and Molecular Biology 3, 2004) takes the
true variances to be scaled inverse chi-squared with d0 degrees around s0^2. The posterior is

    s~_i^2 = (d0 s0^2 + df_i s_i^2) / (d0 + df_i),    a t with it has d0 + df_i degrees.

d0 and s0^2 come from the moments of log variances. With psi the digamma function,

    e_i = ln s_i^2 - psi(df_i / 2) + ln(df_i / 2)  has mean ln s0^2 - psi(d0/2) + ln(d0/2)
                                         and variance psi'(df_i / 2) + psi'(d0 / 2),

so psi'(d0 / 2) = Var(e) - mean psi'(df_i / 2), which is solved for d0. Where the right side is not
positive the variances differ no more than by chance: d0 is infinite, all are equal to their mean.

The comparisons share sources, so that their variances hold no more degrees in all than the table's
residual has; these bound the degrees of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from scipy.special import digamma, polygamma

MIN_VARIANCES = 3
"""Variances from which a spread of variances can be told."""

ZERO_SHARE = 1e-5
"""Share of the median below which a variance counts as this share, since the log of 0 is no number
(as limma does).
"""


@dataclass(frozen=True)
class ModeratedVariances:
    """Hold variances shrunk to their common value, and the degrees of a t with each.

    Attributes:
        values: (n,) float, NaN where nothing is known.
        degrees: (n,) float.
        prior_degrees: d0, which may be infinite.
        prior_variance: s0^2.
    """

    values: Array
    degrees: Array
    prior_degrees: float
    prior_variance: float


def moderate(
    variances: Array, degrees: Array, most_degrees: float, *, caution: float = 0.0
) -> ModeratedVariances:
    """Shrink variances to their common value.

    Args:
        variances: (n,) float; ignored where ``degrees`` is 0.
        degrees: (n,) the degrees of freedom of each.
        most_degrees: The degrees of freedom of the whole table's residual.
        caution: The share by which the spread of log variances is raised before it is believed.
    """
    known = (degrees > 0) & ~np.isnan(variances)
    prior_degrees, prior_variance = common_variance(variances[known], degrees[known], caution)
    own_degrees = np.where(known, degrees, 0)
    own_variances = np.where(known, variances, 0)
    if np.isinf(prior_degrees):
        values = np.full(len(variances), prior_variance)
    else:
        sums = prior_degrees * prior_variance + own_degrees * own_variances
        total = prior_degrees + own_degrees
        values = np.divide(sums, total, out=np.full(len(sums), np.nan), where=total > 0)
    moderated_degrees = np.minimum(prior_degrees + own_degrees, most_degrees)
    return ModeratedVariances(values, moderated_degrees, prior_degrees, prior_variance)


def common_variance(variances: Array, degrees: Array, caution: float = 0.0) -> tuple[float, float]:
    """Return d0 and s0^2 of variances (n,) with degrees (n,) > 0; d0 = 0 where n is too few."""
    if len(variances) < MIN_VARIANCES or not np.any(variances > 0):
        return 0.0, 0.0
    half = degrees / 2
    floor = ZERO_SHARE * float(np.median(variances)) or ZERO_SHARE * float(variances.mean())
    logs = np.log(np.maximum(variances, floor)) - digamma(half) + np.log(half)
    spread = (1 + caution) * np.var(logs, ddof=1)
    excess = float(spread - polygamma(1, half).mean())
    if excess <= 0:
        return float("inf"), float(np.average(variances, weights=degrees))
    prior_degrees = 2 * inverse_trigamma(excess)
    bias = float(digamma(prior_degrees / 2) - np.log(prior_degrees / 2))
    return prior_degrees, float(np.exp(logs.mean() + bias))


def inverse_trigamma(value: float) -> float:
    """Return x > 0 with psi'(x) = value, by Newton's steps on 1 / psi' (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x
