"""Hold the statistics of the leaderboard to their error rates, on boards whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy import ndarray as Array

from headwater.leaderboard.statistics.board import Board, Scope
from headwater.leaderboard.statistics.differences import differences
from headwater.leaderboard.statistics.intervals import (
    MeanIntervals,
    differences_to_mean,
    mean_intervals,
)
from headwater.leaderboard.statistics.planning import ExtensionCosts, SeparationPlanner
from headwater.leaderboard.statistics.posterior import WorthPosterior, worth_posterior

LARGE_FIT = {"family_fit": 0.06, "luck": 0.02}
"""A world in which what families do to sources outweighs the luck of a training."""

BINS = ((0.0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01))
"""Ranges of a stated probability, in each of which it is compared with what came true."""


@dataclass(frozen=True)
class Simulated:
    """Hold a board and its truth: the worth of each source (S,), its mean on each target (S, T)."""

    board: Board
    worth: Array
    target_means: Array

    @property
    def means_here(self) -> Array:
        """Return (S,), the true means on the targets of the board."""
        return Board(self.target_means[..., None], self.board.families).means


@dataclass(frozen=True)
class World:
    """Draw boards of S sources on F families of m targets under K seeds.

    Deviations are on one scale: of sources ``worth``, of families ``ease``, of a source's fit to a
    family and to a target, and of a training (``luck``). ``uneven`` is the deviation of log noise
    levels between sources, ``missing`` the share of cells that are left out.
    """

    sources: int = 12
    families: int = 9
    members: int = 1
    seeds: int = 2
    worth: float = 0.0
    ease: float = 0.1
    family_fit: float = 0.02
    target_fit: float = 0.0
    luck: float = 0.06
    uneven: float = 0.0
    missing: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.sources} × {self.families} × {self.seeds}"]
        if self.members > 1:
            parts.append(f"{self.members} targets a family")
        if self.uneven:
            parts.append("unequal noise")
        if self.missing:
            parts.append(f"{self.missing:.0%} missing")
        return ", ".join(parts)

    def draw(self, random: np.random.Generator) -> Simulated:
        """Return a board of sources whose worth is drawn too."""
        return self.measure(self.worth * random.normal(size=self.sources), random)

    def measure(self, worth: Array, random: np.random.Generator) -> Simulated:
        """Return a board of sources of this worth."""
        sources, seeds = self.sources, self.seeds
        family = np.repeat(np.arange(self.families), self.members)
        targets = len(family)
        noise = np.exp(self.uneven * random.normal(size=(sources, 1)))
        fit = self.family_fit * random.normal(size=(sources, self.families))[:, family]
        fit = noise * (fit + self.target_fit * random.normal(size=(sources, targets)))
        ease = self.ease * random.normal(size=self.families)[family]
        target_means = worth[:, None] + fit + ease
        common = self.luck / 2 * random.normal(size=(targets, seeds))
        luck = self.luck * noise[..., None] * random.normal(size=(sources, targets, seeds))
        values = target_means[..., None] + common + luck
        values[random.random(values.shape) < self.missing] = np.nan
        return Simulated(Board(values, family), worth, target_means)

    def boards(self, count: int, seed: int = 0) -> Iterator[Simulated]:
        """Yield so many boards; the same every time."""
        random = np.random.default_rng(seed)
        for _ in range(count):
            yield self.draw(random)


def coverage(world: World, boards: int) -> dict[str, float]:
    """Return the share of 95 % intervals that hold the truth, by what they are about."""
    hits: dict[str, list[float]] = {}
    for drawn in world.boards(boards):
        board, here = drawn.board, drawn.means_here
        to_mean = drawn.worth - drawn.worth.mean()
        readings = {
            "these targets": (mean_intervals(board, Scope.THESE), here),
            "these, to the mean source": (
                differences_to_mean(board, Scope.THESE),
                here - np.nanmean(here),
            ),
        }
        if world.families >= 3:
            readings["targets like these"] = (
                mean_intervals(board, Scope.LIKE_THESE),
                drawn.worth,
            )
            readings["like these, to the mean source"] = (
                differences_to_mean(board, Scope.LIKE_THESE),
                to_mean,
            )
        for name, (intervals, truth) in readings.items():
            if not np.isnan(share := _share_held(intervals, truth)):
                hits.setdefault(name, []).append(share)
    return {name: float(np.mean(shares)) for name, shares in hits.items()}


def _share_held(intervals: MeanIntervals, truth: Array) -> float:
    lower, upper = intervals.bounds().T
    shown = ~np.isnan(lower)
    held = (lower < truth) & (truth < upper)
    return float(held[shown].mean()) if shown.any() else float("nan")


def boards_with_a_claim(world: World, boards: int) -> float:
    """Return the share of boards that tell any pair apart."""
    claims = [differences(drawn.board).better.any() for drawn in world.boards(boards)]
    return float(np.mean(claims))


def pairs_told(world: World, boards: int) -> tuple[float, float]:
    """Return the share of pairs told apart rightly, and the wrong way round."""
    right, wrong = [], []
    pairs = world.sources * (world.sources - 1) / 2
    for drawn in world.boards(boards):
        better = differences(drawn.board).better
        truly = drawn.worth[:, None] > drawn.worth
        right.append((better & truly).sum() / pairs)
        wrong.append((better & ~truly).sum() / pairs)
    return float(np.mean(right)), float(np.mean(wrong))


@dataclass(frozen=True)
class BestRates:
    """Compare what is said of the best source with what was so.

    Attributes:
        held: The share of boards whose 95 % set holds the best.
        stated: The probability that the sets stated, which is 95 % or somewhat more.
        size: The mean size of the sets.
        bins: The mean stated P(best) and the share that was the best, in each of ``BINS``.
        counts: How many statements fell in each bin.
    """

    held: float
    stated: float
    size: float
    bins: list[tuple[float, float]]
    counts: list[int]


def best_rates(world: World, boards: int, draws: int = 1000) -> BestRates:
    """Return how well the best source is known."""
    held, stated, sizes = [], [], []
    probabilities, outcomes = [], []
    for drawn in world.boards(boards):
        posterior = worth_posterior(drawn.board, draws=draws)
        assert isinstance(posterior, WorthPosterior)
        best = int(drawn.worth.argmax())
        chosen = posterior.best_set()
        held.append(best in chosen)
        stated.append(posterior.best[chosen].sum())
        sizes.append(len(chosen))
        probabilities.append(posterior.best)
        outcomes.append(np.arange(world.sources) == best)
    said, was = np.concatenate(probabilities), np.concatenate(outcomes)
    inside = [(said >= low) & (said < high) for low, high in BINS]
    bins = [(float(said[part].mean()), float(was[part].mean())) for part in inside if part.any()]
    counts = [int(part.sum()) for part in inside if part.any()]
    return BestRates(
        float(np.mean(held)), float(np.mean(stated)), float(np.mean(sizes)), bins, counts
    )


@dataclass(frozen=True)
class AdviceRates:
    """Count pairs that were not told apart, those advised to measure more, and those then told."""

    pairs: int
    advised: int
    came_true: int
    bound_held: int


def advice_rates(world: World, boards: int, costs: ExtensionCosts | None = None) -> AdviceRates:
    """Follow the advice on the best pair and the last pair of neighbours of each board."""
    costs = costs or ExtensionCosts(seed=1.0, target=2.0)
    # The whole of what could be measured is drawn at once; the board is its corner.
    whole = replace(world, families=world.families + 60, seeds=world.seeds + 20)
    pairs = advised = came_true = bound_held = 0
    for drawn in whole.boards(boards):
        planner = SeparationPlanner(_corner(drawn.board, world.families, world.seeds), costs)
        told = planner.pairs.better | planner.pairs.better.T
        order = [int(source) for source in planner.pairs.order]
        ties = [pair for pair in pairwise(order) if not told[pair]]
        for first, second in ties[:1] + ties[-1:]:
            pairs += 1
            separation = planner.separate(first, second)
            bound_held += abs(drawn.worth[first] - drawn.worth[second]) < separation.bound
            if (extension := separation.extension) is None:
                continue
            advised += 1
            families = world.families + extension.targets
            extended = _corner(drawn.board, families, world.seeds + extension.seeds)
            better = differences(extended, planner.pairs.scope).better
            came_true += bool(better[first, second] or better[second, first])
    return AdviceRates(pairs, advised, came_true, bound_held)


def _corner(board: Board, targets: int, seeds: int) -> Board:
    """Return the first targets and seeds of a board of one target a family."""
    return Board(board.values[:, :targets, :seeds], board.families[:targets])
