"""Record outcomes: in the journal at once, and in the store about once a second."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from headwater.leaderboard.store import journal
from headwater.leaderboard.store.connection import WRITER_PATIENCE
from headwater.leaderboard.store.records import Outcome
from headwater.leaderboard.store.store import Store
from headwater.registry.errors import StoreBusy, StoreError, StoreUnwritable

COMMIT_INTERVAL = 1.0
"""Seconds between two commits."""

TICK_PATIENCE = 0.2
"""Seconds that a tick tries to open the store for: the driver has jobs to hand out meanwhile."""


class Recorder:
    """Record outcomes for a run's driver; nothing that was added is ever lost.

    Attributes:
        store: The store.
        waiting: The number of outcomes that are not in the store yet.
        problem: Why the store cannot be written; None while it can.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting = 0
        self.problem: StoreError | None = None
        self._place: Path | None = None
        self._next = time.monotonic() + COMMIT_INTERVAL

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, outcome: Outcome) -> None:
        """Record an outcome.

        Raises:
            StoreUnwritable: No disk takes it.
        """
        self._place = journal.append(self.store.path, outcome)
        self.waiting += 1

    def tick(self) -> None:
        """Commit what waits, at most once a second; call it often."""
        if self.waiting and time.monotonic() >= self._next:
            self._commit(TICK_PATIENCE)

    def close(self) -> None:
        """Commit what waits.

        Raises:
            StoreBusy: Another process holds the store; the message names the journal.
            StoreUnwritable: The store cannot be written; the message names the journal.
        """
        if self.waiting:
            self._commit(WRITER_PATIENCE)
        if self.problem:
            hint = (
                f"{self.waiting} outcomes are safe in {self._place}: the next headwater run takes "
                f"them in. {self.problem.hint}"
            )
            raise type(self.problem)(self.problem.message, subject=self.problem.subject, hint=hint)

    def _commit(self, patience: float) -> None:
        try:
            self.store.commit_pending(patience)
            self.waiting = 0
            self.problem = None
        except (StoreBusy, StoreUnwritable) as error:
            self.problem = error
        self._next = time.monotonic() + COMMIT_INTERVAL
