"""Standings: sources ranked by mean gain under a filter, with what the measurements cannot tell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.gains.gain_rows import Filter, Reference, main_reference, measured
from headwater.leaderboard.gains.scale import gain_column, is_mixed
from headwater.leaderboard.statistics.board import Board, Scope, Shortage
from headwater.leaderboard.statistics.differences import Differences, differences
from headwater.leaderboard.statistics.intervals import (
    MeanIntervals,
    differences_to_mean,
    mean_intervals,
)
from headwater.leaderboard.statistics.negative import negative_transfer
from headwater.leaderboard.statistics.planning import (
    ExtensionCosts,
    Separation,
    SeparationPlanner,
)
from headwater.leaderboard.statistics.posterior import WorthPosterior, worth_posterior
from headwater.leaderboard.statistics.two_way import mean_of_present
from headwater.leaderboard.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

_CELL = ["task", "adaptation", "size", "seed", "protocol", "metric"]


Bounds = tuple[float, float] | None
"""A 95 % interval; None where the noise is unknown."""


@dataclass(frozen=True)
class Row:
    """A source's standing.

    Attributes:
        source: Its name.
        ranks: The best and the worst rank that the measurements allow.
        ties: Letters; sources that share one cannot be told apart.
        gain: The mean gain over families of targets, adjusted for the cells that it lacks.
        on_these: The interval of the gain on these targets: other seeds could have been drawn.
        like_these: The interval on targets like these; None below three families.
        difference: The gain less the mean source's.
        difference_bounds: The interval of the difference.
        best: The probability that it is the best; None where the noise is unknown.
        negative: The probability that its true gain on a target is below 0, mean over targets.
        tasks: The number of targets.
        cells: The number of cells.
        missing: How many cells it lacks that other sources have.
        failed: The number of cells that failed.
        unpaired: The number of cells without a reference.
        seconds: The mean time of a cell.
        by_task: The mean gain on each target.
    """

    source: str
    ranks: tuple[int, int]
    ties: str
    gain: float
    on_these: Bounds
    like_these: Bounds
    difference: float
    difference_bounds: Bounds
    best: float | None
    negative: float | None
    tasks: int
    cells: int
    missing: int
    failed: int
    unpaired: int
    seconds: float
    by_task: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Standings:
    """Sources by mean gain, best first. ``gains`` holds the rows that counted, ``absent`` those
    that could not.
    """

    gains: pd.DataFrame
    absent: pd.DataFrame
    reference: Reference

    @cached_property
    def is_mixed(self) -> bool:
        """True if gains are normalised: differences of unlike metrics or units do not average."""
        return is_mixed(self.gains)

    @cached_property
    def scaled(self) -> pd.DataFrame:
        """The gains that are averaged: all but those of targets without a scale."""
        return self.gains.dropna(subset=gain_column(self.gains))

    @cached_property
    def grid(self) -> pd.DataFrame:
        """Gains, one row a source and one column a cell; NaN where a source lacks the cell."""
        values = gain_column(self.gains)
        return self.scaled.pivot(index="source", columns=_CELL, values=values)

    @cached_property
    def families(self) -> dict[str, str]:
        """The family of each target."""
        return self.gains.drop_duplicates("task").set_index("task")["family"].to_dict()

    @cached_property
    def board(self) -> Board:
        """The gains by source, target and seed."""
        columns = self.grid.columns
        tasks, seeds = (
            columns.get_level_values(name).factorize(use_na_sentinel=False)[0]
            for name in ("task", "seed")
        )
        families = columns.get_level_values("task").map(self.families).factorize()[0]
        return Board.from_cells(self.grid.to_numpy(float), tasks, seeds, families)

    @cached_property
    def differences(self) -> Differences:
        """All pairs of sources, and which of them are told apart."""
        return differences(self.board)

    @cached_property
    def posterior(self) -> WorthPosterior | Shortage:
        """How likely each source is the best, or why that cannot be said."""
        return worth_posterior(self.board)

    @property
    def scope(self) -> Scope:
        """What comparisons of sources are about."""
        return self.board.scope

    @cached_property
    def order(self) -> list[int]:
        """Positions in the grid, best first."""
        return [int(index) for index in self.differences.order]

    @cached_property
    def rows(self) -> list[Row]:
        return [self._row(index) for index in self.order]

    def _row(self, index: int) -> Row:
        source = str(self.grid.index[index])
        own, gains = self._own_gains[source], self.grid.iloc[index]
        reasons = self._absences.get(source, Counter())
        first, last = self.differences.ranks[index]
        return Row(
            source=source,
            ranks=(int(first), int(last)),
            ties=self._ties[index],
            gain=float(self._on_these.means[index]),
            on_these=self._bounds["on_these"][index],
            like_these=self._bounds["like_these"][index],
            difference=float(self._to_mean.means[index]),
            difference_bounds=self._bounds["to_mean"][index],
            best=_known(self._best[index]),
            negative=_known(self._negative[index]),
            tasks=own["task"].nunique(),
            cells=int(gains.notna().sum()),
            missing=int(gains.isna().sum()),
            failed=reasons.get("failed", 0),
            unpaired=reasons.get("unpaired", 0),
            seconds=float(own["seconds"].mean()),
            by_task=gains.groupby(level="task").mean().dropna().to_dict(),
        )

    @cached_property
    def _own_gains(self) -> dict[str, pd.DataFrame]:
        return {str(source): rows for source, rows in self.scaled.groupby("source")}

    @cached_property
    def _absences(self) -> dict[str, Counter[str]]:
        """By source, how many of its cells have no gain for which reason."""
        found: dict[str, Counter[str]] = {}
        for source, why in zip(self.absent["source"], self.absent["why"], strict=True):
            found.setdefault(str(source), Counter())[why] += 1
        return found

    @cached_property
    def _on_these(self) -> MeanIntervals:
        return mean_intervals(self.board, Scope.THESE)

    @cached_property
    def _to_mean(self) -> MeanIntervals:
        return differences_to_mean(self.board)

    @cached_property
    def _bounds(self) -> dict[str, list[Bounds]]:
        """The intervals of every source, in the order of the grid."""
        return {
            "on_these": _bounds_of(self._on_these),
            "like_these": _bounds_of(mean_intervals(self.board, Scope.LIKE_THESE)),
            "to_mean": _bounds_of(self._to_mean),
        }

    @cached_property
    def _best(self) -> np.ndarray:
        """The probability of each source to be the best; NaN where that cannot be said."""
        if isinstance(self.posterior, Shortage):
            return np.full(len(self.grid), np.nan)
        return self.posterior.best

    @cached_property
    def _negative(self) -> np.ndarray:
        return mean_of_present(negative_transfer(self.board))

    @cached_property
    def _ties(self) -> dict[int, str]:
        """Letters by position; none where no pair could be told apart, whatever it differs by."""
        if np.isnan(self.differences.p_values).all():
            return dict.fromkeys(self.order, "")
        groups = self.differences.tie_groups
        letters = {}
        for place, index in enumerate(self.order):
            shared = [n for n, (first, last) in enumerate(groups) if first <= place <= last]
            letters[index] = letter_span(shared[0], shared[-1])
        return letters

    @cached_property
    def best_set(self) -> list[str]:
        """The fewest sources that hold the best with 95 %; none where that cannot be said."""
        if isinstance(self.posterior, Shortage):
            return []
        return [str(self.grid.index[index]) for index in self.posterior.best_set()]

    @cached_property
    def separation(self) -> Separation | None:
        """What would tell the first two sources apart; None where they are, or there are none."""
        if len(self.order) < 2:
            return None
        first, second = self.order[:2]
        if self.differences.better[first, second]:
            return None
        return SeparationPlanner(self.board, self._costs).separate(first, second)

    @property
    def _costs(self) -> ExtensionCosts:
        """What one more seed of a target takes: its cells of all sources, and their references."""
        groups = self.gains.groupby(["task", "seed"], dropna=False)
        references = self.gains.drop_duplicates("reference_job")
        of_cells = float(groups["seconds"].sum().mean())
        of_references = float(references["reference_seconds"].sum()) / len(groups)
        return ExtensionCosts(seed=of_cells + of_references)

    @property
    def tasks(self) -> list[str]:
        return sorted(self.gains["task"].unique())

    @cached_property
    def reference_value(self) -> pd.Series:
        """The reference cells' own mean metric for each task."""
        return self.gains.drop_duplicates("reference_job").groupby("task")["reference_value"].mean()


def letter_span(first: int, last: int) -> str:
    """Return the letters of consecutive tie groups: ``a``, ``ab``, ``abc``, or ``a–d``."""
    if last - first > 2:
        return f"{_letter(first)}–{_letter(last)}"
    return "".join(_letter(group) for group in range(first, last + 1))


def _letter(group: int) -> str:
    """Return a to z, then aa, ab, …"""
    before, place = divmod(group, 26)
    return (_letter(before - 1) if before else "") + chr(ord("a") + place)


def _bounds_of(intervals: MeanIntervals) -> list[Bounds]:
    return [
        None if np.isnan(low) else (float(low), float(high)) for low, high in intervals.bounds()
    ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def standings(
    store: Store, wanted: Filter | None = None, reference: Reference | None = None
) -> Standings:
    """Rank the sources of a store by their mean gain.

    Args:
        store: The store.
        wanted: The cells that count; None: all.
        reference: What gains are measured against; None: ``main_reference``.

    Raises:
        QueryError: The filter leaves nothing; it says what there is.
    """
    wanted = wanted or Filter()
    reference = reference or main_reference(store, wanted)
    return Standings(*measured(store, wanted, reference), reference)
