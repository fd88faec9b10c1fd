"""Tell pairs of sources apart, with a stated rate of false claims over the whole board.

*On targets like these*, with x_sf the family means: the difference of a and b is the mean over the
families both have of d_f = x_af - x_bf, with variance s_ab^2 / F_ab. *On these targets* only seeds
vary: s_ab^2 is the variance of a seed's difference within targets, and the difference has variance
s_ab^2 h_ab, h_ab the mean load of both (see ``Board.seed_load``) over F_ab. Either variance is
moderated (see ``moderation``).

All S(S - 1)/2 tests are adjusted together (Benjamini and Hochberg, J. R. Stat. Soc. B 1995): of the
differences that a board claims, 5 % are false on average, and a board of equal sources claims any
in at most 5 % of cases.

Sums over pairs are products of matrices. With m_sf = 1 where a source has the family, and values
centred first so that nothing cancels,

    sum_f m_af m_bf (x_af - x_bf)^2 = (x^2 m')_ab - 2 (x x')_ab + (m x^2')_ab.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy import ndarray as Array
from scipy.special import stdtr, stdtrit

from headwater.leaderboard.statistics.board import CONFIDENCE, Board, Scope
from headwater.leaderboard.statistics.moderation import ModeratedVariances, moderate

CAUTION = 0.3
"""Standard errors by which the spread of log variances is raised. The pairs' variances come from S
sources, so that their spread is known to sqrt(2 / (S - 1)) of itself only. Without this, boards of
twelve equal sources of very unequal noise (log deviation 0.5) claim a difference in 8-9 % of cases;
with it in 7 %, for a tenth of the power at three targets.
"""


@dataclass(frozen=True)
class Differences:
    """Hold the differences of all pairs of sources, row less column.

    Attributes:
        scope: What the differences are about.
        order: (S,) int, the sources from the highest mean downwards; those without one last.
        values: (S, S) float, NaN where two share no family.
        errors: (S, S) float, the standard errors; NaN where the noise is unknown.
        degrees: (S, S) float, the degrees of freedom of a t with each error.
    """

    scope: Scope
    order: Array
    values: Array
    errors: Array
    degrees: Array

    @cached_property
    def p_values(self) -> Array:
        """Return (S, S), the two-sided p of each pair by itself; NaN where it cannot be told."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.values) / self.errors
        return 2 * stdtr(self.degrees, -t)

    @cached_property
    def adjusted_p_values(self) -> Array:
        """Return (S, S), the p values adjusted over all pairs that can be told."""
        return adjusted_over_pairs(self.p_values)

    @cached_property
    def better(self) -> Array:
        """Return (S, S) bool: whether the board tells that the row is better than the column."""
        is_told = np.nan_to_num(self.adjusted_p_values, nan=1.0) <= 1 - CONFIDENCE
        return is_told & (self.values > 0)

    @cached_property
    def ranks(self) -> Array:
        """Return (S, 2), the best and the worst rank that the board allows.

        A source stands behind all that are told to be better, and before all told to be worse.
        """
        best = 1 + self.better.sum(axis=0)
        worst = len(self.values) - self.better.sum(axis=1)
        return np.stack([best, worst], axis=1)

    @cached_property
    def tie_groups(self) -> list[tuple[int, int]]:
        """Return the longest runs of ``order`` in which no two are told apart, as first and last
        place.
        """
        told = self.better | self.better.T
        told = told[np.ix_(self.order, self.order)]
        groups: list[tuple[int, int]] = []
        start = 0
        for place in range(len(self.order)):
            apart = np.flatnonzero(told[place, start:place])
            if len(apart):
                groups.append((start, place - 1))
                start += int(apart[-1]) + 1
        if len(self.order):
            groups.append((start, len(self.order) - 1))
        return groups

    def interval(self, first: int, second: int, level: float = CONFIDENCE) -> tuple[float, float]:
        """Return the bounds of one difference by itself, not adjusted for the other pairs."""
        quantile = stdtrit(self.degrees[first, second], (1 + level) / 2)
        width = float(quantile * self.errors[first, second])
        value = float(self.values[first, second])
        return value - width, value + width

    def cutoff(self) -> float:
        """Return the p value at which one more pair would be told apart on this board."""
        pairs = np.triu(~np.isnan(self.p_values), 1).sum()
        return float((1 - CONFIDENCE) * (self.better.sum() + 1) / max(pairs, 1))


def adjusted_over_pairs(p_values: Array) -> Array:
    """Return (S, S), p values of pairs adjusted over all of them (Benjamini and Hochberg).

    Args:
        p_values: (S, S), symmetric; NaN where a pair cannot be told, and then it does not count.
    """
    from scipy.stats import false_discovery_control

    rows, columns = np.triu_indices(len(p_values), 1)
    raw = p_values[rows, columns]
    can_be_told = ~np.isnan(raw)
    rows, columns = rows[can_be_told], columns[can_be_told]
    adjusted = np.full(p_values.shape, np.nan)
    if len(rows):
        by_pair = false_discovery_control(raw[can_be_told])
        adjusted[rows, columns] = adjusted[columns, rows] = by_pair
    return adjusted


def differences(board: Board, scope: Scope | None = None) -> Differences:
    """Compare all pairs of sources.

    Args:
        board: The measurements.
        scope: What to compare on; by default the widest that the families allow.
    """
    scope = scope or board.scope
    values, families = _mean_differences(board.family_means)
    if scope is Scope.LIKE_THESE:
        variances, degrees = _family_variances(board.family_means, values, families)
        load = np.divide(1, families, out=np.full(values.shape, np.nan), where=families > 0)
        most = board.family_degrees
    else:
        variances, degrees = _seed_variances(board)
        load = _pair_load(board.seed_load)
        most = board.seed_degrees
    pairs = np.triu_indices(len(values), 1)
    variances = np.where(variances > board.noise_floor**2, variances, 0)
    caution = CAUTION * np.sqrt(2 / max(len(values) - 1, 1))
    moderated = moderate(variances[pairs], degrees[pairs], most, caution=caution)
    spread, pair_degrees = _square(moderated, pairs, len(values))
    errors = np.sqrt(np.where(spread > 0, spread, np.nan) * load)
    order = np.argsort(-np.nan_to_num(board.means, nan=-np.inf), kind="stable")
    return Differences(scope, order, values, errors, pair_degrees)


def _mean_differences(family_means: Array) -> tuple[Array, Array]:
    """Return (S, S) mean differences over the families both have, and how many these are."""
    present = (~np.isnan(family_means)).astype(float)
    filled = _centred(family_means)
    sums = filled @ present.T
    families = present @ present.T
    undefined = np.full(families.shape, np.nan)
    values = np.divide(sums - sums.T, families, out=undefined, where=families > 0)
    return values, families


def _family_variances(family_means: Array, values: Array, families: Array) -> tuple[Array, Array]:
    """Return (S, S), the variances of a family's difference, and their degrees F_ab - 1."""
    squares = _squared_differences(_centred(family_means), ~np.isnan(family_means))
    degrees = np.maximum(families - 1, 0)
    spread = squares - families * np.nan_to_num(values) ** 2
    variances = np.divide(spread, degrees, out=np.zeros_like(spread), where=degrees > 0)
    return np.maximum(variances, 0), degrees


def _seed_variances(board: Board) -> tuple[Array, Array]:
    """Return (S, S), the variances of a seed's difference within targets, and their degrees."""
    count = len(board.values)
    spread = np.zeros((count, count))
    degrees = np.zeros((count, count))
    for target in range(board.values.shape[1]):
        present = board.present[:, target]
        residuals = np.where(present, board.seed_residuals[:, target], 0)
        seeds = present.astype(float) @ present.T
        sums = residuals @ present.T.astype(float)
        means = np.divide(sums - sums.T, seeds, out=np.zeros_like(sums), where=seeds > 0)
        spread += _squared_differences(residuals, present) - seeds * means**2
        degrees += np.maximum(seeds - 1, 0)
    variances = np.divide(spread, degrees, out=np.zeros_like(spread), where=degrees > 0)
    return np.maximum(variances, 0), degrees


def _pair_load(seed_load: Array) -> Array:
    """Return (S, S), h_ab: the variance of a mean difference in units of a seed's difference."""
    present = (~np.isnan(seed_load)).astype(float)
    loads = np.nan_to_num(seed_load) @ present.T
    families = present @ present.T
    undefined = np.full(loads.shape, np.nan)
    return np.divide((loads + loads.T) / 2, families**2, out=undefined, where=families > 0)


def _squared_differences(values: Array, present: Array) -> Array:
    """Return (S, S), the sums of squared differences over the columns that two rows share."""
    shared = present.astype(float)
    squares = values**2 @ shared.T
    return squares + squares.T - 2 * values @ values.T


def _centred(values: Array) -> Array:
    """Return (S, F), values less their column's mean, 0 where they are missing."""
    present = ~np.isnan(values)
    counts = np.maximum(present.sum(axis=0), 1)
    means = np.where(present, values, 0).sum(axis=0) / counts
    return np.where(present, values - means, 0)


def _square(
    moderated: ModeratedVariances, pairs: tuple[Array, ...], size: int
) -> tuple[Array, Array]:
    """Return (S, S) variances and degrees from those of the pairs above the diagonal."""
    variances = np.full((size, size), np.nan)
    degrees = np.full((size, size), np.nan)
    variances[pairs] = moderated.values
    degrees[pairs] = moderated.degrees
    lower = (pairs[1], pairs[0])
    variances[lower] = moderated.values
    degrees[lower] = moderated.degrees
    return variances, degrees
