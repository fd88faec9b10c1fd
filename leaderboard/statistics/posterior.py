"""Say how likely each source is the best, from the posterior of what the sources are worth.

Estimates of S sources have the covariance w P^+ up to a constant common to all, where w is a
variance that is estimated too, from a residual sum of squares R with n degrees, and P is known.
*On targets like these*: w is that of a source's fit to a family, and P = diag(n_s) - M diag(1/n_f) M'
with M the 0/1 table of sources and families. *On these targets*: w is that of one training, and
P = diag(1/h) - (1/h)(1/h)' / sum(1/h) with h_s the load of a source's mean (``Board.seed_load``).

The worths are drawn from a normal distribution of unknown mean and of variance a^2 = w g. Let P have
eigenvectors u_i with eigenvalues l_i > 0 and z_i = u_i' estimate; the vector of ones, of eigenvalue
0, is the common constant that no comparison sees. Then

    z_i | w, g              ~ N(0, w (1/l_i + g))
    u_i' worth | z_i, w, g  ~ N(r_i z_i, w r_i / l_i),     r_i = g l_i / (1 + g l_i).

The share of noise B = 1 / (1 + g mean(l)) has a uniform prior, which is proper whatever S is
(Daniels, Statistica Sinica 1999), and w has 1/w. w is then integrated out exactly:

    p(B | z, R) ~ prod_i (1/l_i + g)^(-1/2) (R + Q)^(-(n + S - 1)/2),   Q = sum_i z_i^2 / (1/l_i + g)
    w | B, z, R ~ (R + Q) / chi^2 with n + S - 1 degrees.

So B is summed over a grid, everything else is drawn directly: no chain of draws that must converge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy import ndarray as Array
from scipy.special import gammaincinv

from headwater.leaderboard.statistics.board import CONFIDENCE, Board, Scope, Shortage
from headwater.leaderboard.statistics.moderation import moderate
from headwater.leaderboard.statistics.two_way import residuals

DRAWS = 4000
"""Draws of the posterior: the error of a probability is at most 0.8 points."""

GRID = 200
"""Points at which the share of noise is evaluated."""


@dataclass(frozen=True)
class WorthPosterior:
    """Hold draws of what the compared sources are worth.

    Attributes:
        scope: What the worth is about.
        compared: (S,) bool, the sources that were measured and are linked to the others.
        draws: (D, N) float, the worth of the N compared sources less their mean.
        noise: (D,) float, draws of w.
        worth_variance: (D,) float, draws of a^2.
    """

    scope: Scope
    compared: Array
    draws: Array
    noise: Array
    worth_variance: Array

    @cached_property
    def best(self) -> Array:
        """Return (S,), the probability that a source is the best; NaN where it is not compared."""
        leaders = self.draws.argmax(axis=1)
        return self._spread(np.bincount(leaders, minlength=self.draws.shape[1]) / len(self.draws))

    @cached_property
    def expected_rank(self) -> Array:
        """Return (S,), the mean rank from 1, the best; NaN where a source is not compared."""
        order = np.argsort(-self.draws, axis=1)
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.arange(1, order.shape[1] + 1)[None], axis=1)
        return self._spread(ranks.mean(axis=0))

    @cached_property
    def mean(self) -> Array:
        """Return (S,), the shrunk difference to the mean source."""
        return self._spread(self.draws.mean(axis=0))

    def best_set(self, level: float = CONFIDENCE) -> list[int]:
        """Return the fewest sources that hold the best with probability ``level``, likeliest
        first.
        """
        order = np.argsort(-np.nan_to_num(self.best), kind="stable")
        before = np.cumsum(self.best[order]) - self.best[order]
        return [int(source) for source in order[before < level]]

    def better(self, first: int, second: int) -> float:
        """Return the probability that the first source is better than the second."""
        difference = self.difference(first, second)
        return float(np.mean(difference > 0) + np.mean(difference == 0) / 2)

    def difference(self, first: int, second: int) -> Array:
        """Return (D,), draws of the first source's worth less the second's; NaN where not known."""
        places = np.cumsum(self.compared) - 1
        if not (self.compared[first] and self.compared[second]):
            return np.full(len(self.draws), np.nan)
        return self.draws[:, places[first]] - self.draws[:, places[second]]

    def _spread(self, values: Array) -> Array:
        """Return (S,), values of the compared sources in their places among all."""
        spread = np.full(len(self.compared), np.nan)
        spread[self.compared] = values
        return spread


@dataclass(frozen=True)
class _Estimates:
    """Hold estimates with their covariance w P^+, and what is known of w."""

    values: Array  # (S,)
    precision: Array  # P, (S, S)
    squares: float  # R
    degrees: int  # n


def worth_posterior(
    board: Board, scope: Scope | None = None, draws: int = DRAWS
) -> WorthPosterior | Shortage:
    """Return the posterior of what the sources are worth, or why there is none.

    Args:
        board: The measurements.
        scope: What the worth is about; by default the widest that the families allow.
        draws: How many draws are taken; they are the same every time.
    """
    scope = scope or board.scope
    compared = ~np.isnan(board.means)
    if compared.sum() < 2:
        return Shortage.ONE_SOURCE
    estimates = _of_families(board) if scope is Scope.LIKE_THESE else _of_seeds(board)
    if estimates.degrees == 0:
        return Shortage.FEW_FAMILIES if scope is Scope.LIKE_THESE else Shortage.NO_REPEATS
    if estimates.squares <= board.noise_floor**2 * estimates.degrees:
        return Shortage.NO_VARIATION
    worths, noise, ratio = _draw(estimates, draws)
    return WorthPosterior(scope, compared, worths, noise, noise * ratio)


def _of_families(board: Board) -> _Estimates:
    compared = ~np.isnan(board.means)
    table = board.family_means[compared]
    table = table[:, ~np.isnan(table).all(axis=0)]
    left = residuals(table[None])[0]
    noisiness = _noisiness(left, board.family_degrees)
    weighted = (~np.isnan(table)) / noisiness[:, None]
    shared = (weighted / weighted.sum(axis=0)) @ weighted.T
    precision = np.diag(weighted.sum(axis=1)) - shared
    squares = float(np.nansum(left**2 / noisiness[:, None]))
    return _Estimates(board.means[compared], precision, squares, board.family_degrees)


def _of_seeds(board: Board) -> _Estimates:
    compared = ~np.isnan(board.means)
    left = board.seed_residuals[compared].reshape(compared.sum(), -1)
    targets = (board.repeats[compared] > 0).sum(axis=1)
    noisiness = _noisiness(left, board.seed_degrees, lost=targets)
    loads = board.seed_load[compared]
    families = (~np.isnan(loads)).sum(axis=1)
    weights = families**2 / (np.nansum(loads, axis=1) * noisiness)
    precision = np.diag(weights) - np.outer(weights, weights) / weights.sum()
    squares = float(np.nansum(left**2 / noisiness[:, None]))
    return _Estimates(board.means[compared], precision, squares, board.seed_degrees)


def _noisiness(left: Array, most_degrees: int, lost: Array | int = 1) -> Array:
    """Return (S,), the moderated variance of each source's residuals over that of all: v."""
    degrees = np.maximum((~np.isnan(left)).sum(axis=1) - lost, 0)
    squares = np.nansum(left**2, axis=1)
    variances = np.divide(squares, degrees, out=np.zeros(len(left)), where=degrees > 0)
    moderated = moderate(variances, degrees, most_degrees).values
    usual = moderated.mean()
    if not usual > 0:
        return np.ones(len(left))
    return moderated / usual


def _draw(estimates: _Estimates, count: int) -> tuple[Array, Array, Array]:
    """Return draws of the worths (D, S), of w (D,) and of g (D,)."""
    random = np.random.default_rng(0)
    eigenvalues, vectors = np.linalg.eigh(estimates.precision)
    eigenvalues, vectors = eigenvalues[1:], vectors[:, 1:]  # the first is the common constant
    z = vectors.T @ estimates.values
    shares = np.sin(np.pi / 2 * (np.arange(GRID) + 0.5) / GRID) ** 2
    ratios = (1 / shares - 1) / eigenvalues.mean()
    variances = 1 / eigenvalues + ratios[:, None]  # (GRID, S - 1), in units of w
    sums = estimates.squares + (z**2 / variances).sum(axis=1)
    half_degrees = (estimates.degrees + len(z)) / 2
    logs = -np.log(variances).sum(axis=1) / 2 - half_degrees * np.log(sums)
    cumulated = np.cumsum(np.exp(logs - logs.max()))

    # Evenly spaced quantiles of the grid and shuffled ones of chi^2 leave less to chance.
    quantiles = (np.arange(count) + 0.5) / count
    points = np.searchsorted(cumulated / cumulated[-1], quantiles)
    half_squares = gammaincinv(half_degrees, random.permutation(quantiles))
    noise = sums[points] / (2 * half_squares)
    ratio = ratios[points]
    kept = ratio[:, None] * eigenvalues / (1 + ratio[:, None] * eigenvalues)
    normal = random.standard_normal((count, len(z)))
    spread = np.sqrt(noise[:, None] * kept / eigenvalues)
    return (kept * z + spread * normal) @ vectors.T, noise, ratio
