"""Groups: gains averaged by scenario, adaptation or target domain, with intervals.

The rows of a group are its cells, whatever their sources; the interval resamples tasks, then seeds within each, as for
standings. Groups hold different sources and targets, so they are not ranked; adaptations are compared with fine_tune on
the cells that both have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from headwater.leaderboard.gains.standings import SCENARIOS, Filter, Reference, measured, read
from headwater.leaderboard.statistics.bootstrap import (
    DRAWS,
    LEVEL,
    cell_weights,
    share_interval,
    widening,
)
from headwater.leaderboard.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

By = Literal["scenario", "adaptation", "domain"]
_COLUMNS: dict[By, str] = {
    "scenario": "scenarios",
    "adaptation": "adaptation",
    "domain": "target_domain",
}
BASELINE = "fine_tune"
NO_DOMAIN = "(none named)"


@dataclass(frozen=True)
class Estimate:
    """A mean over ``cells`` with its interval; bounds are None where nothing was repeated."""

    mean: float
    low: float | None
    high: float | None
    cells: int

    @property
    def verdict(self) -> str:
        """On which side of 0 the interval lies: gains, loses or cannot tell."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "cannot tell"
        return "gains" if self.low > 0 else "loses"


@dataclass(frozen=True)
class Group:
    """One row. ``gains`` by reference; ``gaining`` of the ``tasks`` have a best source whose mean gain is above 0, a share that lies
    ``gaining_between``.

    ``difference`` is the adaptation's result less fine_tune's, paired by source, task, size and seed.
    """

    name: str
    gains: dict[Reference, Estimate]
    negative: float
    sources: int
    tasks: int
    gaining: int
    cells: int
    failed: int
    seconds: float
    gaining_between: tuple[float, float]
    difference: Estimate | None = None


@dataclass(frozen=True)
class Groups:
    """``gains`` over ``reference`` that were kept, ``others`` over the other reference, ``absent`` cells without a gain.

    ``compared`` are the cells that adaptations are compared on: those kept and fine_tune's, whatever adaptation was asked for.
    """

    by: By
    reference: Reference
    gains: pd.DataFrame
    absent: pd.DataFrame
    others: dict[Reference, pd.DataFrame] = field(default_factory=dict)
    compared: pd.DataFrame | None = None

    @cached_property
    def relative(self) -> bool:
        """Whether gains are relative: differences of unlike metrics do not average."""
        return self.gains["metric"].nunique() > 1

    @property
    def values(self) -> str:
        return "gain_rel" if self.relative else "gain_abs"

    @cached_property
    def known(self) -> pd.DataFrame:
        """The gains that count: a relative gain over 0 is none."""
        return self.gains.dropna(subset=self.values)

    @cached_property
    def rows(self) -> list[Group]:
        """Scenarios in their order, the others by gain."""
        found = [self._group(name) for name in self._names()]
        return (
            found
            if self.by == "scenario"
            else sorted(found, key=lambda group: -group.gains[self.reference].mean)
        )

    def _names(self) -> list[str]:
        there = set(self._exploded(self.known)[_COLUMNS[self.by]])
        return (
            [name for name in SCENARIOS if name in there]
            if self.by == "scenario"
            else sorted(there)
        )

    def _exploded(self, rows: pd.DataFrame) -> pd.DataFrame:
        """One row for each group that a cell is in."""
        column = _COLUMNS[self.by]
        return rows.explode(column) if self.by == "scenario" else rows.fillna({column: NO_DOMAIN})

    def _of(self, rows: pd.DataFrame, name: str) -> pd.DataFrame:
        rows = self._exploded(rows)
        return rows[rows[_COLUMNS[self.by]] == name]

    def _group(self, name: str) -> Group:
        own, values = self._of(self.known, name), self.values
        failed = self._of(self.absent, name)["why"].eq("failed").sum()
        best = own.groupby(["task", "source"])[values].mean().groupby("task").max()
        over = {self.reference: own} | {
            other: self._of(rows, name) for other, rows in self.others.items()
        }
        return Group(
            name=name,
            gains={
                reference: estimate(rows, values)
                for reference, rows in over.items()
                if rows[values].notna().any()
            },
            negative=float((own[values] < 0).mean()),
            sources=own["source"].nunique(),
            tasks=own["task"].nunique(),
            gaining=int((best > 0).sum()),
            cells=len(own),
            failed=int(failed),
            seconds=float(own["seconds"].mean()),
            gaining_between=share_interval(int((best > 0).sum()), len(best)),
            difference=self._difference(name) if self.by == "adaptation" else None,
        )

    def _difference(self, adaptation: str) -> Estimate | None:
        """Against fine_tune, in the metric or relative to what fine_tune reached; None where no cell has both."""
        if adaptation == BASELINE or self.compared is None:
            return None
        one, other = (_by_cell(self.compared, name) for name in (adaptation, BASELINE))
        pairs = one.join(other, how="inner", rsuffix="_baseline").reset_index()
        pairs["difference"] = pairs["sign"] * (pairs["value"] - pairs["value_baseline"])
        if self.relative:
            pairs["difference"] /= pairs["value_baseline"].abs().replace(0, np.nan)
        return estimate(pairs, "difference") if pairs["difference"].notna().any() else None


def _by_cell(rows: pd.DataFrame, adaptation: str) -> pd.DataFrame:
    """One adaptation's value in each cell, averaged over protocols."""
    return (
        rows[rows["adaptation"] == adaptation]
        .groupby(["source", "task", "size", "seed", "metric"])[["value", "sign"]]
        .mean()
    )


def estimate(rows: pd.DataFrame, values: str) -> Estimate:
    """The mean of a column over cells; tasks are resampled, then seeds within each, as by ``Comparison``.

    Cells of one task and seed are drawn together, so that their sums and counts are all it takes.
    """
    pairs = (
        rows.dropna(subset=values)
        .groupby(["task", "seed"], dropna=False)[values]
        .agg(["sum", "count"])
    )
    tasks, seeds = (pairs.index.get_level_values(name).factorize()[0] for name in ("task", "seed"))
    sums, counts = pairs["sum"].to_numpy(float), pairs["count"].to_numpy(float)
    mean, weights = float(sums.sum() / counts.sum()), cell_weights(tasks, seeds, DRAWS)
    units = len(np.unique(tasks)) if len(np.unique(tasks)) > 1 else len(np.unique(seeds))
    if units < 2:
        return Estimate(mean, None, None, int(counts.sum()))
    spread = np.quantile(
        (weights @ sums) / (weights @ counts) - mean, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    )
    low, high = mean + widening(units, LEVEL) * spread
    return Estimate(mean, float(low), float(high), int(counts.sum()))


def groups(
    store: Store, by: By, wanted: Filter | None = None, reference: Reference = "scratch"
) -> Groups:
    """Average the gains of a store by scenario, adaptation or target domain; raises QueryError where the filter leaves nothing."""
    wanted = wanted or Filter()
    kept, absent = measured(store, wanted, reference)
    others = (
        {other: wanted.keep(read(store, other)[0]) for other in _others(reference)}
        if by == "scenario"
        else {}
    )
    compared = (
        replace(wanted, adaptation="").keep(read(store, reference)[0])
        if by == "adaptation"
        else None
    )
    return Groups(by, reference, kept, absent, others, compared)


def _others(reference: Reference) -> Iterator[Reference]:
    yield "base" if reference == "scratch" else "scratch"
