"""Correlate ranks under a bootstrap's weights: many pairs of orders at once, and partial
correlations within groups.

Derivation. Of two factors a and b that both order an outcome y, the partial correlation is that of
what a linear fit on b leaves of y and of a,

    r_ya.b = (r_ya - r_yb r_ab) / sqrt((1 - r_yb^2) (1 - r_ab^2)),

here with r Spearman's, Pearson's correlation of ranks. Ranks are taken within each group, as shares
of its size and less their mean, so that neither a group's level nor its size plays a part. Each r
is then

    r_uv = sum_i w_i u_i v_i / sqrt(sum_i w_i u_i^2 * sum_i w_i v_i^2),

summed over the rows of all groups, w_i how often a draw counts row i. One group and equal weights
give the usual partial Spearman correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from scipy.stats import rankdata

COLLINEAR = 1 - 1e-9
"""Correlation from which two factors count as ordering all groups alike."""


def ratio(numerator: Array, denominator: Array, undefined: float = np.nan) -> Array:
    """Return numerator / denominator, and ``undefined`` where the denominator is not above 0.

    Args:
        numerator: Any shape.
        denominator: A shape that broadcasts with the numerator's; nowhere negative.
        undefined: The value where there is nothing to divide by.
    """
    shape = np.broadcast(numerator, denominator).shape
    quotient = np.full(shape, undefined, dtype=float)
    return np.divide(numerator, denominator, out=quotient, where=denominator > 0)


def kendall(first: Array, second: Array) -> Array:
    """Return Kendall's tau_b of (..., S) with (..., S), along the last axis; NaN where either is
    constant.
    """
    first_signs = _pair_signs(first)
    second_signs = _pair_signs(second)
    agreement = (first_signs * second_signs).sum(axis=-1)
    first_untied = (first_signs**2).sum(axis=-1)
    second_untied = (second_signs**2).sum(axis=-1)
    return ratio(agreement, np.sqrt(first_untied * second_untied))


def _pair_signs(values: Array) -> Array:
    """Return (..., P), the sign of the difference of each pair along the last axis."""
    left, right = np.triu_indices(values.shape[-1], 1)
    differences = values[..., left] - values[..., right]
    return np.sign(differences)


@dataclass(frozen=True)
class PartialRanks:
    """Spearman's correlation of an outcome with one of two factors, controlling for the other.

    Attributes:
        outcome: (N,) values to explain.
        first: (N,) one factor.
        second: (N,) the other factor.
        groups: (N,) the group of each row.
    """

    outcome: Array
    first: Array
    second: Array
    groups: Array

    def correlations(self, weights: Array) -> tuple[Array, Array]:
        """Return the partial correlations with the first and with the second factor.

        Args:
            weights: (draws, N), how often each draw counts each row.

        Returns:
            Two arrays (draws,); NaN where a factor or the outcome never varies within a group, or
            the two factors order all groups alike.
        """
        # Ranks are those of all rows, not of a draw's: a row's rank must not depend on the draw.
        outcome = _ranks_within(self.outcome, self.groups)
        first = _ranks_within(self.first, self.groups)
        second = _ranks_within(self.second, self.groups)
        with_first = _correlation(weights, outcome, first)
        with_second = _correlation(weights, outcome, second)
        between = _correlation(weights, first, second)
        first_alone = _partial(with_first, with_second, between)
        second_alone = _partial(with_second, with_first, between)
        return first_alone, second_alone


def _ranks_within(values: Array, groups: Array) -> Array:
    """Return (N,), each value's rank in its group as a share of the group's size, less the mean."""
    ranks = np.zeros(len(values))
    for group in np.unique(groups):
        inside = groups == group
        group_ranks = rankdata(values[inside])
        shares = group_ranks / inside.sum()
        ranks[inside] = shares - shares.mean()
    return ranks


def _correlation(weights: Array, first: Array, second: Array) -> Array:
    """Return (draws,), r_uv of centred values; NaN where one never varies."""
    first_squares = weights @ first**2
    second_squares = weights @ second**2
    products = weights @ (first * second)
    return ratio(products, np.sqrt(first_squares * second_squares))


def _partial(wanted: Array, control: Array, between: Array) -> Array:
    """Return (draws,), the correlation ``wanted`` once the controlled factor is held fixed."""
    # Rounding may leave 1 - r^2 a little below 0, where the root would warn.
    unexplained = (1 - control**2) * (1 - between**2)
    scale = np.sqrt(np.clip(unexplained, 0, None))
    partial = ratio(wanted - control * between, scale)
    # Two factors that order all groups alike cannot be told apart: a ratio of rounding errors.
    is_distinct = np.abs(between) < COLLINEAR
    return np.where(is_distinct, partial, np.nan)
