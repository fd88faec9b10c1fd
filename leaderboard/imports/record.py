"""Taking a published table into the store: what is new, changed or the same, all in one transaction."""

from __future__ import annotations

import importlib.metadata
import json
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from headwater.leaderboard.imports import cards
from headwater.leaderboard.imports.flags import notes, stem
from headwater.leaderboard.imports.mapping import TableMapping
from headwater.leaderboard.imports.table import PublishedTable
from headwater.leaderboard.imports.values import COORDINATES, values_of
from headwater.leaderboard.store.migration import statements
from headwater.leaderboard.store.records import RunRecord, State
from headwater.leaderboard.store.rows import domain_tables, run_row
from headwater.leaderboard.store.store import Store
from headwater.registry import Estimator
from headwater.registry.errors import DataError, StoreMissing
from headwater.registry.identity import digest

if TYPE_CHECKING:
    import pandas as pd

KEPT_PROBLEMS = 1000
"""Rows left out that a run's row keeps word for word; of more, only their number."""


@dataclass(frozen=True)
class IncomingTable:
    """A table as it would go in. ``values`` have job and note beside what ``values_of`` gives; ``problems`` are what does not go in."""

    table: PublishedTable
    mapping: TableMapping
    values: pd.DataFrame
    problems: pd.DataFrame
    domain_parents: Mapping[str, frozenset[str]]
    unknown: tuple[str, ...]
    """Estimators that no card declares a range for."""

    @classmethod
    def read(
        cls,
        path: Path | str,
        mapping: TableMapping,
        estimators: Mapping[str, Estimator],
        domain_parents: Mapping[str, frozenset[str]],
    ) -> IncomingTable:
        """Read and hold against the declared ranges; raises BadSpec or DataError."""
        cards.check_domains(mapping, domain_parents)
        table = PublishedTable.read(path, mapping)
        found = values_of(table, mapping)
        if found.values.empty:
            hint = "; ".join(
                f"row {row.row}: {row.problem}" for row in found.problems.head(3).itertuples()
            )
            raise DataError(
                f"{path} has no value to import", subject=str(path), hint=hint or "It has no rows."
            )
        values = found.values.assign(note=notes(found.values, mapping, estimators))
        scored = values.loc[values["kind"] == "estimate", "adaptation"].unique()
        unknown = tuple(sorted(name for name in scored if stem(name) not in estimators))
        return cls(
            table, mapping, _identified(values, mapping), found.problems, domain_parents, unknown
        )

    @property
    def flagged(self) -> pd.DataFrame:
        return self.values[self.values["note"] != ""]

    def spec(self) -> dict[str, Any]:
        """What the run's row says: the mapping, the file, and what was left out of it."""
        left_out = json.loads(self.problems.head(KEPT_PROBLEMS).to_json(orient="records"))
        file = {
            "file": self.table.path.name,
            "sha256": self.table.sha256,
            "rows": len(self.table.rows),
        }
        return {
            **file,
            "mapping": self.mapping.model_dump(mode="json"),
            "left_out": len(self.problems),
            "left_out_rows": left_out,
        }


@dataclass(frozen=True)
class ImportResult:
    """What became of a table. ``standing``: kind -> how many values are new, changed, the same, or kept though the table lacks them."""

    incoming: IncomingTable
    standing: Mapping[str, Counter[str]]
    run: str | None = None
    """The run that took it in; None where nothing was to be changed, or nothing should be."""
    cards_kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names whose card is somebody else's already, by table."""

    @property
    def counts(self) -> Counter[str]:
        return sum(self.standing.values(), Counter())


def import_table(store: Store, incoming: IncomingTable, *, dry_run: bool = False) -> ImportResult:
    """Take a table in, or with ``dry_run`` say what it would change; raises StoreError.

    Values that are there already stay; changed ones are replaced; those that the table no longer has are kept.
    """
    if dry_run:
        try:
            with store.reading() as connection:
                return _stand(connection, incoming)[0]
        except StoreMissing:
            return _all_new(incoming)
    with store.writing() as connection:
        found, todo = _stand(connection, incoming)
        if todo is None:
            return found
        version = importlib.metadata.version("headwater")
        run = RunRecord(
            _new_name(),
            incoming.mapping.name,
            incoming.spec(),
            datetime.now(UTC),
            version,
            kind="import",
        )
        _write(connection, incoming, todo, run, found.cards_kept)
        return ImportResult(incoming, found.standing, run.run, found.cards_kept)


def _stand(
    connection: duckdb.DuckDBPyConnection, incoming: IncomingTable
) -> tuple[ImportResult, pd.DataFrame | None]:
    """Hold a table against the store: what it comes to, and the values to write; None where even the mapping is the same."""
    connection.register("arriving", _arrow(incoming))
    try:
        standing = connection.execute(statements("sql/import_standing")).df()["standing"].to_numpy()
    finally:
        connection.unregister("arriving")
    names = {
        "source_models": incoming.values["source"].unique(),
        "tasks": incoming.values["task"].unique(),
    }
    kept = {
        table: tuple(sorted(cards.others(connection, table, list(found), incoming.mapping)))
        for table, found in names.items()
    }
    own, rest = standing[: len(incoming.values)], standing[len(incoming.values) :]
    kinds = incoming.values["kind"].to_numpy()
    counted = {
        "adapt": Counter(own[kinds == "adapt"]),
        "estimate": Counter(own[kinds == "estimate"]),
        "kept": Counter(rest),
    }
    found = ImportResult(incoming, counted, cards_kept=kept)
    todo = incoming.values[own != "same"]
    last = connection.execute(
        "SELECT spec FROM runs WHERE kind = 'import' AND name = ? ORDER BY started DESC LIMIT 1",
        [incoming.mapping.name],
    ).fetchall()
    unchanged = (
        todo.empty and last and json.loads(last[0][0]) == json.loads(json.dumps(incoming.spec()))
    )
    return found, None if unchanged else todo


def _all_new(incoming: IncomingTable) -> ImportResult:
    kinds = incoming.values["kind"].value_counts()
    return ImportResult(
        incoming, {kind: Counter(new=int(kinds.get(kind, 0))) for kind in ("adapt", "estimate")}
    )


def _write(
    connection: duckdb.DuckDBPyConnection,
    incoming: IncomingTable,
    todo: pd.DataFrame,
    run: RunRecord,
    kept: Mapping[str, tuple[str, ...]],
) -> None:
    sources = cards.source_rows(incoming.values, incoming.mapping)
    tasks = cards.task_rows(incoming.values, incoming.mapping)
    tables = {
        "arriving": _arrow(incoming, todo, run.run),
        "import_sources": cards.source_table(
            [row for name, row in sources.items() if name not in kept["source_models"]]
        ),
        "import_tasks": cards.task_table(
            [row for name, row in tasks.items() if name not in kept["tasks"]]
        ),
        **domain_tables(incoming.domain_parents),
    }
    row = run_row(run) | {"state": State.DONE.value, "ended": _now()}
    connection.execute(
        f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join(f'${name}' for name in row)})", row
    )
    for name, table in tables.items():
        connection.register(name, table)
    connection.execute(statements("sql/import"))
    for name in tables:
        connection.unregister(name)


def protocol_of(mapping: TableMapping) -> str:
    """What the cells of one import share: no measured cell has it, and no other import."""
    return digest("import", mapping.name)


def _identified(values: pd.DataFrame, mapping: TableMapping) -> pd.DataFrame:
    """Values under the identity of their jobs."""
    with duckdb.connect() as connection:
        connection.register("coordinates", pa.Table.from_pandas(values[COORDINATES]))
        jobs = connection.execute(statements("sql/import_identity"), [protocol_of(mapping)]).df()
    return values.assign(job=jobs["job"].to_numpy())


def _arrow(incoming: IncomingTable, values: pd.DataFrame | None = None, run: str = "") -> pa.Table:
    frame = incoming.values if values is None else values
    images = frame["size"].where(frame["size"].str.fullmatch(r"\d{1,9}"), None).astype("Int64")
    columns = [
        "job",
        "kind",
        "source",
        "task",
        "adaptation",
        "size",
        "metric",
        "sign",
        "split",
        "value",
        "note",
    ]
    rows = frame[columns].assign(
        seed=frame["seed"].astype("Int64"),
        train_images=images,
        protocol=protocol_of(incoming.mapping),
        run=run,
    )
    rows["place"] = range(len(rows))
    return pa.Table.from_pandas(rows, preserve_index=False)


def _new_name() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
