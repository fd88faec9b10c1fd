"""Scheduling: which job next, and what a failure takes with it. No clock, no processes: executors have those."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from headwater.harness.planning.bundle import MOST, Bundle, batch_key
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Outcome, State


class Schedule:
    """The jobs still to run, in plan order, each held back until what it needs is done."""

    def __init__(self, jobs: Iterable[Job], done: Iterable[str] = ()) -> None:
        self.waiting = {job.id: job for job in jobs}
        self.settled = set(done)
        self.alone: set[str] = set()
        """Jobs that are not to be bundled again."""

    def __len__(self) -> int:
        return len(self.waiting)

    def take(self, near: Job | None = None) -> Job | None:
        """The next job that can start, preferably of the same source and task as ``near``: they share weights,
        data and features. Jobs that others wait for go before those that nobody waits for."""
        ready = [job for job in self.waiting.values() if self._can_start(job)]
        if not ready:
            return None
        chosen = min(ready, key=lambda job: _rank(job, near))
        return self.waiting.pop(chosen.id)

    def take_bundle(self, near: Job | None = None) -> Bundle:
        """The next job that can start, with those that a worker does together with it; none where none can."""
        first = self.take(near)
        if first is None:
            return ()
        kin = batch_key(first)
        if kin is None or first.id in self.alone:
            return (first,)
        others = (
            job
            for job in self.waiting.values()
            if batch_key(job) == kin and job.id not in self.alone and self._can_start(job)
        )
        bundle = (first, *islice(others, MOST - 1))
        for job in bundle[1:]:
            del self.waiting[job.id]
        return bundle

    def put_back(self, bundle: Bundle) -> None:
        """To be started anew, each alone: nobody knows which of them it was that took their worker down, or too long."""
        self.waiting = {job.id: job for job in bundle} | self.waiting
        self.alone |= {job.id for job in bundle}

    def _can_start(self, job: Job) -> bool:
        return all(need in self.settled for need in job.needs)

    def settle(self, outcome: Outcome) -> list[Outcome]:
        """Note an outcome; returns those of the jobs that can now never run."""
        if outcome.state is State.DONE:
            self.settled.add(outcome.job)
            return []
        lost: list[Outcome] = []
        for job in [job for job in self.waiting.values() if outcome.job in job.needs]:
            if self.waiting.pop(job.id, None) is None:
                continue  # a job can need two things, one of which needs the other
            state = State.INTERRUPTED if outcome.state is State.INTERRUPTED else State.SKIPPED
            skipped = Outcome(
                job.id,
                state,
                f"what it needs {outcome.state}: {outcome.reason}",
                "DependencyFailed",
            )
            lost += [skipped, *self.settle(skipped)]
        return lost


def _rank(job: Job, near: Job | None) -> tuple[bool, bool]:
    strange = near is not None and (job.record.source, job.record.task) != (
        near.record.source,
        near.record.task,
    )
    return job.kind not in ("pretrain", "features"), strange
