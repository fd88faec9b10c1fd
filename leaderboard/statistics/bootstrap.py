"""What repeated measurements can say: intervals, ranks and ties from one hierarchical bootstrap.

Tasks are drawn with replacement, then seeds within each drawn task (with one task, seeds only); every source is averaged over
the same draws, so that what makes a task or a seed easy cancels out of comparisons. A bootstrap of n units spreads too
little by sqrt((n - 1) / n), and its quantiles are normal ones where Student's apply; deviations are widened by the product of
both corrections, after Hesterberg, What Teachers Should Know About the Bootstrap (2015), section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtri, stdtrit

LEVEL = 0.95
DRAWS = 2000
_MOST = 100
"""Nobody runs more seeds or tasks than this to separate two sources."""


@dataclass(frozen=True)
class More:
    """How many more seeds, or else tasks, would about separate two sources; neither where that cannot be told."""

    seeds: int | None = None
    tasks: int | None = None


@dataclass(frozen=True)
class Comparison:
    """Sources measured on the same cells.

    ``gains``: (S, C) float, NaN where a source lacks the cell. ``tasks`` and ``seeds``: (C,) int, the task and the
    seed of each cell; cells that share both (adaptations, sizes) are drawn together.
    """

    gains: np.ndarray
    tasks: np.ndarray
    seeds: np.ndarray
    draws: int = DRAWS
    level: float = LEVEL

    def units_of(self, present: np.ndarray) -> int:
        """What is resampled at the top of these cells, (C,) bool: tasks, or seeds where there is one task."""
        tasks = len(np.unique(self.tasks[present]))
        return tasks if tasks > 1 else len(np.unique(self.seeds[present]))

    @cached_property
    def mean(self) -> np.ndarray:
        """(S,) mean gain over the cells a source has; NaN for none."""
        return _ratio(np.nansum(self.gains, axis=1), np.sum(~np.isnan(self.gains), axis=1))

    @cached_property
    def negative(self) -> np.ndarray:
        """(S,) the share of gains below 0: an estimate of P(negative transfer)."""
        return _ratio(np.sum(self.gains < 0, axis=1), np.sum(~np.isnan(self.gains), axis=1))

    @cached_property
    def weights(self) -> np.ndarray:
        """(draws, C): how often each draw holds each cell; the same draws every time."""
        return cell_weights(self.tasks, self.seeds, self.draws)

    @cached_property
    def interval(self) -> np.ndarray:
        """(S, 2) bounds of the mean gain; NaN where there is nothing to resample."""
        return self._bounds(self.gains)

    def _bounds(self, values: np.ndarray) -> np.ndarray:
        """(N, 2) bounds of the means of rows (N, C), each over the cells it has and widened by how many units those are."""
        present = ~np.isnan(values)
        known = np.where(present, values, 0)
        centre = _ratio(known.sum(axis=1), present.sum(axis=1))
        spread = _ratio(self.weights @ known.T, self.weights @ present.T.astype(float)) - centre
        factor = np.array([widening(self.units_of(row), self.level) for row in present])
        tails = ((1 - self.level) / 2, (1 + self.level) / 2)
        return (centre + factor * _quantiles(spread, tails)).T

    @cached_property
    def better(self) -> np.ndarray:
        """(S, S) bool: whether row's gain exceeds column's at the level, on the cells that both have."""
        better = np.zeros((len(self.gains), len(self.gains)), dtype=bool)
        for one, row in enumerate(self.gains):
            low, high = self._bounds(row - self.gains[one + 1 :]).T
            better[one, one + 1 :], better[one + 1 :, one] = low > 0, high < 0
        return better

    @cached_property
    def ranks(self) -> np.ndarray:
        """(S, 2) the best and the worst rank that the measurements allow: behind all that are better, before all worse."""
        return np.stack(
            [1 + self.better.sum(axis=0), len(self.gains) - self.better.sum(axis=1)], axis=1
        )

    def more_to_separate(self, one: int, other: int) -> More:
        """How many more seeds a task, or tasks, would about separate two sources, if their difference stays as it is.

        The variance of a mean difference over T tasks with K seeds is (between + within / K) / T: more seeds shrink only its
        second part.
        """
        difference = self.gains[one] - self.gains[other]
        kept = ~np.isnan(difference)
        if not kept.any():
            return More()
        cells = _cell_means(difference[kept], self.tasks[kept], self.seeds[kept])
        distance = abs(float(np.nanmean(cells)))
        seeds = int(np.sum(~np.isnan(cells), axis=1).min())
        if distance == 0 or seeds < 2:
            return (
                More(tasks=_more_tasks(np.nanmean(cells, axis=1), distance)) if distance else More()
            )
        within = float(np.mean(np.nanvar(cells, axis=1, ddof=1)))
        counts = np.arange(seeds + 1, _MOST + 1)
        if len(cells) == 1:
            errors = stdtrit(counts - 1, (1 + self.level) / 2) * np.sqrt(within / counts)
        else:
            between = max(0.0, float(np.var(np.nanmean(cells, axis=1), ddof=1)) - within / seeds)
            errors = stdtrit(len(cells) - 1, (1 + self.level) / 2) * np.sqrt(
                (between + within / counts) / len(cells)
            )
        enough = counts[errors < distance]
        if len(enough):
            return More(seeds=int(enough[0]) - seeds)
        return More(tasks=_more_tasks(np.nanmean(cells, axis=1), distance))


def cell_weights(tasks: np.ndarray, seeds: np.ndarray, draws: int) -> np.ndarray:
    """(draws, C): how often a hierarchical bootstrap of tasks, then of seeds within each, holds each cell."""
    pairs, pair = np.unique(np.stack([tasks, seeds]), axis=1, return_inverse=True)
    held = np.zeros((draws, pairs.shape[1]))
    for place in place_weights(pairs[0], draws):
        held += place
    return held[:, pair.reshape(-1)]


def place_weights(tasks: np.ndarray, draws: int) -> Iterator[np.ndarray]:
    """For each place of a drawn task, (draws, P): how often the task drawn there holds each of its seeds, drawn anew.

    ``tasks``: (P,) the task of each pair of task and seed, ascending. A statistic that is no mean of cells is computed at each place,
    then averaged over places.
    """
    random = np.random.default_rng(0)
    _, first, repeats = np.unique(tasks, return_index=True, return_counts=True)
    drawn = random.integers(len(first), size=(draws, len(first)))
    rows = np.arange(draws)
    for chosen in drawn.T:
        counts = np.zeros((draws, len(tasks)))
        for turn in range(int(repeats.max())):
            seed = random.integers(repeats[chosen])
            counts[rows, first[chosen] + seed] += turn < repeats[chosen]
        yield counts


def widening(units: int, level: float) -> float:
    """What a bootstrap's deviations of ``units`` independent units are multiplied by; NaN for one, which tells nothing."""
    if units < 2:
        return float("nan")
    tail = (1 + level) / 2
    return float(np.sqrt(units / (units - 1)) * stdtrit(units - 1, tail) / ndtri(tail))


def interval_of(
    estimate: float, drawn: np.ndarray, units: int, level: float = LEVEL
) -> tuple[float, float]:
    """Bounds of any statistic from its value in each draw of ``cell_weights``, (draws,), widened as those of means are.

    Deviations are from the draws' own mean: seeds drawn twice make every draw noisier than what was measured, which pulls
    correlations towards 0 in the draws alone.
    """
    known = drawn[~np.isnan(drawn)]
    if units < 2 or not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known - known.mean(), ((1 - level) / 2, (1 + level) / 2))
    return float(estimate + widening(units, level) * low), float(
        estimate + widening(units, level) * high
    )


def share_interval(hits: int, units: int, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of a share of independent units: Clopper and Pearson's, which never cover less than they say."""
    from scipy.stats import binomtest

    interval = binomtest(hits, units).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)


def more_to_settle(hits: int, units: int, against: float = 0.5, level: float = LEVEL) -> int | None:
    """How many more units would about settle on which side of ``against`` a share is, if it stays as it is; None: not told."""
    for count in range(units + 1, _MOST + 1):
        low, high = share_interval(round(hits / units * count), count, level)
        if not low <= against <= high:
            return count - units
    return None


def _more_tasks(means: np.ndarray, distance: float) -> int | None:
    if len(means) < 2:
        return None
    counts = np.arange(len(means) + 1, _MOST + 1)
    enough = counts[
        stdtrit(counts - 1, (1 + LEVEL) / 2) * np.sqrt(np.var(means, ddof=1) / counts) < distance
    ]
    return int(enough[0]) - len(means) if len(enough) else None


def _cell_means(values: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(T, K) means of each task's seeds, NaN where a task lacks one."""
    (names, task), (numbers, seed) = (
        np.unique(tasks, return_inverse=True),
        np.unique(seeds, return_inverse=True),
    )
    sums, counts = np.zeros((len(names), len(numbers))), np.zeros((len(names), len(numbers)))
    np.add.at(sums, (task, seed), values)
    np.add.at(counts, (task, seed), 1)
    return _ratio(sums, counts)


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)


def _quantiles(values: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """(shares, N) down the columns; draws that hold none of a source's cells (NaN) do not count."""
    complete = ~np.isnan(values).any(axis=0)
    result = np.full((len(shares), values.shape[1]), np.nan)
    if complete.any():
        result[:, complete] = np.quantile(values[:, complete], shares, axis=0)
    for column in np.flatnonzero(~complete):
        known = values[~np.isnan(values[:, column]), column]
        if len(known):
            result[:, column] = np.quantile(known, shares)
    return result
