"""Average gains by scenario, adaptation or target domain, with intervals.

The rows of a group are its cells, whatever their sources, averaged over targets and families (see
``estimate``). Groups hold different sources and targets, so they are not ranked;
adaptations are compared with fine_tune on the cells that both have.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from headwater.leaderboard.gains.estimate import GainEstimate, estimate
from headwater.leaderboard.gains.gain_rows import (
    SCENARIOS,
    Filter,
    Reference,
    main_reference,
    measured,
    read,
)
from headwater.leaderboard.gains.scale import gain_column, is_mixed
from headwater.leaderboard.statistics.precision import share_interval
from headwater.leaderboard.store.store import Store
from headwater.registry.defaults import DEFAULT_ADAPTATION

if TYPE_CHECKING:
    import pandas as pd

By = Literal["scenario", "adaptation", "domain"]
_COLUMNS: dict[By, str] = {
    "scenario": "scenarios",
    "adaptation": "adaptation",
    "domain": "target_domain",
}
BASELINE = DEFAULT_ADAPTATION
NO_DOMAIN = "(none named)"


@dataclass(frozen=True)
class Group:
    """Hold a row of the table.

    Attributes:
        name: The scenario, adaptation or domain.
        gains: The mean gain by reference.
        losing: The share of sources' mean gains on a target that are below 0.
        sources: The number of sources.
        tasks: The number of targets.
        gaining: How many of the targets have a best source whose mean gain is above 0.
        cells: The number of cells.
        failed: The number of cells that failed.
        seconds: The mean time of a cell.
        gaining_between: The interval of the share of gaining targets.
        difference: The adaptation's result less fine_tune's, paired by source, task, size and seed.
    """

    name: str
    gains: dict[Reference, GainEstimate]
    losing: float
    sources: int
    tasks: int
    gaining: int
    cells: int
    failed: int
    seconds: float
    gaining_between: tuple[float, float]
    difference: GainEstimate | None = None


@dataclass(frozen=True)
class Groups:
    """Average the gains of a store by one of their properties.

    Attributes:
        by: The property.
        reference: The reference of ``gains``.
        gains: The gains that the filter keeps.
        absent: The cells that have no gain.
        others: The gains over other references.
        compared: The cells that adaptations are compared on: those that the filter keeps and
            fine_tune's, whatever adaptation it names.
    """

    by: By
    reference: Reference
    gains: pd.DataFrame
    absent: pd.DataFrame
    others: dict[Reference, pd.DataFrame] = field(default_factory=dict)
    compared: pd.DataFrame | None = None

    @cached_property
    def is_mixed(self) -> bool:
        """True if gains are normalised: differences of unlike metrics or units do not average."""
        return is_mixed(self.gains)

    @property
    def values(self) -> str:
        """The column that holds the gains."""
        return gain_column(self.gains)

    @cached_property
    def defined(self) -> pd.DataFrame:
        """The gains that count: all but those of targets without a scale."""
        return self.gains.dropna(subset=self.values)

    @cached_property
    def rows(self) -> list[Group]:
        """The groups: scenarios in their order, the others by gain, largest first."""
        rows = [self._group(name) for name in self._names()]
        if self.by == "scenario":
            return rows
        return sorted(rows, key=lambda group: -group.gains[self.reference].mean)

    def _names(self) -> list[str]:
        """Return the names of the groups that have a gain."""
        present = set(self._exploded(self.defined)[_COLUMNS[self.by]])
        if self.by == "scenario":
            return [name for name in SCENARIOS if name in present]
        return sorted(present)

    def _exploded(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return a row for each group that a cell is in."""
        column = _COLUMNS[self.by]
        return rows.explode(column) if self.by == "scenario" else rows.fillna({column: NO_DOMAIN})

    def _rows_of(self, rows: pd.DataFrame, name: str) -> pd.DataFrame:
        """Return the rows of one group."""
        rows = self._exploded(rows)
        return rows[rows[_COLUMNS[self.by]] == name]

    def _group(self, name: str) -> Group:
        cells = self._rows_of(self.defined, name)
        source_means = cells.groupby(["task", "source"])[self.values].mean()
        best = source_means.groupby("task").max()
        gaining = int((best > 0).sum())
        return Group(
            name=name,
            gains=self._gains(name, cells),
            losing=float((source_means < 0).mean()),
            sources=cells["source"].nunique(),
            tasks=cells["task"].nunique(),
            gaining=gaining,
            cells=len(cells),
            failed=int(self._rows_of(self.absent, name)["why"].eq("failed").sum()),
            seconds=float(cells["seconds"].mean()),
            gaining_between=share_interval(gaining, len(best)),
            difference=self._difference(name) if self.by == "adaptation" else None,
        )

    def _gains(self, name: str, cells: pd.DataFrame) -> dict[Reference, GainEstimate]:
        """Return a group's mean gain over each reference that it has gains over."""
        by_reference = {self.reference: cells}
        for reference, rows in self.others.items():
            by_reference[reference] = self._rows_of(rows, name)
        return {
            reference: estimate(rows, self.values)
            for reference, rows in by_reference.items()
            if rows[self.values].notna().any()
        }

    def _difference(self, adaptation: str) -> GainEstimate | None:
        """Return an adaptation's result less fine_tune's, in the metric or on the targets' scales.

        None where no cell has both.
        """
        if adaptation == BASELINE or self.compared is None:
            return None
        results = _by_cell(self.compared, adaptation)
        baselines = _by_cell(self.compared, BASELINE)
        pairs = results.join(baselines, how="inner", rsuffix="_baseline").reset_index()
        pairs["difference"] = pairs["sign"] * (pairs["value"] - pairs["value_baseline"])
        if self.is_mixed:
            pairs["difference"] = pairs["value_norm"] - pairs["value_norm_baseline"]
        return estimate(pairs, "difference") if pairs["difference"].notna().any() else None


def _by_cell(rows: pd.DataFrame, adaptation: str) -> pd.DataFrame:
    """Return an adaptation's value in each cell, averaged over protocols."""
    cells = rows[rows["adaptation"] == adaptation]
    return cells.groupby(["source", "task", "family", "size", "seed", "metric"])[
        ["value", "value_norm", "sign"]
    ].mean()


def groups(
    store: Store, by: By, wanted: Filter | None = None, reference: Reference | None = None
) -> Groups:
    """Average the gains of a store by scenario, adaptation or target domain.

    Args:
        store: The store.
        by: The property to group by.
        wanted: The cells that count; all by default.
        reference: The reference of the gains; None: ``main_reference``.

    Raises:
        QueryError: The filter keeps no gain.
    """
    wanted = wanted or Filter()
    reference = reference or main_reference(store, wanted)
    gains, absent = measured(store, wanted, reference)
    result = Groups(by, reference, gains, absent)
    if by == "scenario":
        other: Reference = "scratch" if reference == "base" else "base"
        return replace(result, others={other: wanted.keep(read(store, other)[0])})
    if by == "adaptation":
        of_any_adaptation = replace(wanted, adaptation="")
        return replace(result, compared=of_any_adaptation.keep(read(store, reference)[0]))
    return result
