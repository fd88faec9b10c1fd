"""The recorder: outcomes go to the journal at once and to the store about once a second."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from headwater.leaderboard.store import journal
from headwater.leaderboard.store.connection import WRITER_PATIENCE
from headwater.leaderboard.store.records import Outcome
from headwater.leaderboard.store.store import Store
from headwater.registry.errors import StoreBusy, StoreError, StoreUnwritable

_INTERVAL = 1.0
_GLANCE = 0.2
"""Seconds a tick tries to open the store for: the driver has jobs to hand out meanwhile."""


class Recorder:
    """Records outcomes for a run's driver; nothing that was added is ever lost.

    ``waiting`` counts outcomes not yet in the store; ``problem`` says why while it cannot be
    written.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting = 0
        self.problem: StoreError | None = None
        self._place: Path | None = None
        self._next = time.monotonic() + _INTERVAL

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
        """Keep an outcome; raises StoreUnwritable where no disk takes it."""
        self._place = journal.append(self.store.path, outcome)
        self.waiting += 1

    def tick(self) -> None:
        """Commit what waits, at most once a second; call it often."""
        if self.waiting and time.monotonic() >= self._next:
            self._commit(_GLANCE)

    def close(self) -> None:
        """Commit what waits; raises StoreBusy or StoreUnwritable, naming the journal, where that
        cannot be done now.
        """
        if self.waiting:
            self._commit(WRITER_PATIENCE)
        if self.problem:
            hint = f"{self.waiting} outcomes are safe in {self._place}: the next headwater run takes them in. {self.problem.hint}"
            raise type(self.problem)(self.problem.message, subject=self.problem.subject, hint=hint)

    def _commit(self, patience: float) -> None:
        try:
            self.store.commit_pending(patience)
            self.waiting, self.problem = 0, None
        except (StoreBusy, StoreUnwritable) as error:
            self.problem = error
        self._next = time.monotonic() + _INTERVAL
