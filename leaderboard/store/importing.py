"""Values of published tables in the store: what it has of them, and how they go in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from headwater.leaderboard.store.records import RunRecord, State
from headwater.leaderboard.store.rows import domain_tables, run_table
from headwater.leaderboard.store.statements import query_text, run_over

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def job_identities(coordinates: pd.DataFrame, protocol: str) -> np.ndarray:
    """Return the identity of each published value's job: (rows,) strings of 20 hex digits.

    It depends on the import and the value's coordinates but not on the value, so that a corrected
    table replaces what it had.
    """
    with duckdb.connect() as connection:
        connection.register("coordinates", pa.Table.from_pandas(coordinates))
        jobs = connection.execute(query_text("import_identity"), {"protocol": protocol}).df()
    return jobs["job"].to_numpy()


@dataclass(frozen=True)
class ImportCards:
    """Cards that come with a published table: rows of ``source_models`` and ``tasks``."""

    sources: pa.Table
    tasks: pa.Table
    domain_parents: Mapping[str, frozenset[str]]


class ImportTransaction:
    """An import inside an open transaction: compared with the store, then perhaps written.

    Args:
        name: The import's name; importing under the same name again updates it.
        values: A row a value, numbered by the column ``place``.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, values: pa.Table) -> None:
        self._connection = connection
        self.name = name
        self.values = values

    @cached_property
    def comparison(self) -> tuple[np.ndarray, int]:
        """``new``, ``same`` or ``changed`` for each value, and how many stored values the table
        lacks.
        """
        self._connection.register("arriving", self.values)
        try:
            standing = self._frame("import_comparison")["comparison"].to_numpy()
        finally:
            self._connection.unregister("arriving")
        count = self.values.num_rows
        return standing[:count], len(standing) - count

    @cached_property
    def foreign_cards(self) -> dict[str, tuple[str, ...]]:
        """By table, the names whose card came from a run or from another import: those cards stay."""
        names = {name: self.values[name].unique().to_pylist() for name in ("source", "task")}
        found = self._frame(
            "import_foreign_cards", name=self.name, sources=names["source"], tasks=names["task"]
        )
        rows = list(found.itertuples(index=False))
        return {
            table: tuple(sorted(name for place, name in rows if place == table))
            for table in ("source_models", "tasks")
        }

    @cached_property
    def last_spec(self) -> Mapping[str, Any] | None:
        """The spec of the last run that imported under this name; None where there is none."""
        specs = self._frame("import_last_spec", name=self.name)["spec"]
        return json.loads(specs[0]) if len(specs) else None

    def write(self, run: RunRecord, values: pa.Table, cards: ImportCards) -> None:
        """Take values in as finished jobs of a run, with the cards that come with them."""
        ended = datetime.now(UTC).replace(tzinfo=None)
        run_over(self._connection, "begin_run", {"arriving_run": run_table(run, State.DONE, ended)})
        tables = {
            "arriving": values,
            "import_sources": cards.sources,
            "import_tasks": cards.tasks,
            **domain_tables(cards.domain_parents),
        }
        run_over(self._connection, "import", tables)

    def _frame(self, query: str, **parameters: Any) -> pd.DataFrame:
        return self._connection.execute(query_text(query), parameters).df()
