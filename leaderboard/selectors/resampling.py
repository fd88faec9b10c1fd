"""Resample a judgement: what a selector's figures would be with other targets, sources and seeds.

Derivation. All selectors share one bootstrap, so that what makes a target easy cancels out of their
differences. A draw takes T of T targets with replacement, and in each of them, independently, as
many of its sources and of its seeds as it has. With f_t(a, b) a statistic on target t under the
drawn seeds a and sources b, the draw's figure is

    mean over drawn t of f_t(a_t, b_t).

f_t depends on its own target only. It is worked out once for each of R = ``POOL_SIZE`` pairs (a, b),
as a pool, and each time that a draw holds target t it takes one of the pool at random. A draw so
costs T look-ups instead of T evaluations of every statistic.

A bootstrap of n units spreads too little by sqrt((n - 1) / n), and its quantiles are normal ones
where Student's apply. Deviations are widened by the product of both corrections,

    sqrt(n / (n - 1)) * t_{n-1}(tail) / z(tail),

after Hesterberg, What Teachers Should Know About the Bootstrap (2015), section 3.2.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy import ndarray as Array
from scipy.special import ndtri, stdtrit

from headwater.leaderboard.selectors.history import TargetSetting
from headwater.leaderboard.statistics.agreement import STATISTICS
from headwater.leaderboard.statistics.board import CONFIDENCE
from headwater.leaderboard.statistics.correlation import ratio

DRAWS = 2000
"""Draws of targets: the error of a quantile is small beside what targets differ by."""

SEED_DRAWS = 8
SOURCE_DRAWS = 25
"""Draws of the sources for each draw of the seeds."""

POOL_SIZE = SEED_DRAWS * SOURCE_DRAWS
"""Resamplings of a target that every draw of it takes one of."""


@dataclass(frozen=True)
class TargetFigures:
    """Hold the statistics of one selector on one target.

    Attributes:
        measured: (N,) each statistic on what was measured.
        pool: (N, R) each statistic in each resampling of sources and seeds.
    """

    measured: Array
    pool: Array


@dataclass(frozen=True)
class Resampling:
    """Draw targets, sources and seeds of these settings, in the same way for every selector."""

    settings: Sequence[TargetSetting]

    @cached_property
    def targets(self) -> list[str]:
        """The targets of any setting."""
        return sorted({setting.task for setting in self.settings})

    @cached_property
    def drawn(self) -> tuple[Array, Array]:
        """Two arrays (DRAWS, T): which target stands at each place of a draw, and which of its pool
        it takes.
        """
        random = np.random.default_rng(0)
        shape = (DRAWS, len(self.targets))
        targets = random.integers(len(self.targets), size=shape)
        picks = random.integers(POOL_SIZE, size=shape)
        return targets, picks

    def units(self, targets: int) -> int:
        """Count the independent units: targets, or with one target its sources."""
        if targets > 1:
            return targets
        return max(len(setting.sources) for setting in self.settings)

    def figures(self, task: str, scores: Mapping[int, Array]) -> TargetFigures:
        """Return the mean figures over the settings of a target that were answered.

        Args:
            task: The target.
            scores: By the position of a setting, scores (K, S) by seed and source.
        """
        measured = []
        pools = []
        for position, setting_scores in scores.items():
            setting = self.settings[position]
            if setting.task != task:
                continue
            seed_counts, source_counts = self.draws_of(setting)
            measured.append(_measured(setting, setting_scores))
            pools.append(_pool(setting, setting_scores, seed_counts, source_counts))
        return TargetFigures(_mean(measured), _mean(pools))

    def draws_of(self, setting: TargetSetting) -> tuple[Array, Array]:
        """Return (A, K), how often each draw holds each seed, and (A, M, S), each source.

        The settings of a target share their draws: A of the seeds, and M of the sources for each.
        """
        alike = [each for each in self.settings if each.task == setting.task]
        seeds = sorted({seed for each in alike for seed in each.seeds}, key=str)
        sources = sorted({source for each in alike for source in each.sources})
        # Seeded by the target's name, so that its draws stay when other targets come or go.
        random = np.random.default_rng(zlib.crc32(setting.task.encode()))
        seed_counts = _draw_evenly(random, len(seeds), (SEED_DRAWS,))
        source_counts = _draw_evenly(random, len(sources), (SEED_DRAWS, SOURCE_DRAWS))
        seed_columns = [seeds.index(seed) for seed in setting.seeds]
        source_columns = [sources.index(source) for source in setting.sources]
        return seed_counts[:, seed_columns], source_counts[:, :, source_columns]

    def mean(self, by_task: Mapping[str, TargetFigures]) -> tuple[Array, Array]:
        """Return each statistic's mean over targets: as measured (N,), and in each draw (N, DRAWS).

        Targets without an answer, or that tell nothing, do not count.
        """
        targets, picks = self.drawn
        measured = _mean([figures.measured for figures in by_task.values()])
        # NaN stands for targets without an answer: the mean leaves them out of each draw.
        pools = np.full((len(measured), len(self.targets), POOL_SIZE), np.nan)
        for task, figures in by_task.items():
            pools[:, self.targets.index(task)] = figures.pool
        drawn = pools[:, targets, picks]  # (N, DRAWS, T)
        return measured, _mean(np.moveaxis(drawn, 2, 0))

    def interval(
        self, value: float, drawn: Array, targets: int
    ) -> tuple[float | None, float | None]:
        """Return the bounds of a mean over so many targets; None where there are none."""
        low, high = interval_of(value, drawn, self.units(targets))
        if np.isnan([value, low, high]).any():
            return None, None
        return low, high


def widening(units: int, level: float) -> float:
    """Return the factor for a bootstrap's deviations of ``units`` independent units; NaN for fewer
    than two.
    """
    if units < 2:
        return float("nan")
    tail = (1 + level) / 2
    return float(np.sqrt(units / (units - 1)) * stdtrit(units - 1, tail) / ndtri(tail))


def interval_of(
    estimate: float, drawn: Array, units: int, level: float = CONFIDENCE
) -> tuple[float, float]:
    """Return the bounds of any statistic from its value in each draw, widened as those of means
    are.

    Deviations are from the draws' own mean: seeds drawn twice make every draw noisier than what was
    measured, which pulls correlations towards 0 in the draws alone.

    Args:
        estimate: The statistic on what was measured.
        drawn: (draws,) the statistic in each draw.
        units: The number of independent units.
        level: The confidence level.
    """
    defined = drawn[~np.isnan(drawn)]
    if units < 2 or not len(defined):
        return float("nan"), float("nan")
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(defined - defined.mean(), tails)
    factor = widening(units, level)
    return float(estimate + factor * low), float(estimate + factor * high)


def _draw_evenly(random: np.random.Generator, count: int, size: tuple[int, ...]) -> Array:
    """Return (*size, count), how often each of ``count`` things is in as many draws with
    replacement.
    """
    chances = np.full(count, 1 / count)
    return random.multinomial(count, chances, size=size)


def _measured(setting: TargetSetting, scores: Array) -> Array:
    """Return (N,), each statistic of a seed's scores against the mean over seeds, averaged over
    seeds.
    """
    truth = setting.quality.mean(axis=0)
    each_seed_once = np.ones(len(scores))
    each_source_once = np.ones((1, len(setting.sources)))
    averages = _averaged(scores, each_seed_once, truth, each_source_once)
    return averages[:, 0]


def _pool(
    setting: TargetSetting,
    scores: Array,
    seed_counts: Array,
    source_counts: Array,
) -> Array:
    """Return (N, R), each statistic in each resampling.

    Draws that hold the same seeds have the same truth, and are worked out together.
    """
    seed_draws, source_draws, _ = source_counts.shape
    pool = np.full((len(STATISTICS), seed_draws, source_draws), np.nan)
    for counts in np.unique(seed_counts, axis=0):
        # A draw that holds none of this setting's seeds tells nothing of it.
        if not counts.any():
            continue
        is_alike = (seed_counts == counts).all(axis=1)
        truth = counts @ setting.quality / counts.sum()
        weights = np.concatenate(source_counts[is_alike])
        statistics = _averaged(scores, counts, truth, weights.astype(float))
        pool[:, is_alike] = statistics.reshape(len(pool), -1, source_draws)
    return pool.reshape(len(pool), POOL_SIZE)


def _averaged(scores: Array, seed_counts: Array, truth: Array, weights: Array) -> Array:
    """Return (N, B), the statistics averaged over the seeds drawn; seeds with equal scores are
    worked out once.
    """
    total = np.zeros((len(STATISTICS), len(weights)))
    for seed_scores, count in _distinct(scores, seed_counts):
        for row, statistic in enumerate(STATISTICS.values()):
            total[row] += count * statistic(seed_scores, truth, weights)
    return total / seed_counts.sum()


def _distinct(scores: Array, seed_counts: Array) -> Iterator[tuple[Array, float]]:
    """Yield each distinct row of scores that was drawn, and how often."""
    distinct, numbers = np.unique(scores, axis=0, return_inverse=True)
    counts = np.bincount(numbers.reshape(-1), weights=seed_counts, minlength=len(distinct))
    for seed_scores, count in zip(distinct, counts, strict=True):
        if count:
            yield seed_scores, float(count)


def _mean(rows: Sequence[Array] | Array) -> Array:
    """Return the mean over the first axis of what is a number; NaN where nothing is."""
    values = np.asarray(rows)
    is_number = ~np.isnan(values)
    sums = np.where(is_number, values, 0).sum(axis=0)
    return ratio(sums, is_number.sum(axis=0))
