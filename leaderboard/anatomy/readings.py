"""Readings of analyses, averaged over seeds, tasks and families with intervals."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.gains.estimate import estimate
from headwater.leaderboard.gains.gain_rows import Filter
from headwater.leaderboard.store.store import Store
from headwater.registry.errors import QueryError
from headwater.registry.names import glob_matches, split_list

if TYPE_CHECKING:
    import pandas as pd

CONVERGENCE = "convergence"
"""The curves of analysed cells: read like an analysis, though no job measures them."""

_GROUP = ["source", "adaptation", "size", "metric", "sign"]
_LINE = ["subject", "quantity", "module", "x"]


@dataclass(frozen=True)
class AnalysisReadings:
    """The readings of one analysis for one source, adaptation, size and metric.

    Attributes:
        analysis: The name of the analysis.
        metric: The cells' metric.
        sign: 1 where the metric should be high, -1 where it should be low.
        rows: One row for each reading of each cell, with ``task``, ``protocol``, ``seed``,
            ``family``, ``subject``, ``quantity``, ``module``, ``x`` and ``value``.
    """

    analysis: str
    metric: str
    sign: int
    rows: pd.DataFrame

    @cached_property
    def lines(self) -> pd.DataFrame:
        """A row for each reading: its mean over cells, and what that rests on.

        ``low`` and ``high`` bound its 95 % interval (NaN where nothing was repeated); ``tasks`` and
        ``seeds`` are counts.
        """
        import pandas as pd

        lines = []
        for key, rows in self.rows.groupby(_LINE, sort=False, dropna=False):
            found = estimate(rows, "value")
            numbers = (found.mean, found.low, found.high)
            lines.append((*key, *numbers, rows["task"].nunique(), rows["seed"].nunique()))
        columns = [*_LINE, "mean", "low", "high", "tasks", "seeds"]
        return pd.DataFrame(lines, columns=columns).astype({"low": float, "high": float})

    @property
    def quantities(self) -> list[str]:
        return list(dict.fromkeys(self.rows["quantity"]))

    def of(self, quantity: str, *, whole: bool | None = None) -> pd.DataFrame:
        """Return the lines of one quantity in order of x.

        Args:
            quantity: The name of the quantity.
            whole: True for the lines of whole networks only, False for those of modules only.
        """
        lines = self.lines[self.lines["quantity"] == quantity]
        if whole is not None:
            lines = lines[(lines["module"] == "") == whole]
        return lines.sort_values("x", kind="stable")

    def values(self, quantity: str) -> pd.Series:
        """Return the single values of a quantity, one for each reading of each cell."""
        return self.rows.loc[self.rows["quantity"] == quantity, "value"]


@dataclass(frozen=True)
class AnatomyReadings:
    """All readings of one source under one adaptation, size and metric.

    ``rows`` has those of ``AnalysisReadings`` and the column ``analysis``.
    """

    source: str
    adaptation: str
    size: str
    metric: str
    sign: int
    rows: pd.DataFrame

    def under(self, protocols: Collection[str]) -> AnatomyReadings:
        """Return the readings under these protocols (data, image size, budget) only."""
        return replace(self, rows=self.rows[self.rows["protocol"].isin(protocols)])

    @cached_property
    def analyses(self) -> dict[str, AnalysisReadings]:
        """The readings by analysis, in the order of the rows."""
        return {
            str(name): AnalysisReadings(str(name), self.metric, self.sign, rows)
            for name, rows in self.rows.groupby("analysis", sort=False)
        }


def anatomies(
    store: Store, wanted: Filter | None = None, source: str = ""
) -> list[AnatomyReadings]:
    """Return everything that a store's analyses read, by source, adaptation, size and metric.

    Args:
        store: The store.
        wanted: Which cells to read.
        source: Names of sources, with commas and globs; "" for all.

    Raises:
        QueryError: Nothing is there, or nothing matches.
    """
    everything = store.frame("anatomy")
    rows = (wanted or Filter()).keep(everything)
    if source:
        names = [
            name
            for pattern in split_list(source)
            for name in glob_matches(rows["source"].unique(), pattern)
        ]
        rows = rows[rows["source"].isin(names)]
    if rows.empty:
        raise _nothing(store, everything)
    return [
        AnatomyReadings(*map(_plain, key), rows=group)  # type: ignore[arg-type, misc]
        for key, group in rows.groupby(_GROUP, sort=True)
    ]


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _nothing(store: Store, everything: pd.DataFrame) -> QueryError:
    if everything.empty:
        return QueryError(
            f"{store.path} holds no analysis of networks yet",
            subject=str(store.path),
            hint="Analyse a benchmark: headwater analyse four_networks",
        )
    sources = ", ".join(sorted(everything["source"].unique())[:6])
    return QueryError(
        f"no analysis in {store.path} matches",
        subject=str(store.path),
        hint=f"Analysed sources: {sources}.",
    )
