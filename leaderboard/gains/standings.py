"""Standings: sources ranked by mean gain under a filter, with what the measurements cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from headwater.leaderboard.statistics.bootstrap import Comparison
from headwater.leaderboard.store.store import Store
from headwater.registry.errors import QueryError
from headwater.registry.names import did_you_mean, glob_matches, split_list

if TYPE_CHECKING:
    import pandas as pd

Reference = Literal["scratch", "converged", "base"]
SCENARIOS = (
    *("within-domain", "including", "cross-domain", "multi-source", "small-target", "full-target"),
    *("cross-task-type", "larger-to-smaller", "smaller-to-larger"),
)
"""What a gain can be in, as the view ``scenarios`` names it, in the order in which people read
them.
"""
_CELL = ["task", "adaptation", "size", "seed", "protocol", "metric"]


@dataclass(frozen=True)
class Filter:
    """Which cells count. Tasks and adaptations are names and globs; ``size`` is small (as the run
    means it), full or a number; ``domain`` the target's; ``scenario`` names scenarios, all of which
    must hold.
    """

    task: str = ""
    adaptation: str = ""
    size: str = ""
    domain: str = ""
    scenario: str = ""

    def keep(self, rows: pd.DataFrame) -> pd.DataFrame:
        for column, patterns in (("task", self.task), ("adaptation", self.adaptation)):
            if patterns:
                names = [
                    name
                    for pattern in split_list(patterns)
                    for name in glob_matches(rows[column].unique(), pattern)
                ]
                rows = rows[rows[column].isin(names)]
        if self.size:
            rows = rows[
                rows["small_target"].fillna(False).astype(bool)
                if self.size == "small"
                else rows["size"] == self.size
            ]
        if self.domain:
            rows = rows[rows["target_domain"] == self.domain]
        for scenario in split_list(self.scenario):
            rows = rows[
                rows["scenarios"].map(lambda names, wanted=scenario: wanted in names).astype(bool)
            ]
        return rows


@dataclass(frozen=True)
class Row:
    """A source's standing. Bounds are None where nothing was repeated; ``missing`` are cells that
    other sources have.
    """

    source: str
    ranks: tuple[int, int]
    gain: float
    low: float | None
    high: float | None
    negative: float
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
    def relative(self) -> bool:
        """True if gains are relative: differences of unlike metrics do not average."""
        return self.gains["metric"].nunique() > 1

    @cached_property
    def grid(self) -> pd.DataFrame:
        """Gains, one row a source and one column a cell; NaN where a source lacks the cell."""
        values = "gain_rel" if self.relative else "gain_abs"
        return self.gains.pivot(index="source", columns=_CELL, values=values)

    @cached_property
    def comparison(self) -> Comparison:
        columns = self.grid.columns
        tasks, seeds = (columns.get_level_values(name).factorize()[0] for name in ("task", "seed"))
        return Comparison(self.grid.to_numpy(float), tasks, seeds)

    @cached_property
    def order(self) -> list[int]:
        """Positions in the grid, best first."""
        return sorted(
            range(len(self.grid)),
            key=lambda index: (-np.nan_to_num(self.comparison.mean[index], nan=-np.inf), index),
        )

    @cached_property
    def rows(self) -> list[Row]:
        return [self._row(index) for index in self.order]

    def _row(self, index: int) -> Row:
        source, compared = str(self.grid.index[index]), self.comparison
        own, gains = self.gains[self.gains["source"] == source], self.grid.iloc[index]
        why = self.absent.loc[self.absent["source"] == source, "why"].value_counts()
        low, high = (
            None if np.isnan(bound) else float(bound) for bound in compared.interval[index]
        )
        return Row(
            source=source,
            ranks=(int(compared.ranks[index][0]), int(compared.ranks[index][1])),
            gain=float(compared.mean[index]),
            low=low,
            high=high,
            negative=float(compared.negative[index]),
            tasks=own["task"].nunique(),
            cells=int(gains.notna().sum()),
            missing=int(gains.isna().sum()),
            failed=int(why.get("failed", 0)),
            unpaired=int(why.get("unpaired", 0)),
            seconds=float(own["seconds"].mean()),
            by_task=gains.groupby(level="task").mean().dropna().to_dict(),
        )

    @property
    def tasks(self) -> list[str]:
        return sorted(self.gains["task"].unique())

    @cached_property
    def tied(self) -> list[tuple[int, int]]:
        """Neighbours in the order, as positions in the grid, that cannot be told apart."""
        better = self.comparison.better
        return [
            (one, other)
            for one, other in zip(self.order, self.order[1:], strict=False)
            if not better[one, other]
        ]

    @cached_property
    def reference_value(self) -> pd.Series:
        """The reference cells' own mean metric for each task."""
        return self.gains.drop_duplicates("reference_job").groupby("task")["reference_value"].mean()


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


def main_reference(store: Store, wanted: Filter) -> Reference:
    """Return the reference that says how good a source is: scratch trained until it has converged,
    where every gain that the filter keeps has one; else scratch at equal budget.
    """
    converged = len(wanted.keep(read(store, "converged")[0]))
    at_budget = len(wanted.keep(read(store, "scratch")[0]))
    return "converged" if converged and converged >= at_budget else "scratch"


def measured(
    store: Store, wanted: Filter, reference: Reference
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The gains over a reference that a filter keeps, and the cells that have none; raises
    QueryError where it keeps no gain.
    """
    gains, absent = read(store, reference)
    kept = wanted.keep(gains)
    if kept.empty:
        raise _nothing(store, gains, absent, wanted, reference)
    return kept, wanted.keep(absent)


def read(store: Store, reference: Reference) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All gains over a reference, and the cells that have none."""
    gains, absent = store.frames("placed_gains", "cells_without_gain", reference=reference)
    return gains, absent


def _nothing(
    store: Store, gains: pd.DataFrame, absent: pd.DataFrame, wanted: Filter, reference: Reference
) -> QueryError:
    if gains.empty:
        why = absent["why"].value_counts()
        counts = f"{why.get('failed', 0)} cells failed, {why.get('unpaired', 0)} lack a reference"
        hint = "See headwater status; a benchmark measures its references unless its spec says references = []."
        if imported := store.result("imported_cells").rows[0][0]:
            counts += f", {imported} are of published tables and have none"
            hint = (
                "Published tables are for judging selectors: headwater leaderboard --selectors. "
                + hint
            )
        return QueryError(
            f"{store.path} holds no gain over {reference} yet: {counts}",
            subject=str(store.path),
            hint=hint,
        )
    asked = {key: value for key, value in vars(wanted).items() if value}
    words = " ".join(f"--{key} {value}" for key, value in asked.items())
    columns = {
        "task": "task",
        "adaptation": "adaptation",
        "size": "size",
        "domain": "target_domain",
        "scenario": "scenarios",
    }
    there = {key: sorted(gains[columns[key]].explode().dropna().unique()) for key in asked}
    names = [(key, name) for key, value in asked.items() for name in split_list(value)]
    known = there | {"scenario": list(SCENARIOS)}
    near = "".join(did_you_mean(name, known[key]) for key, name in names if name not in known[key])
    hint = "; ".join(f"{key}: {_listed(names)}" for key, names in there.items())
    return QueryError(
        f"no cell of {store.path} matches {words}.{near}", subject=words, hint=f"There is {hint}."
    )


def _listed(names: Sequence[str], most: int = 12) -> str:
    return (", ".join(names[:most]) or "none") + (
        f" and {len(names) - most} more" if len(names) > most else ""
    )
