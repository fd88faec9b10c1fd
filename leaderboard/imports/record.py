"""Taking a published table into the store: what is new, changed or the same, all in one
transaction.
"""

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

KEPT_PROBLEMS = 1000
"""Rows left out that a run's row keeps word for word; of more, only their number."""


@dataclass(frozen=True)
class IncomingTable:
    """A table as it would go in. ``values`` have job and note beside what ``values_of`` gives;
    ``problems`` are what does not go in.
    """

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
        identities = job_identities(values[COORDINATES], protocol_of(mapping))
        values = values.assign(job=identities)
        scored = values.loc[values["kind"] == "estimate", "adaptation"].unique()
        unknown = tuple(sorted(name for name in scored if stem(name) not in estimators))
        return cls(table, mapping, values, found.problems, domain_parents, unknown)

    @property
    def flagged(self) -> pd.DataFrame:
        return self.values[self.values["note"] != ""]

    def spec(self) -> dict[str, Any]:
        """Return what the run's row says: the mapping, the file, and what was left out of it."""
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
    """What became of a table. ``standing``: kind -> how many values are new, changed, the same, or
    kept though the table lacks them.
    """

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
    """Take a published table in; with ``dry_run`` only say what would change.

    Values that are in the store already stay, changed ones are replaced, and those that the table
    no longer has are kept.

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
    own_sources = [row for name, row in sources.items() if name not in foreign["source_models"]]
    own_tasks = [row for name, row in tasks.items() if name not in foreign["tasks"]]
    return ImportCards(
        cards.source_table(own_sources), cards.task_table(own_tasks), incoming.domain_parents
    )


def protocol_of(mapping: TableMapping) -> str:
    """Return what the cells of one import share: no measured cell has it, and no other import."""
    return digest("import", mapping.name)


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
