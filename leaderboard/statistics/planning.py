"""Say how many more targets and seeds would tell two sources apart, and what they cost.

Let d be the difference seen, delta the true one with variance A = 2 a^2 among sources, and let the
noise have variance omega from family to family and s from seed to seed, so that with F families and
K seeds d has variance V = A + (omega + s/K)/F. After an extension to F' >= F and K' >= K the new
difference d' averages the old cells and the new, all equally. What the old cells have in common with
d' is then the noise of d' itself, cov(d, d') = V' = A + (omega + s/K')/F', and so

    d' | d ~ N(d V'/V, V' (1 - V'/V)).

The pair will be told apart if |d'| > t e', with e'^2 = (omega + s/K')/F' as it will be estimated (a
chi-squared over its degrees) and t the quantile at which the board would take one more pair. The
assurance is the probability of that, averaged over the posterior of a^2, omega and s: what is seen
now is not taken for the truth. The cheapest extension with 80 % is advised. Where there is none,
an equivalence bound says all that matters: "they differ by less than x".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from scipy.special import ndtr, stdtrit

from headwater.leaderboard.statistics.board import Board, Scope, Shortage
from headwater.leaderboard.statistics.differences import Differences, differences
from headwater.leaderboard.statistics.paired_tests import equivalence_bound
from headwater.leaderboard.statistics.posterior import WorthPosterior, worth_posterior

ASSURANCE = 0.8
"""Probability with which an advised extension tells the pair apart."""

MAX_NEW_TARGETS = 60
MAX_NEW_SEEDS = 20
"""The largest extension that is considered: nobody runs more to tell two sources apart."""

PLAN_DRAWS = 200
"""Draws of the variances over which the assurance is averaged."""


@dataclass(frozen=True)
class ExtensionCosts:
    """State what more measurements cost, in seconds.

    Attributes:
        seed: Seconds of one more seed on one target, for all sources that are measured.
        target: Seconds that a new target takes once, beside its seeds.
    """

    seed: float
    target: float = 0.0

    def seconds(self, targets: int, seeds: int, new_targets: Array, new_seeds: Array) -> Array:
        """Return what it takes to add targets, and seeds on old and new targets alike."""
        trainings = targets * new_seeds + new_targets * (seeds + new_seeds)
        return trainings * self.seed + new_targets * self.target


@dataclass(frozen=True)
class Extension:
    """Advise how much more to measure.

    Attributes:
        targets: New targets, each of a family of its own.
        seeds: New seeds on every target, old and new.
        seconds: What it costs.
        assurance: The probability that the two sources are then told apart.
    """

    targets: int
    seeds: int
    seconds: float
    assurance: float


@dataclass(frozen=True)
class Separation:
    """Say what would tell two sources apart.

    Attributes:
        extension: The cheapest extension that does; None where none of a size that one would run.
        bound: What the sources differ by at most, with 95 %; NaN where their noise is unknown.
    """

    extension: Extension | None
    bound: float


class SeparationPlanner:
    """Plan extensions of one board; what its pairs have in common is worked out once."""

    def __init__(self, board: Board, costs: ExtensionCosts):
        self._board = board
        self._costs = costs
        self.pairs: Differences = differences(board)
        self.posterior: WorthPosterior | Shortage = worth_posterior(board)

    def separate(self, first: int, second: int) -> Separation:
        """Return the cheapest extension that tells two sources apart, and a bound meanwhile."""
        value, error, degrees = (
            float(table[first, second])
            for table in (self.pairs.values, self.pairs.errors, self.pairs.degrees)
        )
        bound = equivalence_bound(value, error, degrees)
        if isinstance(self.posterior, Shortage) or np.isnan(error):
            return Separation(None, bound)
        new_targets, new_seeds = self._candidates()
        seconds = self._costs.seconds(*self._size(), new_targets, new_seeds)
        assurance = self._assurance(value, error, degrees, new_targets, new_seeds)
        enough = np.flatnonzero(assurance >= ASSURANCE)
        if not len(enough):
            return Separation(None, bound)
        best = int(enough[seconds[enough].argmin()])
        extension = Extension(
            targets=int(new_targets[best]),
            seeds=int(new_seeds[best]),
            seconds=float(seconds[best]),
            assurance=float(assurance[best]),
        )
        return Separation(extension, bound)

    def _size(self) -> tuple[int, int]:
        """Return the board's targets and the seeds that its cells have as a rule."""
        repeats = self._board.repeats
        targets = int((repeats > 0).any(axis=0).sum())
        return targets, max(round(float(repeats[repeats > 0].mean())), 1)

    def _candidates(self) -> tuple[Array, Array]:
        """Return the extensions, as new targets and new seeds.

        Seeds help only where their noise is known, and targets where that of families is.
        """
        knows_targets = self.pairs.scope is Scope.LIKE_THESE
        knows_seeds = self._board.seed_degrees > 0
        targets = np.arange(MAX_NEW_TARGETS * knows_targets + 1)
        seeds = np.arange(MAX_NEW_SEEDS * knows_seeds + 1)
        grid = np.meshgrid(targets, seeds, indexing="ij")
        new_targets, new_seeds = (axis.reshape(-1)[1:] for axis in grid)
        return new_targets, new_seeds

    def _assurance(
        self, value: float, error: float, degrees: float, new_targets: Array, new_seeds: Array
    ) -> Array:
        """Return the probability of each extension to tell the pair apart."""
        assert isinstance(self.posterior, WorthPosterior)
        random = np.random.default_rng(1)
        every = slice(None, None, max(len(self.posterior.noise) // PLAN_DRAWS, 1))
        noise = self.posterior.noise[every]
        worth = 2 * self.posterior.worth_variance[every]
        # The pair's own noise, with the relative uncertainty of the board's.
        noise = error**2 * noise / noise.mean()
        units = self._board.family_count
        _, seeds = self._size()
        if self.pairs.scope is Scope.LIKE_THESE:
            of_seeds = noise * self._share_of_seeds(random, len(noise))
            growth = units / (units + new_targets)
            most = self._board.family_degrees * (1 + new_targets / max(units - 1, 1))
            new_degrees = np.minimum(degrees + new_targets, most)
        else:
            of_seeds = noise
            growth = np.ones(len(new_targets))
            new_degrees = degrees * (1 + new_seeds / max(seeds - 1, 1))
        shrink = seeds / (seeds + new_seeds)
        of_families = noise - of_seeds
        new_noise = growth[:, None] * (of_families + of_seeds * shrink[:, None])

        total = worth + noise
        new_total = worth + new_noise
        centre = abs(value) * new_total / total
        spread = np.sqrt(new_total * (1 - new_total / total))
        chance = random.chisquare(new_degrees[:, None], size=new_noise.shape)
        new_error = np.sqrt(new_noise * chance / new_degrees[:, None])
        threshold = stdtrit(new_degrees, 1 - self.pairs.cutoff() / 2)[:, None] * new_error
        with np.errstate(divide="ignore", invalid="ignore"):
            is_told = ndtr((centre - threshold) / spread) + ndtr((-centre - threshold) / spread)
        return np.asarray(is_told.mean(axis=1))

    def _share_of_seeds(self, random: np.random.Generator, count: int) -> Array:
        """Return draws (D,) of the share of a family difference's variance that seeds make."""
        degrees = self._board.seed_degrees
        if degrees == 0:
            return np.zeros(count)
        assert isinstance(self.posterior, WorthPosterior)
        every = slice(None, None, max(len(self.posterior.noise) // count, 1))
        noise = self.posterior.noise[every]
        squares = float(np.nansum(self._board.seed_residuals**2))
        luck = squares / random.chisquare(degrees, size=count)
        load = float(np.nanmean(self._board.seed_load))
        return np.minimum(luck * load / noise, 1)
