"""Rank correlations under the bootstrap's weights: within groups and partial, or of many pairs of orders at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


def kendall(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of (..., S) against (..., S), along the last axis; NaN where either is constant."""
    above, below = np.triu_indices(one.shape[-1], 1)
    first, second = (
        np.sign(one[..., above] - one[..., below]),
        np.sign(other[..., above] - other[..., below]),
    )
    pairs = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    return np.divide(
        (first * second).sum(axis=-1), pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0
    )


@dataclass(frozen=True)
class PartialRanks:
    """Spearman's correlation of ``outcome`` with one of two factors, controlling for the other.

    All (N,) arrays. Ranks are taken within each group, as shares of its size and less their mean, so that what differs between
    groups plays no part; products of ranks are then pooled over groups. With one group this is the usual partial Spearman.
    """

    outcome: np.ndarray
    one: np.ndarray
    other: np.ndarray
    groups: np.ndarray

    def correlations(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(draws,) partial correlations with ``one`` and with ``other``, each row counted as often as ``weights`` (draws, N) says.

        NaN where a factor, or the outcome, never varies within a group or the two factors order all groups alike.
        """
        y, a, b = (
            _ranks_within(values, self.groups) for values in (self.outcome, self.one, self.other)
        )
        ya, yb, ab = (_correlation(weights, *pair) for pair in ((y, a), (y, b), (a, b)))
        return _partial(ya, yb, ab), _partial(yb, ya, ab)


def _ranks_within(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    ranks = np.zeros(len(values))
    for group in np.unique(groups):
        inside = groups == group
        own = rankdata(values[inside]) / inside.sum()
        ranks[inside] = own - own.mean()
    return ranks


def _correlation(weights: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    scale = np.sqrt((weights @ one**2) * (weights @ other**2))
    return np.divide(
        weights @ (one * other), scale, out=np.full(len(weights), np.nan), where=scale > 0
    )


_ALIKE = 1 - 1e-9


def _partial(ya: np.ndarray, yb: np.ndarray, ab: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.clip((1 - yb**2) * (1 - ab**2), 0, None))
    told = (np.abs(ab) < _ALIKE) & (scale > 0)
    return np.divide(ya - yb * ab, scale, out=np.full(len(ya), np.nan), where=told)
