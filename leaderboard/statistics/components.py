"""Split the noise of comparisons into its parts: families, their targets, and seeds.

Sources are compared within columns (target, seed), so what a column does to all is left out, as
fixed effects. What remains of y_stk has three variances: phi of a source's fit to a family, tau of
its fit to a target within the family, sigma of one training.

**A whole board with m targets a family and K seeds**: mean squares, each expected to be

    seeds      MS_E = sum (y_stk - y_st - y_tk + y_t)^2 / (T (S-1)(K-1))         sigma
    targets    MS_T = K sum (y_st - y_sf - y_t + y_f)^2 / ((S-1) F (m-1))        sigma + K tau
    families   MS_F = m K sum (y_sf - y_s - y_f + y)^2 / ((S-1)(F-1))            sigma + K tau + m K phi

A variance below 0 counts as 0, and mean squares that this makes equal are pooled: with the weights
of their degrees, that is the restricted maximum likelihood (Thompson, Ann. Math. Stat. 1962).

**Any other board**: restricted maximum likelihood (REML). With X the dummies of sources and columns,
and V the covariance, block diagonal by source and family,

    -2 l = log|V| + log|X' V^-1 X| + (y - X b)' V^-1 (y - X b).

With V in units of sigma, and a = tau/sigma, g = phi/sigma, Woodbury twice gives for a block with
n_t seeds a target, c_t = 1/(1 + n_t a), u the vector that is c_t on the cells of target t,
and w = 1/(1 + g sum_t n_t c_t):

    V^-1 = I - a sum_t c_t 1_t 1_t' - g w u u',     log|V| = -sum_t log c_t - log w.

X' V^-1 X has one number a source on its diagonal; these are eliminated, and what is left is one
matrix of columns x columns, whatever the number of sources. sigma has its maximum in closed form,
which leaves two ratios to search.

A part that nothing repeats (one seed a target, one target a family) cannot be told from the one
above it, and is counted there: it is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import isotonic_regression, minimize

from headwater.leaderboard.statistics.board import Board, padded
from headwater.leaderboard.statistics.two_way import parts_of_columns, residual_degrees, residuals

MAX_RATIO = 1e4
"""The largest ratio of two variances that is searched."""


@dataclass(frozen=True)
class VarianceComponents:
    """Hold the variances of one source's values; NaN where a part is counted in the one above.

    Attributes:
        family: The variance of a source's fit to a family.
        target: The variance of its fit to a target within the family.
        seed: The variance of one training.
    """

    family: float
    target: float
    seed: float

    def mean_of_family(self, seeds: float) -> float:
        """Return the variance of a source's mean on a new family of one target with so many
        seeds; NaN where the seeds' part is unknown.
        """
        return self.family + float(np.nan_to_num(self.target)) + self.seed / seeds


def variance_components(board: Board) -> VarianceComponents | None:
    """Return the variances of a board; None where it leaves no degrees of freedom for any.

    A board of one family shows its targets' and seeds' parts only, one of a single target the
    seeds' part only; the rest is NaN.
    """
    measured = board.without_empty()
    if residual_degrees(measured.cells) == 0:
        return None
    members = np.bincount(measured.families)
    is_whole = measured.present.all() and np.ptp(members) == 0
    levels = _by_mean_squares(measured) if is_whole else _by_likelihood(measured)
    return VarianceComponents(*levels)


def _by_mean_squares(board: Board) -> list[float]:
    """Return the variances of families, targets and seeds of a whole board."""
    sources, targets, seeds = board.values.shape
    by_family = board.family_means
    families = by_family.shape[1]
    within_family = residuals(padded(board.target_means, board.families))
    squares = np.array(
        [
            targets // families * seeds * np.sum(residuals(by_family[None]) ** 2),
            seeds * np.sum(within_family**2),
            np.sum(board.seed_residuals**2),
        ]
    )
    steps = np.array([families - 1, targets - families, targets * (seeds - 1)])
    degrees = (sources - 1) * steps
    repeats = np.array([targets // families * seeds, seeds, 1])
    is_seen = degrees > 0
    pooled = isotonic_regression(
        squares[is_seen] / degrees[is_seen], weights=degrees[is_seen], increasing=False
    ).x
    above_the_next = pooled - np.append(pooled[1:], 0)
    variances = np.full(3, np.nan)
    variances[is_seen] = above_the_next / repeats[is_seen]
    return variances.tolist()


def _by_likelihood(board: Board) -> list[float]:
    """Return the variances of families, targets and seeds by restricted maximum likelihood."""
    within_family = ~np.isnan(padded(board.target_means, board.families))
    sees_seeds = board.seed_degrees > 0
    sees_targets = any(residual_degrees(present) > 0 for present in within_family)
    sees_families = board.family_degrees > 0
    is_seen = np.array([sees_families, sees_targets, sees_seeds])
    # The lowest part that is seen is the residual; the ratios of those above it are searched.
    lowest = int(np.flatnonzero(is_seen)[-1]) if is_seen.any() else 2
    searched = np.flatnonzero(is_seen[:lowest])
    likelihood = _Likelihood(board)

    def deviance(steps: Array) -> float:
        ratios = np.zeros(2)
        ratios[searched] = np.expm1(steps)
        return likelihood.deviance(*ratios)[0]

    best = np.zeros(len(searched))
    if len(searched):
        best = minimize(
            deviance,
            np.full(len(searched), np.log(2)),
            method="L-BFGS-B",
            bounds=[(0, np.log1p(MAX_RATIO))] * len(searched),
            options={"eps": 1e-5},
        ).x
    ratios = np.zeros(2)
    ratios[searched] = np.expm1(best)
    residual = likelihood.deviance(*ratios)[1]
    variances = np.full(3, np.nan)
    variances[searched] = ratios[searched] * residual
    variances[lowest] = residual
    return variances.tolist()


class _Likelihood:
    """Evaluate the restricted likelihood of a board without empty rows and columns."""

    def __init__(self, board: Board):
        sources, targets, seeds = board.values.shape
        columns = board.cells.any(axis=0)
        self.present = board.cells[:, columns].astype(float)
        values = board.values.reshape(sources, targets * seeds)[:, columns]
        self.values = np.where(self.present > 0, values - np.nanmean(values), 0)
        self.target = np.repeat(np.arange(targets), seeds)[columns]
        self.family = board.families[self.target]
        self.in_target = np.equal.outer(np.arange(targets), self.target).astype(float)
        self.in_family = np.equal.outer(np.unique(self.family), self.family).astype(float)
        self.same_target = self.in_target.T @ self.in_target
        self.same_family = self.in_family.T @ self.in_family
        self.repeats = self.present @ self.in_target.T
        self.degrees = residual_degrees(self.present > 0)
        part = parts_of_columns(self.present > 0)
        same_part = np.equal.outer(part, part)
        self.constants = same_part / same_part.sum(axis=0)

    def deviance(self, family_ratio: float, target_ratio: float) -> tuple[float, float]:
        """Return -2 l up to a constant, and the residual variance at which it is least."""
        shrink = 1 / (1 + self.repeats * target_ratio)  # c of the derivation, (S, T)
        loads = shrink @ self.in_target * self.present  # u, (S, C)
        sums = loads @ self.in_family.T
        weights = 1 / (1 + family_ratio * sums)  # w, (S, F)
        spread_weights = weights @ self.in_family

        target_part = np.sqrt(shrink) @ self.in_target * self.present
        family_part = np.sqrt(spread_weights) * loads
        columns = np.diag(self.present.sum(axis=0))
        columns -= target_ratio * self.same_target * (target_part.T @ target_part)
        columns -= family_ratio * self.same_family * (family_part.T @ family_part)
        of_sources = (weights * sums).sum(axis=1)
        crossed = spread_weights * loads
        # Sources are eliminated; the constants of linked parts, which X has twice, are filled up.
        reduced = columns - crossed.T @ (crossed / of_sources[:, None]) + self.constants

        by_target = (self.values @ self.in_target.T * shrink) @ self.in_target
        by_family = (weights * ((loads * self.values) @ self.in_family.T)) @ self.in_family
        whitened = self.values - target_ratio * by_target * self.present
        whitened -= family_ratio * by_family * loads
        source_pulls = whitened.sum(axis=1)
        column_pulls = whitened.sum(axis=0) - crossed.T @ (source_pulls / of_sources)

        factor, lower = cho_factor(reduced)
        solved = cho_solve((factor, lower), column_pulls)
        squares = np.sum(self.values * whitened) - np.sum(source_pulls**2 / of_sources)
        squares = max(float(squares - column_pulls @ solved), np.finfo(float).tiny)
        logs_of_design = np.log(of_sources).sum() + 2 * np.log(np.diag(factor)).sum()
        logs_of_noise = -np.log(shrink).sum() - np.log(weights).sum()
        deviance = self.degrees * np.log(squares) + logs_of_noise + logs_of_design
        return float(deviance), squares / self.degrees
