"""Scheduling: which job next, and what a failure takes with it. No clock, no processes: executors have those."""

from __future__ import annotations

from collections.abc import Iterable

from harness.job import Job
from leaderboard.records import JobKind, Outcome, State


class Schedule:
    """The jobs still to run, in plan order, each held back until what it needs is done."""

    def __init__(self, jobs: Iterable[Job], done: Iterable[str] = ()) -> None:
        self.waiting = {job.id: job for job in jobs}
        self.settled = set(done)

    def __len__(self) -> int:
        return len(self.waiting)

    def take(self, near: Job | None = None) -> Job | None:
        """The next job that can start, preferably of the same source and task as ``near``: they share weights,
        data and features. Jobs that others wait for go before those that nobody waits for."""
        ready = [job for job in self.waiting.values() if all(need in self.settled for need in job.needs)]
        if not ready:
            return None
        chosen = min(ready, key=lambda job: _rank(job, near))
        return self.waiting.pop(chosen.id)

    def put_back(self, job: Job) -> None:
        self.waiting = {job.id: job} | self.waiting

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
            skipped = Outcome(job.id, state, f"what it needs {outcome.state}: {outcome.reason}", "NeededJobFailed")
            lost += [skipped, *self.settle(skipped)]
        return lost


def _rank(job: Job, near: Job | None) -> tuple[bool, bool]:
    strange = near is not None and (job.record.source, job.record.task) != (near.record.source, near.record.task)
    return job.kind not in (JobKind.PRETRAIN, JobKind.FEATURES), strange
