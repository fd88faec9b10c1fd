"""The store's file: opened for each read or write, and brought up to date before it is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import duckdb

from headwater.leaderboard.store import journal
from headwater.leaderboard.store.connection import (
    READER_PATIENCE,
    WRITER_PATIENCE,
    Settings,
    connected,
    transaction,
)
from headwater.leaderboard.store.migration import bring_up_to_date, is_current
from headwater.leaderboard.store.records import Outcome, State
from headwater.leaderboard.store.rows import outcome_tables
from headwater.leaderboard.store.statements import run_over
from headwater.registry.errors import StoreError, StoreUnwritable

Refused = tuple[Outcome, str]
"""An outcome that its job may not have, and why not."""


class StoreFile:
    """A DuckDB file that is open only while it is read or written.

    A DuckDB file admits one process at a time, readers included: writers commit in short
    transactions, and both sides try again for a few seconds. Connections stay inside this package;
    everybody else asks the ``Store``. One thread at a time uses a StoreFile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._checked = False

    @contextmanager
    def writing(self, patience: float = WRITER_PATIENCE) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open one transaction on an up-to-date file; outcomes that wait in the journal go in
        first.

        Args:
            patience: Seconds to try to open the file for.
        """
        with self._lock, connected(self.path, read_only=False, patience=patience) as connection:
            bring_up_to_date(connection, self.path)
            for pending in journal.waiting(self.path):
                with transaction(connection):
                    refused = write_outcomes(connection, pending.outcomes)
                pending.settle(refused)
            with transaction(connection):
                yield connection

    @contextmanager
    def reading(self, settings: Settings | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a read-only connection.

        An older file is brought up to date first, or read as it is where it cannot be written.
        """
        with self._lock:
            if not self._checked:
                with self._open(settings) as connection:
                    self._checked = is_current(connection, self.path)
                    if self._checked:
                        yield connection
                        return
                with suppress(StoreUnwritable), self.writing():
                    self._checked = True
            with self._open(settings) as connection, self._explained():
                yield connection

    def _open(self, settings: Settings | None) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return connected(self.path, read_only=True, patience=READER_PATIENCE, settings=settings)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say why a view or column is missing where the file could not be brought up to date."""
        try:
            yield
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            if self._checked:
                raise
            message = (
                f"{self.path} was written by an older Headwater and cannot be brought up to date: "
                "it is not writable"
            )
            hint = "Make it and its folder writable, or read a copy that is."
            raise StoreError(message, subject=str(self.path), hint=hint) from error


def write_outcomes(
    connection: duckdb.DuckDBPyConnection, outcomes: Sequence[Outcome]
) -> list[Refused]:
    """Record the outcomes that their jobs may have, and return the others with the reasons."""
    jobs = [outcome.job for outcome in outcomes]
    query = "SELECT job, state FROM jobs WHERE job IN (SELECT unnest(?::VARCHAR[]))"
    states = dict(connection.execute(query, [jobs]).fetchall())
    admitted, refused = [], []
    for outcome in outcomes:
        job, state = outcome.job, states.get(outcome.job)
        if state is None:
            refused.append((outcome, f"job {job} was never planned"))
        elif not State(state).may_become(outcome.state):
            refused.append((outcome, f"job {job} is {state} and cannot become {outcome.state}"))
        else:
            states[job] = outcome.state
            admitted.append(outcome)
    if admitted:
        run_over(connection, "record", outcome_tables(admitted))
    return refused
