"""Compare sources by one hierarchical bootstrap: intervals, ranks, ties, and how much more would
separate two.

Tasks are drawn with replacement, then seeds within each drawn task (with one task, seeds only).
Every source is averaged over the same draws, so that what makes a task or a seed easy cancels out
of comparisons.

A bootstrap of n units spreads too little by sqrt((n - 1) / n), and its quantiles are normal ones
where Student's apply. Deviations are widened by the product of both corrections,

    sqrt(n / (n - 1)) * t_{n-1}(tail) / z(tail),

after Hesterberg, What Teachers Should Know About the Bootstrap (2015), section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy import ndarray as Array
from scipy.special import ndtri, stdtrit

LEVEL = 0.95
DRAWS = 2000
MAX_UNITS = 100
"""Seeds or tasks beyond which no advice is given: nobody runs more to separate two sources."""


@dataclass(frozen=True)
class More:
    """Hold how many more seeds, or else tasks, would about separate two sources.

    Both are None where that cannot be told.
    """

    seeds: int | None = None
    tasks: int | None = None


@dataclass(frozen=True)
class Comparison:
    """Compare sources that were measured on the same cells.

    Attributes:
        gains: (S, C) float, NaN where a source lacks the cell.
        tasks: (C,) int, the task of each cell.
        seeds: (C,) int, the seed of each cell. Cells that share task and seed (adaptations, sizes)
            are drawn together.
        draws: The number of bootstrap draws.
        level: The confidence level of every interval.
    """

    gains: Array
    tasks: Array
    seeds: Array
    draws: int = DRAWS
    level: float = LEVEL

    def units_of(self, present: Array) -> int:
        """Count the units that are resampled first among the cells ``present`` (C,) bool: tasks, or
        seeds of one task.
        """
        tasks = len(np.unique(self.tasks[present]))
        return tasks if tasks > 1 else len(np.unique(self.seeds[present]))

    @cached_property
    def mean(self) -> Array:
        """Return (S,), the mean gain over the cells that a source has; NaN for none."""
        return _ratio(np.nansum(self.gains, axis=1), np.sum(~np.isnan(self.gains), axis=1))

    @cached_property
    def negative(self) -> Array:
        """Return (S,), the share of gains below 0: an estimate of P(negative transfer)."""
        return _ratio(np.sum(self.gains < 0, axis=1), np.sum(~np.isnan(self.gains), axis=1))

    @cached_property
    def weights(self) -> Array:
        """Return (draws, C), how often each draw holds each cell; the same draws every time."""
        return cell_weights(self.tasks, self.seeds, self.draws)

    @cached_property
    def interval(self) -> Array:
        """Return (S, 2), the bounds of the mean gain; NaN where there is nothing to resample."""
        return self._bounds(self.gains)

    def _bounds(self, values: Array) -> Array:
        """Return (N, 2), bounds of the means of rows (N, C).

        Each mean is over the cells that its row has, and widened by how many units those are.
        """
        present = ~np.isnan(values)
        filled = np.where(present, values, 0)
        centre = _ratio(filled.sum(axis=1), present.sum(axis=1))
        drawn_sums = self.weights @ filled.T
        drawn_counts = self.weights @ present.T.astype(float)
        deviations = _ratio(drawn_sums, drawn_counts) - centre
        factors = np.array([widening(self.units_of(row), self.level) for row in present])
        tails = ((1 - self.level) / 2, (1 + self.level) / 2)
        return (centre + factors * _quantiles(deviations, tails)).T

    @cached_property
    def better(self) -> Array:
        """Return (S, S) bool: whether the row's gain exceeds the column's at the level, on the
        cells both have.
        """
        count = len(self.gains)
        better = np.zeros((count, count), dtype=bool)
        for row, gains in enumerate(self.gains):
            low, high = self._bounds(gains - self.gains[row + 1 :]).T
            better[row, row + 1 :] = low > 0
            better[row + 1 :, row] = high < 0
        return better

    @cached_property
    def ranks(self) -> Array:
        """Return (S, 2), the best and the worst rank that the measurements allow.

        A source stands behind all that are better, and before all that are worse.
        """
        best = 1 + self.better.sum(axis=0)
        worst = len(self.gains) - self.better.sum(axis=1)
        return np.stack([best, worst], axis=1)

    def more_to_separate(self, first: int, second: int) -> More:
        """Return how many more seeds a task, or tasks, would about separate two sources.

        Their difference is taken to stay as it is. The variance of a mean difference over T tasks
        with K seeds is (between + within / K) / T, so more seeds shrink only its second part.
        """
        difference = self.gains[first] - self.gains[second]
        shared = ~np.isnan(difference)
        if not shared.any():
            return More()
        cells = _cell_means(difference[shared], self.tasks[shared], self.seeds[shared])
        task_means = np.nanmean(cells, axis=1)
        distance = abs(float(np.nanmean(cells)))
        seeds = int(np.sum(~np.isnan(cells), axis=1).min())
        if distance == 0:
            return More()
        if seeds < 2:
            return More(tasks=_more_tasks(task_means, distance))
        counts = np.arange(seeds + 1, MAX_UNITS + 1)
        enough = counts[self._errors(cells, seeds, counts) < distance]
        if len(enough):
            return More(seeds=int(enough[0]) - seeds)
        return More(tasks=_more_tasks(task_means, distance))

    def _errors(self, cells: Array, seeds: int, counts: Array) -> Array:
        """Return half the interval of the mean of ``cells`` (T, K) at each number of seeds a task."""
        tail = (1 + self.level) / 2
        within = float(np.mean(np.nanvar(cells, axis=1, ddof=1)))
        if len(cells) == 1:
            return stdtrit(counts - 1, tail) * np.sqrt(within / counts)
        task_variance = float(np.var(np.nanmean(cells, axis=1), ddof=1))
        between = max(0.0, task_variance - within / seeds)
        return stdtrit(len(cells) - 1, tail) * np.sqrt((between + within / counts) / len(cells))


def cell_weights(tasks: Array, seeds: Array, draws: int) -> Array:
    """Return (draws, C), how often a bootstrap of tasks, then of seeds within each, holds each
    cell.

    Args:
        tasks: (C,) the task of each cell.
        seeds: (C,) the seed of each cell.
        draws: The number of draws.
    """
    pairs, pair_of_cell = np.unique(np.stack([tasks, seeds]), axis=1, return_inverse=True)
    counts = np.zeros((draws, pairs.shape[1]))
    for counts_of_place in place_weights(pairs[0], draws):
        counts += counts_of_place
    return counts[:, pair_of_cell.reshape(-1)]


def place_weights(tasks: Array, draws: int) -> Iterator[Array]:
    """Yield, for each place of a drawn task, how often the task drawn there holds each of its
    seeds, drawn anew.

    A statistic that is no mean of cells is computed at each place, then averaged over places.

    Args:
        tasks: (P,) the task of each pair of task and seed, ascending.
        draws: The number of draws.

    Yields:
        (draws, P) counts, once a place.
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
    """Return the factor for a bootstrap's deviations of ``units`` independent units; NaN for fewer
    than two.
    """
    if units < 2:
        return float("nan")
    tail = (1 + level) / 2
    return float(np.sqrt(units / (units - 1)) * stdtrit(units - 1, tail) / ndtri(tail))


def interval_of(
    estimate: float, drawn: Array, units: int, level: float = LEVEL
) -> tuple[float, float]:
    """Return the bounds of any statistic from its value in each draw, widened as those of means
    are.

    Deviations are from the draws' own mean: seeds drawn twice make every draw noisier than what was
    measured, which pulls correlations towards 0 in the draws alone.

    Args:
        estimate: The statistic on what was measured.
        drawn: (draws,) the statistic in each draw of ``cell_weights``.
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


def share_interval(hits: int, units: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the bounds of a share of independent units that never cover less than they say.

    Source: Clopper and Pearson, Biometrika 1934.
    """
    from scipy.stats import binomtest

    interval = binomtest(hits, units).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)


def more_to_settle(hits: int, units: int, against: float = 0.5, level: float = LEVEL) -> int | None:
    """Return how many more units would about settle on which side of ``against`` a share is, if it
    stays.

    None where even ``MAX_UNITS`` would not.
    """
    for count in range(units + 1, MAX_UNITS + 1):
        low, high = share_interval(round(hits / units * count), count, level)
        if not low <= against <= high:
            return count - units
    return None


def _more_tasks(means: Array, distance: float) -> int | None:
    """Return how many more tasks would bring the mean's interval below ``distance``, from (T,) task
    means.
    """
    if len(means) < 2:
        return None
    counts = np.arange(len(means) + 1, MAX_UNITS + 1)
    errors = stdtrit(counts - 1, (1 + LEVEL) / 2) * np.sqrt(np.var(means, ddof=1) / counts)
    enough = counts[errors < distance]
    return int(enough[0]) - len(means) if len(enough) else None


def _cell_means(values: Array, tasks: Array, seeds: Array) -> Array:
    """Return (T, K), the means of each task's seeds; NaN where a task lacks one."""
    task_names, task = np.unique(tasks, return_inverse=True)
    seed_names, seed = np.unique(seeds, return_inverse=True)
    sums = np.zeros((len(task_names), len(seed_names)))
    counts = np.zeros_like(sums)
    np.add.at(sums, (task, seed), values)
    np.add.at(counts, (task, seed), 1)
    return _ratio(sums, counts)


def _ratio(sums: Array, counts: Array) -> Array:
    """Return sums over counts; NaN where nothing was counted."""
    return np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)


def _quantiles(values: Array, shares: tuple[float, ...]) -> Array:
    """Return (shares, N), quantiles down the columns of (draws, N).

    Draws that hold none of a source's cells (NaN) do not count.
    """
    is_complete = ~np.isnan(values).any(axis=0)
    quantiles = np.full((len(shares), values.shape[1]), np.nan)
    if is_complete.any():
        quantiles[:, is_complete] = np.quantile(values[:, is_complete], shares, axis=0)
    for column in np.flatnonzero(~is_complete):
        defined = values[~np.isnan(values[:, column]), column]
        if len(defined):
            quantiles[:, column] = np.quantile(defined, shares)
    return quantiles
