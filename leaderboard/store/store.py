"""The store: one DuckDB file of raw outcomes, and views that interpret them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from headwater.leaderboard.store import sandbox
from headwater.leaderboard.store.connection import WRITER_PATIENCE
from headwater.leaderboard.store.file import StoreFile, write_outcomes
from headwater.leaderboard.store.importing import ImportTransaction
from headwater.leaderboard.store.records import JobRecord, Outcome, RunRecord, State
from headwater.leaderboard.store.rows import card_tables, job_table, run_table
from headwater.leaderboard.store.sandbox import QueryResult
from headwater.leaderboard.store.statements import query_text, run_over
from headwater.registry import SourceModel, Task
from headwater.registry.errors import StoreError, UnknownName

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


@dataclass(frozen=True)
class JobState:
    """The state of a job, and what it left.

    Attributes:
        seconds: Wall time of its last attempt; None where it never ran.
        artifacts: Role (``checkpoint``, ``predictions``, …) to path, relative to ``Store.files``.
    """

    state: State
    reason: str
    error: str
    log: str
    seconds: float | None
    attempts: int
    artifacts: Mapping[str, str]


class JobCost(NamedTuple):
    """The cost of one done job; forecasts are made of these.

    ``adaptation`` is the analysis of a job that is one; ``images`` is how many it processed.
    """

    kind: str
    source: str
    task: str
    adaptation: str
    size: str
    seconds: float
    images: int
    architecture: str = ""
    image_size: int | None = None


@dataclass(frozen=True)
class JobRow:
    """Everything the store has of one job, but for its metrics (``Store.metrics``).

    Attributes:
        row: Its row of the table ``jobs``.
        spec: The spec of the run that planned it; empty where there is no such run.
        task_type: The type of its target; "" where the store has no card of the target.
        epoch: The epoch that was chosen on validation, from 1; None where none was.
        artifacts: Role to path, relative to ``Store.files``.
    """

    row: Mapping[str, Any]
    spec: Mapping[str, Any]
    task_type: str
    epoch: int | None
    artifacts: Mapping[str, str]


JobMetrics = dict[str, dict[str, float]]
"""Split -> metric -> value."""


class Store:
    """Outcomes in a DuckDB file that is open only while it is read or written.

    A DuckDB file admits one process at a time, readers included: writers commit in short
    transactions, and both sides try again for a few seconds. Every method may raise NotAStore,
    NewerStore or StoreBusy; readers raise StoreMissing where there is no file, writers
    StoreUnwritable on a full or read-only disk.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = StoreFile(self.path)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    @property
    def files(self) -> Path:
        """The folder of checkpoints, predictions and logs beside the file."""
        return self.path.with_name(f"{self.path.stem}-files")

    # -- writing ------------------------------------------------------------------------------------------

    def begin_run(self, run: RunRecord) -> None:
        """Enter a run, in the state ``running``."""
        with self._file.writing() as connection:
            run_over(connection, "begin_run", {"arriving_run": run_table(run, State.RUNNING)})

    def end_run(self, run: str, state: State) -> None:
        """Enter the state in which a run ended, and the time."""
        ended = datetime.now(UTC).replace(tzinfo=None)
        with self._file.writing() as connection:
            connection.execute(
                query_text("end_run"), {"run": run, "state": state.value, "ended": ended}
            )

    def put_cards(
        self,
        sources: Iterable[SourceModel],
        tasks: Iterable[Task],
        domain_parents: Mapping[str, frozenset[str]],
    ) -> None:
        """Keep the cards for joins; the latest card of a name wins."""
        with self._file.writing() as connection:
            run_over(connection, "cards", card_tables(sources, tasks, domain_parents))

    def plan(self, run: str, jobs: Sequence[JobRecord], reset: Collection[str] = ()) -> None:
        """Enter jobs as planned; finished jobs stay as they are unless they are in ``reset``."""
        tables = {
            "planned": job_table(run, jobs),
            "reset_jobs": pa.table({"job": pa.array(list(reset), pa.string())}),
        }
        with self._file.writing() as connection:
            run_over(connection, "plan", tables)

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Replace what the store has of these jobs, all or nothing.

        Raises:
            StoreError: A job was never planned, or may not enter its outcome's state.
        """
        with self._file.writing() as connection:
            refused = write_outcomes(connection, outcomes)
            if refused:
                outcome, reason = refused[0]
                raise StoreError(reason, subject=outcome.job)

    def commit_pending(self, patience: float = WRITER_PATIENCE) -> None:
        """Take in the outcomes that wait in the journal; makes the file where there is none.

        Args:
            patience: Seconds to try to open the file for, before StoreBusy is raised.
        """
        with self._file.writing(patience):
            pass

    @contextmanager
    def importing(
        self, name: str, values: pa.Table, *, dry_run: bool = False
    ) -> Iterator[ImportTransaction]:
        """Compare the values of the import ``name`` with the store, in one transaction.

        The transaction's ``write`` takes them in; with ``dry_run`` the file is only read.
        """
        opened = self._file.reading() if dry_run else self._file.writing()
        with opened as connection:
            yield ImportTransaction(connection, name, values)

    # -- reading ------------------------------------------------------------------------------------------

    def states(self) -> dict[str, JobState]:
        """Return the state of every job; raises StoreMissing where there is no store yet."""
        states = {}
        for job, state, reason, error, log, seconds, attempts, artifacts in self.result(
            "states"
        ).rows:
            states[job] = JobState(
                state=State(state),
                reason=reason,
                error=error,
                log=log,
                seconds=seconds,
                attempts=attempts,
                artifacts=json.loads(artifacts) if artifacts else {},
            )
        return states

    def history(self) -> list[JobCost]:
        """Return the cost of each done job; raises StoreMissing where there is no store yet."""
        return [JobCost(*row) for row in self.result("history").rows]

    def job(self, start: str) -> JobRow:
        """Return the one job whose identity begins with these hex digits.

        Raises:
            UnknownName: No job's identity begins so, or that of more than one job.
        """
        found = self.result("job", start=start)
        if len(found.rows) != 1:
            problem = "more than one job starts" if found.rows else "no job starts"
            raise UnknownName(
                f"{problem} with {start} in {self.path}",
                subject=start,
                hint=f"headwater query 'SELECT job, source, task FROM jobs' --store {self.path}",
            )
        row = dict(zip(found.columns, found.rows[0], strict=True))
        spec, artifacts = row.pop("run_spec"), row.pop("job_artifacts")
        task_type, epoch = row.pop("task_type"), row.pop("chosen_epoch")
        return JobRow(
            row=row,
            spec=json.loads(spec) if spec else {},
            task_type=task_type or "",
            epoch=epoch,
            artifacts=json.loads(artifacts) if artifacts else {},
        )

    def metrics(self, jobs: Iterable[str]) -> dict[str, JobMetrics]:
        """Return what jobs measured, as job -> split -> metric -> value, in the order of recording.

        Jobs without a measurement are left out.
        """
        measured: dict[str, JobMetrics] = {}
        for job, split, metric, value in self.result("metrics", jobs=list(jobs)).rows:
            measured.setdefault(job, {}).setdefault(split, {})[metric] = value
        return measured

    def result(self, query: str, **parameters: Any) -> QueryResult:
        """Answer a named query with rows of plain Python values.

        Args:
            query: A file of ``store/sql`` without its ending, or a view.
            parameters: Values of the query's ``$parameters``.
        """
        with self._file.reading() as connection:
            answer = connection.execute(query_text(query), parameters)
            columns = tuple(column[0] for column in answer.description or ())
            return QueryResult(columns, answer.fetchall())

    def frame(self, query: str, **parameters: Any) -> pd.DataFrame:
        """Answer a named query (see ``result``) with a data frame."""
        return self.frames(query, **parameters)[0]

    def frames(self, *queries: str, **parameters: Any) -> list[pd.DataFrame]:
        """Answer several named queries (see ``result``) from one opening, so from one state, of the
        file.

        Each query gets those of the parameters that it names.
        """
        with self._file.reading() as connection:
            return [_frame(connection, query, parameters) for query in queries]

    def sql(
        self, query: str, *, seconds: float = 30, rows: int | None = None, memory: str = "1GB"
    ) -> QueryResult:
        """Answer one question in SQL, read-only and without access to any other file.

        Args:
            query: One statement that only reads.
            seconds: A longer query is stopped.
            rows: Rows to return at most; ``QueryResult.truncated`` says whether there were more.
            memory: Memory that DuckDB may use, such as ``1GB``.

        Raises:
            QueryError: The statement is wrong, does not only read, or ran too long.
        """
        with self._file.reading(sandbox.settings(memory)) as connection:
            return sandbox.ask(connection, query, seconds=seconds, rows=rows)


def _frame(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any]
) -> pd.DataFrame:
    (statement,) = connection.extract_statements(query_text(query))
    named = {name: parameters[name] for name in statement.named_parameters}
    return connection.execute(statement, named).df()
