"""The contract of an executor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from headwater.harness.planning.bundle import Bundle
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import JobProgress
from headwater.leaderboard.store.records import Outcome


@dataclass(frozen=True)
class Limits:
    """``timeout`` seconds a job may take, a bundle that long for each of its jobs; ``retries`` after infrastructure errors
    (a killed worker, a lost node). A bundle that is late or lost is put back, and its jobs run alone."""

    timeout: float | None = None
    retries: int = 1


@dataclass(frozen=True)
class Started:
    bundle: Bundle
    slot: int


@dataclass(frozen=True)
class Finished:
    """``outcomes`` are those of the bundle's jobs, in its order."""

    bundle: Bundle
    slot: int
    outcomes: Sequence[Outcome]


@dataclass(frozen=True)
class Running:
    """A sign of life: where each busy slot stands. Also sent when nothing changed, so that the caller can tick."""

    slots: dict[int, tuple[Bundle, JobProgress]]


Event = Started | Finished | Running


class Executor(Protocol):
    """Runs a schedule's jobs. ``events`` yields as things happen; the caller settles each Finished before
    asking for the next event. ``close`` ends what is running and gives everything back."""

    slots: int

    def events(self, schedule: Schedule) -> Iterator[Event]: ...

    def close(self) -> None: ...
