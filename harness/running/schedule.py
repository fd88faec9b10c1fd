"""Schedule: which job comes next, and which jobs a failure takes with it.

It knows neither clock nor processes: executors have those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from heapq import heappop, heappush

from headwater.harness.planning.bundle import MAX_JOBS_PER_BUNDLE, Bundle
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Outcome, State


class Schedule:
    """The jobs still to run, each held back until the jobs that it needs are done.

    Taking a job, settling one and putting one back cost O(log n) and the number of its dependents.

    Args:
        jobs: The jobs to run, in the order of the plan.
        done: Identities of jobs that are done already.
    """

    def __init__(self, jobs: Iterable[Job], done: Iterable[str] = ()) -> None:
        self._waiting = {job.id: job for job in jobs}
        self._done = set(done)
        self._alone: set[str] = set()
        """Jobs that are not to be bundled again."""
        self._dependents: dict[str, list[str]] = defaultdict(list)
        self._missing: dict[str, int] = {}
        """How many jobs that each waiting job needs are not done."""
        self._positions: dict[str, int] = {}
        """The jobs that can start, and the place of each in the order of the plan."""
        self._queues: dict[Hashable, list[tuple[int, str]]] = defaultdict(list)
        """Heaps of (position, job). An entry counts only if ``_positions`` agrees with it."""
        self._first_position = 0
        self._places = {job: place for place, job in enumerate(self._waiting)}
        for job in self._waiting.values():
            missing = set(job.needs) - self._done
            self._missing[job.id] = len(missing)
            for needed in missing:
                self._dependents[needed].append(job.id)
            if not missing:
                self._enqueue(job, self._places[job.id])

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, near: Job | None = None) -> Job | None:
        """Take the next job that can start; None if there is none now.

        Jobs that only others need go first. Among equals, a job on the source and task of
        ``near``, with which it shares weights, data and features, goes before the order of the
        plan.
        """
        for is_dependency in (True, False):
            job = None
            if near is not None:
                job = self._pop((is_dependency, near.record.source, near.record.task))
            if job is None:
                job = self._pop(is_dependency)
            if job is not None:
                return job
        return None

    def take_bundle(self, near: Job | None = None) -> Bundle:
        """Take the next job that can start and those that one call solves together with it.

        Returns:
            At most ``MAX_JOBS_PER_BUNDLE`` jobs; none if no job can start now.
        """
        first = self.take(near)
        if first is None:
            return ()
        bundle = [first]
        if first.batch_key is not None and first.id not in self._alone:
            while len(bundle) < MAX_JOBS_PER_BUNDLE:
                job = self._pop(_batch(first))
                if job is None:
                    break
                bundle.append(job)
        return tuple(bundle)

    def put_back(self, bundle: Bundle) -> None:
        """Put jobs back at the front, each to be started alone.

        Nobody knows which job of a bundle took its worker down, or took too long.
        """
        self._waiting = {job.id: job for job in bundle} | self._waiting
        self._alone |= {job.id for job in bundle}
        self._first_position -= len(bundle)
        for place, job in enumerate(bundle):
            self._enqueue(job, self._first_position + place)

    def settle(self, outcome: Outcome) -> list[Outcome]:
        """Note an outcome, and return the outcomes of the jobs that can now never run."""
        if outcome.state is State.DONE:
            self._release(outcome.job)
            return []
        state = State.INTERRUPTED if outcome.state is State.INTERRUPTED else State.SKIPPED
        lost: list[Outcome] = []
        for dependent in self._dependents[outcome.job]:
            # A job can need two jobs of which one needs the other: it is lost only once.
            if self._waiting.pop(dependent, None) is None:
                continue
            reason = f"dependency {outcome.state}: {outcome.reason}"
            skipped = Outcome(dependent, state, reason=reason, error="DependencyFailed")
            lost += [skipped, *self.settle(skipped)]
        return lost

    def _release(self, done: str) -> None:
        """Enqueue the jobs that needed only this one."""
        if done in self._done:
            return
        self._done.add(done)
        for dependent in self._dependents[done]:
            self._missing[dependent] -= 1
            job = self._waiting.get(dependent)
            if job is not None and not self._missing[dependent]:
                self._enqueue(job, self._places[dependent])

    def _enqueue(self, job: Job, position: int) -> None:
        self._positions[job.id] = position
        is_dependency = job.role == "dependency"
        queues: list[Hashable] = [
            is_dependency,
            (is_dependency, job.record.source, job.record.task),
        ]
        if job.batch_key is not None and job.id not in self._alone:
            queues.append(_batch(job))
        for queue in queues:
            heappush(self._queues[queue], (position, job.id))

    def _pop(self, queue: Hashable) -> Job | None:
        """Take the first job of a queue that can start, passing over entries that are out of date."""
        heap = self._queues[queue]
        while heap:
            position, job = heappop(heap)
            if self._positions.get(job) == position:
                del self._positions[job]
                return self._waiting.pop(job)
        return None


def _batch(job: Job) -> Hashable:
    return "batch", job.batch_key
