"""Anatomy: what the analyses of networks read, averaged over tasks and seeds with intervals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.gains.standings import Filter
from headwater.leaderboard.statistics.bootstrap import Comparison
from headwater.leaderboard.store.migration import statements
from headwater.leaderboard.store.store import Store
from headwater.registry.errors import QueryError
from headwater.registry.names import glob_matches, split_list

if TYPE_CHECKING:
    import pandas as pd

ANALYSES = (
    "block_shuffle",
    "convergence",
    "similarity",
    "distance",
    "barrier",
    "criticality",
    "mistakes",
)
"""In the order in which people read them."""
PAIRS = ("P/P-T", "RI/RI-T", "P-T/P-T", "RI-T/RI-T", "P-T/RI-T")
_GROUP = ["source", "adaptation", "size", "metric", "sign"]
_LINE = ["analysis", "subject", "quantity", "module", "x"]
_NOWHERE = -1.0
"""Stands for no x while rows are pivoted; no axis has it."""


@dataclass(frozen=True)
class AnatomyReadings:
    """The readings of one source under one adaptation, size and metric; ``rows`` has one for each cell."""

    source: str
    adaptation: str
    size: str
    metric: str
    sign: int
    rows: pd.DataFrame

    def under(self, protocols: Collection[str]) -> AnatomyReadings:
        """What was read under these protocols (data, image size, budget) only."""
        return replace(self, rows=self.rows[self.rows["protocol"].isin(protocols)])

    @cached_property
    def lines(self) -> pd.DataFrame:
        """One row for each reading: its mean over cells, the bounds of its 95 % interval (NaN for one cell), how many tasks and
        seeds it rests on. Tasks are resampled, then seeds within each."""
        import pandas as pd

        return pd.concat(
            [
                self._averaged(name, rows)
                for name, rows in self.rows.groupby("analysis", sort=False)
            ],
            ignore_index=True,
        )

    def _averaged(self, analysis: str, rows: pd.DataFrame) -> pd.DataFrame:
        grid = rows.fillna({"x": _NOWHERE}).pivot_table(
            index=_LINE, columns=["task", "protocol", "seed"], values="value", sort=False
        )
        tasks, seeds = (
            grid.columns.get_level_values(name).factorize()[0] for name in ("task", "seed")
        )
        values = grid.to_numpy(float)
        compared = Comparison(values, tasks, seeds)
        lines = grid.index.to_frame(index=False)
        lines["x"] = lines["x"].replace(_NOWHERE, np.nan)
        present = ~np.isnan(values)
        counts = [(len(set(tasks[row])), len(set(seeds[row]))) for row in present]
        return lines.assign(
            mean=compared.mean,
            low=compared.interval[:, 0],
            high=compared.interval[:, 1],
            tasks=[count[0] for count in counts],
            seeds=[count[1] for count in counts],
        )

    def of(
        self,
        analysis: str,
        quantity: str,
        subjects: Sequence[str] = (),
        *,
        whole: bool | None = None,
    ) -> pd.DataFrame:
        """The lines of one quantity in order of x; ``whole``: only those of the whole network, or only those of its modules."""
        lines = self.lines
        kept = lines[(lines["analysis"] == analysis) & (lines["quantity"] == quantity)]
        if subjects:
            kept = kept[kept["subject"].isin(subjects)]
        if whole is not None:
            kept = kept[(kept["module"] == "") == whole]
        return kept.sort_values("x", kind="stable")

    @property
    def analyses(self) -> list[str]:
        there = set(self.rows["analysis"])
        return [name for name in ANALYSES if name in there]


def anatomies(
    store: Store, wanted: Filter | None = None, source: str = ""
) -> list[AnatomyReadings]:
    """Everything a store's analyses read, one for each source, adaptation, size and metric; raises QueryError where there is nothing."""
    with store.reading() as connection:
        rows = connection.execute(statements("sql/analysed")).df()
    kept = (wanted or Filter()).keep(rows)
    if source:
        names = [
            name
            for pattern in split_list(source)
            for name in glob_matches(kept["source"].unique(), pattern)
        ]
        kept = kept[kept["source"].isin(names)]
    if kept.empty:
        raise _nothing(store, rows)
    groups = kept.groupby(_GROUP, sort=True)
    return [AnatomyReadings(*map(_plain, key), rows=rows) for key, rows in groups]  # type: ignore[arg-type, misc]


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _nothing(store: Store, rows: pd.DataFrame) -> QueryError:
    if rows.empty:
        hint = "Analyse a benchmark: headwater analyse four_networks"
        return QueryError(
            f"{store.path} holds no analysis of networks yet", subject=str(store.path), hint=hint
        )
    sources = ", ".join(sorted(rows["source"].unique())[:6])
    return QueryError(
        f"no analysis in {store.path} matches",
        subject=str(store.path),
        hint=f"Analysed sources: {sources}.",
    )
