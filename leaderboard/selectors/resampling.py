"""Resample a judgement: what a selector's figures would be with other targets, sources and seeds.

All selectors share one bootstrap. Targets are drawn with replacement; in each, the sources that are
chosen among and the seeds. What a target's figures are under so many drawn sources and seeds is
worked out once, as a pool that every draw of the target takes from.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy import ndarray as Array

from headwater.leaderboard.selectors.history import TargetSetting
from headwater.leaderboard.statistics.agreement import STATISTICS
from headwater.leaderboard.statistics.bootstrap import DRAWS, interval_of

SEED_DRAWS = 8
SOURCE_DRAWS = 25
"""Draws of the sources for each draw of the seeds."""

POOL_SIZE = SEED_DRAWS * SOURCE_DRAWS


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
        return targets if targets > 1 else max(len(setting.sources) for setting in self.settings)

    def figures(self, task: str, scores: Mapping[int, Array]) -> TargetFigures:
        """Return the mean figures over the settings of a target that were answered.

        Args:
            task: The target.
            scores: By the position of a setting, scores (K, S) by seed and source.
        """
        measured = []
        pools = []
        for position, of_setting in scores.items():
            setting = self.settings[position]
            if setting.task == task:
                measured.append(_measured(setting, of_setting))
                pools.append(_pool(setting, of_setting, *self._draws_of(task, setting)))
        return TargetFigures(_mean(np.array(measured)), _mean(np.array(pools)))

    def _draws_of(self, task: str, setting: TargetSetting) -> tuple[Array, Array]:
        """Return (A, K), how often each draw holds each seed, and (A, M, S), each source.

        The settings of a target share their draws.
        """
        of_task = [each for each in self.settings if each.task == task]
        seeds = sorted({seed for each in of_task for seed in each.seeds}, key=str)
        sources = sorted({source for each in of_task for source in each.sources})
        random = np.random.default_rng(zlib.crc32(task.encode()))
        even_seeds = np.full(len(seeds), 1 / len(seeds))
        even_sources = np.full(len(sources), 1 / len(sources))
        seed_counts = random.multinomial(len(seeds), even_seeds, size=SEED_DRAWS)
        source_counts = random.multinomial(
            len(sources), even_sources, size=(SEED_DRAWS, SOURCE_DRAWS)
        )
        seed_columns = [seeds.index(seed) for seed in setting.seeds]
        source_columns = [sources.index(source) for source in setting.sources]
        return seed_counts[:, seed_columns], source_counts[:, :, source_columns]

    def mean(self, by_task: Mapping[str, TargetFigures]) -> tuple[Array, Array]:
        """Return each statistic's mean over targets: as measured (N,), and in each draw (N, DRAWS).

        Targets without an answer, or that tell nothing, do not count.
        """
        targets, picks = self.drawn
        measured = _mean(np.array([figures.measured for figures in by_task.values()]))
        pools = np.full((len(measured), len(self.targets), POOL_SIZE), np.nan)
        for task, figures in by_task.items():
            pools[:, self.targets.index(task)] = figures.pool
        return measured, _mean(np.moveaxis(pools[:, targets, picks], 2, 0))

    def interval(
        self, value: float, drawn: Array, targets: int
    ) -> tuple[float | None, float | None]:
        """Return the bounds of a mean over so many targets; None where there are none."""
        low, high = interval_of(value, drawn, self.units(targets))
        return (None, None) if np.isnan([value, low, high]).any() else (low, high)


def _measured(setting: TargetSetting, scores: Array) -> Array:
    """Return (N,), each statistic of a seed's scores against the mean over seeds, averaged over
    seeds.
    """
    truth = setting.quality.mean(axis=0)
    every_source = np.ones((1, len(setting.sources)))
    return _averaged(scores, np.ones(len(scores)), truth, every_source)[:, 0]


def _pool(
    setting: TargetSetting,
    scores: Array,
    seed_counts: Array,
    source_counts: Array,
) -> Array:
    """Return (N, R), each statistic in each resampling.

    Draws that hold the same seeds have the same truth, and are worked out together.
    """
    pool = np.full((len(STATISTICS), *source_counts.shape[:2]), np.nan)
    for counts in np.unique(seed_counts, axis=0):
        if not counts.any():
            continue
        alike = np.flatnonzero((seed_counts == counts).all(axis=1))
        truth = counts @ setting.quality / counts.sum()
        weights = np.concatenate(list(source_counts[alike])).astype(float)
        statistics = _averaged(scores, counts, truth, weights)
        pool[:, alike] = statistics.reshape(len(statistics), len(alike), -1)
    return pool.reshape(len(pool), -1)


def _averaged(scores: Array, seed_counts: Array, truth: Array, weights: Array) -> Array:
    """Return (N, B), the statistics averaged over the seeds drawn; seeds with equal scores are
    worked out once.
    """
    total = np.zeros((len(STATISTICS), len(weights)))
    for of_seed, count in _distinct(scores, seed_counts):
        statistics = [statistic(of_seed, truth, weights) for statistic in STATISTICS.values()]
        total += count * np.array(statistics)
    return total / seed_counts.sum()


def _distinct(scores: Array, seed_counts: Array) -> Iterator[tuple[Array, float]]:
    """Yield each distinct row of scores that was drawn, and how often."""
    distinct, numbers = np.unique(scores, axis=0, return_inverse=True)
    for number, of_seed in enumerate(distinct):
        if count := float(seed_counts[numbers.reshape(-1) == number].sum()):
            yield of_seed, count


def _mean(values: Array) -> Array:
    """Return the mean over the first axis of what is a number; NaN where nothing is."""
    is_number = ~np.isnan(values)
    counts = is_number.sum(axis=0)
    sums = np.where(is_number, values, 0).sum(axis=0)
    undefined = np.full(values.shape[1:], np.nan)
    return np.divide(sums, counts, out=undefined, where=counts > 0)
