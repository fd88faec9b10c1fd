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
    """The limits that a job may reach before it fails.

    A bundle that is late or lost is put back, and its jobs run alone.

    Attributes:
        timeout: Seconds for a job; a bundle may take as long for each of its jobs.
        retries: How often a job runs again after its worker was lost (killed, or its node lost).
    """

    timeout: float | None = None
    retries: int = 1


@dataclass(frozen=True)
class Started:
    """Jobs began on a slot."""

    bundle: Bundle
    slot: int


@dataclass(frozen=True)
class Finished:
    """Jobs ended: ``outcomes`` has one for each, in the order of the bundle."""

    bundle: Bundle
    slot: int
    outcomes: Sequence[Outcome]


@dataclass(frozen=True)
class Running:
    """A sign of life: the jobs and the progress of each busy slot.

    Also sent if nothing changed, so that the caller can do what is due from time to time.
    """

    slots: dict[int, tuple[Bundle, JobProgress]]


Event = Started | Finished | Running


class Executor(Protocol):
    """Runs the jobs of a schedule, ``slots`` at once."""

    slots: int

    def events(self, schedule: Schedule) -> Iterator[Event]:
        """Yield events as they happen.

        The caller settles the outcomes of each Finished before it asks for the next event.
        """
        ...

    def close(self) -> None:
        """End what is running and give everything back."""
        ...
