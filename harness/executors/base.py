"""The contract of an executor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from harness.job import Job
from harness.schedule import Schedule
from harness.worker import Progress
from leaderboard.records import Outcome


@dataclass(frozen=True)
class Limits:
    """``timeout`` seconds a job may take; ``retries`` after infrastructure errors (a killed worker, a lost node)."""

    timeout: float | None = None
    retries: int = 1


@dataclass(frozen=True)
class Started:
    job: Job
    slot: int


@dataclass(frozen=True)
class Finished:
    job: Job
    slot: int
    outcome: Outcome


@dataclass(frozen=True)
class Running:
    """A sign of life: where each busy slot stands. Also sent when nothing changed, so that the caller can tick."""

    slots: dict[int, tuple[Job, Progress]]


Event = Started | Finished | Running


class Executor(Protocol):
    """Runs a schedule's jobs. ``events`` yields as things happen; the caller settles each Finished before
    asking for the next event. ``close`` ends what is running and gives everything back."""

    slots: int

    def events(self, schedule: Schedule) -> Iterator[Event]: ...

    def close(self) -> None: ...
