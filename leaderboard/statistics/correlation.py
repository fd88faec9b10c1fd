"""Rank correlations under a bootstrap's weights: of many pairs of orders at once, and partial
within groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from scipy.stats import rankdata

COLLINEAR = 1 - 1e-9
"""Correlation from which two factors count as ordering all groups alike."""


def kendall(first: Array, second: Array) -> Array:
    """Return Kendall's tau_b of (..., S) with (..., S), along the last axis; NaN where either is
    constant.
    """
    left, right = np.triu_indices(first.shape[-1], 1)
    first_signs = np.sign(first[..., left] - first[..., right])
    second_signs = np.sign(second[..., left] - second[..., right])
    untied = np.sqrt((first_signs**2).sum(axis=-1) * (second_signs**2).sum(axis=-1))
    agreement = (first_signs * second_signs).sum(axis=-1)
    undefined = np.full(untied.shape, np.nan)
    return np.divide(agreement, untied, out=undefined, where=untied > 0)


@dataclass(frozen=True)
class PartialRanks:
    """Spearman's correlation of an outcome with one of two factors, controlling for the other.

    Ranks are taken within each group, as shares of its size and less their mean, so that what
    differs between groups plays no part. Products of ranks are then pooled over groups. With one
    group this is the usual partial Spearman:

        r_ya.b = (r_ya - r_yb r_ab) / sqrt((1 - r_yb^2)(1 - r_ab^2)).

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
        outcome = _ranks_within(self.outcome, self.groups)
        first = _ranks_within(self.first, self.groups)
        second = _ranks_within(self.second, self.groups)
        with_first = _correlation(weights, outcome, first)
        with_second = _correlation(weights, outcome, second)
        between = _correlation(weights, first, second)
        return (
            _partial(with_first, with_second, between),
            _partial(with_second, with_first, between),
        )


def _ranks_within(values: Array, groups: Array) -> Array:
    """Return (N,), each value's rank in its group as a share of the group's size, less the mean."""
    ranks = np.zeros(len(values))
    for group in np.unique(groups):
        inside = groups == group
        shares = rankdata(values[inside]) / inside.sum()
        ranks[inside] = shares - shares.mean()
    return ranks


def _correlation(weights: Array, first: Array, second: Array) -> Array:
    """Return (draws,), the weighted correlation of centred values; NaN where one never varies."""
    scale = np.sqrt((weights @ first**2) * (weights @ second**2))
    undefined = np.full(len(weights), np.nan)
    return np.divide(weights @ (first * second), scale, out=undefined, where=scale > 0)


def _partial(wanted: Array, control: Array, between: Array) -> Array:
    """Return (draws,), the correlation ``wanted`` once the controlled factor is held fixed."""
    scale = np.sqrt(np.clip((1 - control**2) * (1 - between**2), 0, None))
    is_defined = (np.abs(between) < COLLINEAR) & (scale > 0)
    undefined = np.full(len(wanted), np.nan)
    return np.divide(wanted - control * between, scale, out=undefined, where=is_defined)
