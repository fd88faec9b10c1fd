"""The live work behind a question: estimates and fine-tunings run by the ordinary planner and executor, within a budget of wall time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headwater.harness.data.prepared import Prepared as Data
from headwater.harness.planning.files import Files
from headwater.harness.planning.forecast import forecast
from headwater.harness.planning.job import Job
from headwater.harness.planning.plan import Plan
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.results.predictions import Predictions, predictions_of
from headwater.harness.running.run import Control, Session, Watcher, compare_with_store, execute
from headwater.harness.selecting.rungs import Rung, Sample
from headwater.leaderboard import JobCost, JobState, Store
from headwater.leaderboard.store.records import State
from headwater.registry import Registry, Score, SourceModel
from headwater.registry.errors import StoreMissing
from headwater.registry.evidence.pool import pooled

ESTIMATED = 1000
"""Training images that estimators look at, at most."""

STEP = 5.0
"""What an image costs in a training step, in images looked at: forward, backward, augmentation. Five on a CPU; only the first forecast
of a store rests on it."""

Say = Callable[[str], None]


@dataclass
class Live:
    """What a selector's callbacks do, and what came of it.

    ``spec`` has the task, seeds, recipe and store; ``images``: how many there are to train on; ``sizes``: the subsets to measure on,
    ascending, below all. ``metric`` and ``sign``: what sources are chosen by. Whatever the store holds costs nothing.
    """

    spec: Spec
    registry: Registry
    sources: Mapping[str, SourceModel]
    images: int
    sizes: Sequence[int]
    metric: str
    sign: int
    budget: float
    control: Control
    session: Session
    watcher: Watcher
    say: Say = lambda text: None
    data: Data | None = None
    """The task's images and targets, where they were looked at."""
    began: float = field(default_factory=time.monotonic)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    cells: dict[tuple[str, Rung, int], Job] = field(default_factory=dict)
    """By source, rung and seed: those that are done."""
    extractions: dict[str, Job] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Sources that cannot be used, and why: they are not tried again."""
    unscored: dict[str, dict[str, str]] = field(default_factory=dict)
    unreached: int = 0
    """Sources that were asked for and that the budget did not reach."""

    # -- what a selector is given -------------------------------------------------------------------------

    def spent(self) -> float:
        """Wall seconds since the question was put, whoever used them."""
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        return max(0.0, self.budget - self.spent())

    def estimate(self, estimator: str) -> dict[str, float]:
        """Scores by an estimator, where it is defined; pooled ones over the sources of this question."""
        size = "full" if self.images <= ESTIMATED else ESTIMATED
        seeds = [self.spec.seeds[0]]
        made = self._plan(
            self._usable(self.sources),
            adaptations=[],
            estimators=[estimator],
            sizes=[size],
            seeds=seeds,
        )
        self._run(
            made, list(made.jobs.values()), f"{estimator} on {min(self.images, ESTIMATED):,} images"
        )
        states = self.states()
        scored = [job for job in made.jobs.values() if job.kind == "estimate"]
        for job in made.jobs.values():
            found = states.get(job.id)
            if job.kind == "features" and found and found.state is State.DONE:
                self.extractions[job.record.source] = job
            elif job.kind == "features" and found and found.state in (State.FAILED, State.SKIPPED):
                self.failures.setdefault(job.record.source, found.reason)
            elif job.kind == "estimate" and found and found.state in (State.FAILED, State.SKIPPED):
                self.unscored.setdefault(estimator, {})[job.record.source] = found.reason
        self.scores[estimator] = scaled(
            self._parts(
                [job for job in scored if job.id in states and states[job.id].state is State.DONE]
            )
        )
        return dict(self.scores[estimator])

    def measure(
        self, sources: Sequence[str], *, size: int | None = None, epochs: int | None = None
    ) -> dict[str, float]:
        """Fine-tune and return each source's metric on validation, higher is better, averaged over the seeds."""
        rung = self.rung(size, epochs)
        made = self.cells_of(self._usable(sources), rung)
        words = f"fine-tuning on {'all ' if rung.images == self.images else ''}{rung.images:,} images, {_count(rung.epochs, 'epoch')}"
        self._run(made, self._affordable(made, sources), words)
        self._note(made, rung)
        found = {}
        for source in sources:
            values = self._qualities(
                [
                    self.cells[source, rung, seed]
                    for seed in self.spec.seeds
                    if (source, rung, seed) in self.cells
                ]
            )
            if len(values) == len(self.spec.seeds):
                found[source] = sum(values) / len(values)
        self.unreached += len(
            [source for source in sources if source not in found and source not in self.failures]
        )
        return found

    def rung(self, size: int | None, epochs: int | None) -> Rung:
        """The rung nearest to what was asked for among the sizes of this question, in the logarithm."""
        asked = self.images if size is None else max(1, size)
        near = min((*self.sizes, self.images), key=lambda n: (abs(math.log(n / asked)), n))
        return Rung(near, min(epochs or self.spec.training.epochs, self.spec.training.epochs))

    # -- planning and running -----------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        return Store(self.spec.store)

    def cells_of(self, sources: Sequence[str], rung: Rung) -> Plan:
        """The plan of a rung's cells."""
        size = "full" if rung.images == self.images else rung.images
        return self._plan(
            sources,
            sizes=[size],
            training=self.spec.training.model_copy(update={"epochs": rung.epochs}),
        )

    def _plan(self, sources: Sequence[str], **changes: Any) -> Plan:
        if not sources:
            return Plan(self.spec, self.registry)
        spec = Spec.of(
            {key: getattr(self.spec, key) for key in Spec.model_fields}, sources=sources, **changes
        )
        made = plan(spec, self.registry)
        for (
            name,
            job,
        ) in (
            made.jobs.items()
        ):  # what a task's card says of its images may still hold the test split
            if (
                job.record.size == "full"
                and job.images
                and (counted := made.tasks[job.record.task].images)
            ):
                made.jobs[name] = replace(job, images=round(job.images * self.images / counted))
        return made

    def _usable(self, sources: Iterable[str]) -> list[str]:
        return [source for source in sources if source not in self.failures]

    def _affordable(self, made: Plan, order: Sequence[str]) -> list[Job]:
        """The jobs of the sources that fit in what is left of the budget, in the order they were asked for; those of which nothing
        tells what they cost are let begin, and ended when the budget is."""
        standing = compare_with_store(made, self.control)
        history, used, kept = self.history(), 0.0, dict[str, Job]()
        speed = max(
            (
                spent.images / spent.seconds
                for spent in history
                if spent.kind == "features" and spent.seconds
            ),
            default=0.0,
        )
        for source in order:
            cells = [job for job in made.cells if job.record.source == source]
            needed = {job.id: job for cell in cells for job in (cell, *self._below(cell, made))}
            todo = [job for job in standing.todo if job.id in needed and job.id not in kept]
            cost = forecast(todo, history, made.sources)
            # Without any precedent, what looking at images took tells about what training on them takes.
            seconds = (
                cost.seconds
                if cost.known or not speed
                else sum(STEP * (job.images or 0) / speed for job in todo)
            )
            used += seconds / self.slots
            if seconds and used > self.left:
                break
            kept |= needed
        return list(kept.values())

    def fits(self, sources: Sequence[str], rung: Rung) -> bool:
        """Whether two of the sources, or the only one, are likely to be done within what is left of the budget; not where nothing
        tells what they cost."""
        if not self.history():
            return False
        usable = self._usable(sources)
        made = self.cells_of(usable, rung)
        enough = {
            job.record.source for job in self._affordable(made, usable) if job.kind == "adapt"
        }
        return len(enough) >= min(2, len(usable))

    def _below(self, job: Job, made: Plan) -> Iterator[Job]:
        """The jobs that it needs, and that these need."""
        for need in job.needs:
            yield made.jobs[need]
            yield from self._below(made.jobs[need], made)

    @property
    def slots(self) -> int:
        if self.control.executor == "inline":
            return 1
        resources = self.spec.resources
        return resources.slots or max(1, (os.cpu_count() or 1) // resources.cpus_per_cell)

    def states(self) -> Mapping[str, JobState]:
        """What the store knows of jobs; nothing where the budget ended before there was one."""
        try:
            return self.store.states()
        except StoreMissing:
            return {}

    def history(self) -> list[JobCost]:
        try:
            return self.store.history()
        except StoreMissing:
            return []

    def _run(self, made: Plan, jobs: Collection[Job], words: str) -> None:
        """Run what is left of these jobs, until the budget is spent."""
        standing = compare_with_store(made, self.control)
        wanted = {job.id for job in jobs}
        todo = tuple(job for job in standing.todo if job.id in wanted)
        if not todo or not self.left:
            return
        sources = len({job.record.source for job in todo})
        self.say(f"{words}: {_count(sources, 'source')}, {self.left:.0f} s left")
        control = replace(self.control, deadline=self.began + self.budget)
        execute(replace(standing, todo=todo), control, self.watcher, self.session)

    # -- reading back -------------------------------------------------------------------------------------

    def _note(self, made: Plan, rung: Rung) -> None:
        """Which cells are done, and which sources cannot be used."""
        states = self.states()
        for job in made.jobs.values():
            found, source = states.get(job.id), job.record.source
            if found and found.state is State.DONE and job.kind == "adapt":
                self.cells[source, rung, job.record.seed or 0] = job
            elif found and found.state in (State.FAILED, State.SKIPPED):
                owners = [
                    cell.record.source for cell in made.cells if job.id in (cell.id, *cell.needs)
                ]
                for owner in owners:
                    self.failures.setdefault(owner, found.reason)

    def _qualities(self, jobs: Sequence[Job]) -> list[float]:
        found = self._measured(jobs, "validation")
        return [self.sign * found[job.id][self.metric] for job in jobs]

    def _measured(self, jobs: Iterable[Job], split: str) -> dict[str, dict[str, float]]:
        """Job -> metric -> value."""
        identities = [job.id for job in jobs]
        measured = self.store.metrics(identities) if identities else {}
        return {job: splits[split] for job, splits in measured.items() if split in splits}

    def _parts(self, jobs: Sequence[Job]) -> dict[str, dict[str, float]]:
        found = self._measured(jobs, "train")
        return {job.record.source: found[job.id] for job in jobs if job.id in found}

    def samples(self) -> dict[str, dict[Rung, Sample]]:
        """What was measured, with the answers it rests on."""
        grid: dict[str, dict[Rung, Sample]] = {}
        found = self._measured(self.cells.values(), "validation")
        for source, rung in {(source, rung): None for source, rung, _ in self.cells}:
            jobs = {
                seed: job for (s, r, seed), job in self.cells.items() if (s, r) == (source, rung)
            }
            qualities = {seed: self.sign * found[job.id][self.metric] for seed, job in jobs.items()}
            kept = {seed: self.answers(job, "validation") for seed, job in jobs.items()}
            answers = {seed: answers for seed, answers in kept.items() if answers is not None}
            grid.setdefault(source, {})[rung] = Sample(qualities, answers, self.sign)
        return grid

    def answers(self, job: Job, split: str) -> Predictions | None:
        found = predictions_of(
            job, Files(self.store.files), self.registry, split, prepared=self.data
        )
        return found and replace(found, metric=self.metric)


def scaled(parts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """A score each: of a pooled estimator every part scaled to [0, 1] over the sources, then added up."""
    if all(list(of_source) == ["score"] for of_source in parts.values()):
        return {source: of_source["score"] for source, of_source in parts.items()}
    scores = pooled({source: Score(0.0, parts=of_source) for source, of_source in parts.items()})
    return {source: float(score) for source, score in scores.items()}


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
