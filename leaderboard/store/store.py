"""The store: one DuckDB file of raw outcomes, and views that interpret them."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from headwater.leaderboard.store import journal, sandbox
from headwater.leaderboard.store.connection import (
    READER_PATIENCE,
    WRITER_PATIENCE,
    Settings,
    connected,
    transaction,
)
from headwater.leaderboard.store.migration import bring_up_to_date, is_current, statements
from headwater.leaderboard.store.records import JobRecord, Outcome, RunRecord, State
from headwater.leaderboard.store.rows import card_tables, job_table, outcome_tables, run_row
from headwater.leaderboard.store.sandbox import QueryResult
from headwater.registry import SourceModel, Task
from headwater.registry.errors import StoreError, StoreUnwritable


@dataclass(frozen=True)
class JobState:
    """What the store knows of a job; ``artifacts`` maps a role to a path relative to ``Store.files``."""

    state: State
    reason: str
    error: str
    log: str
    seconds: float | None
    attempts: int
    artifacts: Mapping[str, str]


class JobCost(NamedTuple):
    """What one done job cost; ``adaptation`` is the analysis of a job that is one, ``images`` what it processed."""

    kind: str
    source: str
    task: str
    adaptation: str
    size: str
    seconds: float
    images: int
    architecture: str = ""
    image_size: int | None = None


class Store:
    """Outcomes in a DuckDB file that is open only while it is read or written.

    A DuckDB file admits one process at a time, readers included: writers commit in short transactions and both
    sides try again for a few seconds. Every method may raise NotAStore, NewerStore or StoreBusy; readers raise
    StoreMissing where there is no file, writers StoreUnwritable on a full or read-only disk.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._checked = False

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    @property
    def files(self) -> Path:
        """The folder of checkpoints, predictions and logs beside the file."""
        return self.path.with_name(f"{self.path.stem}-files")

    # -- writing ------------------------------------------------------------------------------------------

    def begin_run(self, run: RunRecord) -> None:
        row = run_row(run)
        with self.writing() as connection:
            marks = ", ".join(f"${name}" for name in row)
            connection.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({marks})", row)

    def end_run(self, run: str, state: State) -> None:
        ended = datetime.now(UTC).replace(tzinfo=None)
        with self.writing() as connection:
            connection.execute(
                "UPDATE runs SET state = ?, ended = ? WHERE run = ?", [state.value, ended, run]
            )

    def put_cards(
        self,
        sources: Iterable[SourceModel],
        tasks: Iterable[Task],
        domain_parents: Mapping[str, frozenset[str]],
    ) -> None:
        """Keep the cards for joins; the latest of a name wins."""
        with self.writing() as connection:
            _run(connection, "sql/cards", card_tables(sources, tasks, domain_parents))

    def plan(self, run: str, jobs: Sequence[JobRecord], reset: Collection[str] = ()) -> None:
        """Enter jobs as planned; finished ones stay as they are unless they are in ``reset``."""
        tables = {
            "planned": job_table(run, jobs),
            "again": pa.table({"job": pa.array(list(reset), pa.string())}),
        }
        with self.writing() as connection:
            _run(connection, "sql/plan", tables)

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Replace what is known of these jobs, all or nothing; raises StoreError for a state a job may not enter."""
        with self.writing() as connection:
            if refused := _write(connection, outcomes):
                raise StoreError(refused[0][1], subject=refused[0][0].job)

    @contextmanager
    def writing(self, patience: float = WRITER_PATIENCE) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction on an up-to-date file; what waits in the journal goes in first."""
        with self._lock, connected(self.path, read_only=False, patience=patience) as connection:
            bring_up_to_date(connection, self.path)
            for waiting in journal.waiting(self.path):
                with transaction(connection):
                    refused = _write(connection, waiting.outcomes)
                waiting.settle(refused)
            with transaction(connection):
                yield connection

    # -- reading ------------------------------------------------------------------------------------------

    def states(self) -> dict[str, JobState]:
        """Where every job stands; raises StoreMissing where there is no store yet."""
        found = {}
        for job, state, reason, error, log, seconds, attempts, artifacts in self._rows(
            "sql/states"
        ):
            files = json.loads(artifacts) if artifacts else {}
            found[job] = JobState(State(state), reason, error, log, seconds, attempts, files)
        return found

    def history(self) -> list[JobCost]:
        """What each done job cost, for forecasts; raises StoreMissing where there is no store yet."""
        return [JobCost(*row) for row in self._rows("sql/history")]

    def _rows(self, name: str) -> list[tuple]:
        with self.reading() as connection:
            return connection.execute(statements(name)).fetchall()

    def sql(
        self, query: str, *, seconds: float = 30, rows: int | None = None, memory: str = "1GB"
    ) -> QueryResult:
        """Ask one question in SQL, read-only and without access to any other file; raises QueryError.

        ``seconds`` bounds its time, ``rows`` its answer (``QueryResult.truncated`` says whether there was more), ``memory``
        what DuckDB may use.
        """
        with self.reading(sandbox.settings(memory)) as connection:
            return sandbox.ask(connection, query, seconds=seconds, rows=rows)

    @contextmanager
    def reading(self, settings: Settings | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection; an older file is brought up to date first, or read as it is where it cannot be written."""
        with self._lock:
            if not self._checked:
                with connected(
                    self.path, read_only=True, patience=READER_PATIENCE, settings=settings
                ) as connection:
                    self._checked = is_current(connection, self.path)
                    if self._checked:
                        yield connection
                        return
                with suppress(StoreUnwritable), self.writing():
                    self._checked = True
            with connected(
                self.path, read_only=True, patience=READER_PATIENCE, settings=settings
            ) as connection:
                try:
                    yield connection
                except (duckdb.BinderException, duckdb.CatalogException) as error:
                    if self._checked:
                        raise
                    hint = "Make it and its folder writable, or read a copy that is."
                    message = f"{self.path} was written by an older Headwater and cannot be brought up to date: it is not writable"
                    raise StoreError(message, subject=str(self.path), hint=hint) from error


def _run(connection: duckdb.DuckDBPyConnection, name: str, tables: Mapping[str, pa.Table]) -> None:
    """Run a file of statements over Arrow tables, under the names it knows them by."""
    for table, rows in tables.items():
        connection.register(table, rows)
    connection.execute(statements(name))
    for table in tables:
        connection.unregister(table)


def _write(
    connection: duckdb.DuckDBPyConnection, outcomes: Sequence[Outcome]
) -> list[tuple[Outcome, str]]:
    """Record the outcomes that their jobs may have; returns the others and why not."""
    asked = [outcome.job for outcome in outcomes]
    states = dict(
        connection.execute(
            "SELECT job, state FROM jobs WHERE job IN (SELECT unnest(?::VARCHAR[]))", [asked]
        ).fetchall()
    )
    admitted, refused = [], []
    for outcome in outcomes:
        state = states.get(outcome.job)
        if state is None:
            refused.append((outcome, f"job {outcome.job} was never planned"))
        elif not State(state).may_become(outcome.state):
            refused.append(
                (outcome, f"job {outcome.job} is {state} and cannot become {outcome.state}")
            )
        else:
            states[outcome.job] = outcome.state
            admitted.append(outcome)
    if admitted:
        _run(connection, "sql/record", outcome_tables(admitted))
    return refused
