"""Take a published table into the store: what is new, changed or the same, all in one transaction."""

from __future__ import annotations

import importlib.metadata
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headwater.leaderboard.imports import cards
from headwater.leaderboard.imports.flags import notes, stem
from headwater.leaderboard.imports.mapping import TableMapping
from headwater.leaderboard.imports.table import PublishedTable
from headwater.leaderboard.imports.values import COORDINATES, values_of
from headwater.leaderboard.store.importing import (
    ImportCards,
    ImportTransaction,
    job_identities,
)
from headwater.leaderboard.store.records import RunRecord, new_run_id
from headwater.leaderboard.store.store import Store
from headwater.registry import Estimator
from headwater.registry.errors import DataError, StoreMissing
from headwater.registry.identity import digest

if TYPE_CHECKING:
    import pandas as pd

MAX_STORED_PROBLEMS = 1000
"""Rows left out that a run's row stores word for word; of more, only their number."""

MAX_HINTED_PROBLEMS = 3
"""Rows that the hint names where no row holds a value."""


VALUE_COLUMNS = [
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
"""Columns of a value that go into the store as they are."""


@dataclass(frozen=True)
class IncomingTable:
    """Hold a table as it would go in.

    Attributes:
        table: The table as read.
        mapping: What its columns are.
        values: The values of ``values_of``, with the columns job and note beside.
        problems: The rows and cells that do not go in, with the reasons.
        domain_parents: By domain, the domains that contain it.
        unknown: The estimators that no card declares a range for.
    """

    table: PublishedTable
    mapping: TableMapping
    values: pd.DataFrame
    problems: pd.DataFrame
    domain_parents: Mapping[str, frozenset[str]]
    unknown: tuple[str, ...]

    @classmethod
    def read(
        cls,
        path: Path | str,
        mapping: TableMapping,
        estimators: Mapping[str, Estimator],
        domain_parents: Mapping[str, frozenset[str]],
    ) -> IncomingTable:
        """Read a table and compare its scores with the declared ranges.

        Args:
            path: The file.
            mapping: What its columns are.
            estimators: The cards, which declare the ranges.
            domain_parents: By domain, the domains that contain it.

        Raises:
            BadSpec: The mapping names a column or domain that does not exist.
            DataError: The file cannot be read, or holds no value.
        """
        cards.check_domains(mapping, domain_parents)
        table = PublishedTable.read(path, mapping)
        parsed = values_of(table, mapping)
        if parsed.values.empty:
            first_problems = parsed.problems.head(MAX_HINTED_PROBLEMS).itertuples()
            hint = "; ".join(f"row {row.row}: {row.problem}" for row in first_problems)
            raise DataError(
                f"{path} has no value to import", subject=str(path), hint=hint or "It has no rows."
            )
        values = parsed.values.assign(
            note=notes(parsed.values, mapping, estimators),
            job=job_identities(parsed.values[COORDINATES], protocol_of(mapping)),
        )
        scored = values.loc[values["kind"] == "estimate", "adaptation"].unique()
        unknown = sorted(name for name in scored if stem(name) not in estimators)
        return cls(
            table=table,
            mapping=mapping,
            values=values,
            problems=parsed.problems,
            domain_parents=domain_parents,
            unknown=tuple(unknown),
        )

    @property
    def flagged(self) -> pd.DataFrame:
        """The values that have a note."""
        return self.values[self.values["note"] != ""]

    def spec(self) -> dict[str, Any]:
        """Return what the run's row says: the mapping, the file, and what was left out of it."""
        left_out = json.loads(self.problems.head(MAX_STORED_PROBLEMS).to_json(orient="records"))
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
    """Hold what became of a table.

    Attributes:
        incoming: The table.
        standing: By kind, how many values are new, changed, the same, or kept though the table
            lacks them.
        run: The run that took it in; None where nothing was to be changed, or nothing should be.
        cards_kept: By table, the names whose card is somebody else's already.
    """

    incoming: IncomingTable
    standing: Mapping[str, Counter[str]]
    run: str | None = None
    cards_kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[str]:
        """How many values of any kind are new, changed, the same or kept."""
        return sum(self.standing.values(), Counter())


def import_table(store: Store, incoming: IncomingTable, *, dry_run: bool = False) -> ImportResult:
    """Take a published table in.

    Values that are in the store already stay, changed ones are replaced, and those that the table
    no longer has are kept.

    Args:
        store: The store.
        incoming: The table.
        dry_run: Only say what would change.

    Raises:
        StoreError: The store cannot be read or written.
    """
    name = incoming.mapping.name
    try:
        with store.importing(name, _arrow(incoming), dry_run=dry_run) as transaction:
            result, changed = _compare(transaction, incoming)
            if dry_run or changed is None:
                return result
            now = datetime.now(UTC)
            run = RunRecord(
                run=new_run_id(now),
                name=name,
                spec=incoming.spec(),
                started=now,
                version=importlib.metadata.version("headwater"),
                kind="import",
            )
            values = _arrow(incoming, changed, run.run)
            transaction.write(run, values, _cards(incoming, result.cards_kept))
            return replace(result, run=run.run)
    except StoreMissing:
        if not dry_run:
            raise
        return _all_new(incoming)


def _compare(
    transaction: ImportTransaction, incoming: IncomingTable
) -> tuple[ImportResult, pd.DataFrame | None]:
    """Return how the table and the store differ, and the values to write.

    The values are None where there is nothing to write and the mapping is that of the last import.
    """
    standing, lacking = transaction.comparison
    kinds = incoming.values["kind"].to_numpy()
    counts = {
        "adapt": Counter(standing[kinds == "adapt"]),
        "estimate": Counter(standing[kinds == "estimate"]),
        "kept": Counter({"kept": lacking} if lacking else {}),
    }
    result = ImportResult(incoming, counts, cards_kept=transaction.foreign_cards)
    changed = incoming.values[standing != "same"]
    spec = json.loads(json.dumps(incoming.spec()))
    return result, None if changed.empty and transaction.last_spec == spec else changed


def _all_new(incoming: IncomingTable) -> ImportResult:
    """Return what an import into an empty store comes to."""
    kinds = incoming.values["kind"].value_counts()
    counts = {kind: Counter(new=int(kinds.get(kind, 0))) for kind in ("adapt", "estimate")}
    return ImportResult(incoming, counts)


def _cards(incoming: IncomingTable, foreign: Mapping[str, tuple[str, ...]]) -> ImportCards:
    """Return the cards of the table's sources and tasks, without those that are somebody else's."""
    sources = cards.source_rows(incoming.values, incoming.mapping)
    tasks = cards.task_rows(incoming.values, incoming.mapping)
    for name in foreign["source_models"]:
        sources.pop(name, None)
    for name in foreign["tasks"]:
        tasks.pop(name, None)
    source_table = cards.source_table(sources.values())
    task_table = cards.task_table(tasks.values())
    return ImportCards(source_table, task_table, incoming.domain_parents)


def protocol_of(mapping: TableMapping) -> str:
    """Return what the cells of one import share: no measured cell has it, and no other import."""
    return digest("import", mapping.name)


def _arrow(incoming: IncomingTable, values: pd.DataFrame | None = None, run: str = "") -> pa.Table:
    """Return values as the store takes them, by default all, numbered in the column ``place``."""
    frame = incoming.values if values is None else values
    images = frame["size"].where(frame["size"].str.fullmatch(r"\d{1,9}"), None).astype("Int64")
    rows = frame[VALUE_COLUMNS].assign(
        seed=frame["seed"].astype("Int64"),
        train_images=images,
        protocol=protocol_of(incoming.mapping),
        run=run,
    )
    rows["place"] = range(len(rows))
    return pa.Table.from_pandas(rows, preserve_index=False)
