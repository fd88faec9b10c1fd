"""Run the estimates and fine-tunings that a selector asks for, within a budget of wall time.

They are ordinary jobs of the planner and the executor, and are recorded like those of a run.
"""

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
from headwater.harness.planning.spec import Spec, Training
from headwater.harness.results.predictions import Predictions, predictions_of
from headwater.harness.running.run import Control, Session, Watcher, compare_with_store, execute
from headwater.harness.selecting.rungs import Rung, Sample
from headwater.leaderboard import JobCost, JobState, Store
from headwater.leaderboard.store.records import State
from headwater.registry import Registry, Score, SourceModel
from headwater.registry.errors import StoreMissing
from headwater.registry.evidence.pool import pooled

MAX_ESTIMATED_IMAGES = 1000
"""Training images that estimators look at, at most."""

TRAINING_COST = 5.0
"""Cost of an image in a training step (forward, backward, augmentation), in images that features
are extracted from. Five on a CPU; only the first forecast of a store rests on it.
"""

Say = Callable[[str], None]


@dataclass
class Live:
    """The work of one question: a selector's callbacks, and the results they leave.

    What the store already holds costs nothing.

    Attributes:
        spec: The task, seeds, recipe and store.
        registry: The plugins.
        sources: The sources of the question, by name.
        images: How many images there are to train on.
        sizes: The subsets to measure on, ascending and smaller than ``images``.
        metric: The metric that sources are chosen by.
        sign: 1 where it should be high, -1 where it should be low.
        budget: Wall seconds to spend.
        control: How jobs are run.
        session: The executor that all jobs share.
        watcher: What shows the jobs.
        say: Prints a line of progress.
        data: The task's images and targets; None where they were not looked at.
        began: When the question was put, on ``time.monotonic``'s clock.
        scores: Estimator -> source -> score.
        cells: The cells that are done, by source, rung and seed.
        extractions: The jobs that extracted features, by source.
        failures: Sources that cannot be used, and why; they are not tried again.
        unscored: Estimator -> source -> why it has no score.
        unreached: How many sources were asked for and not reached by the budget.
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
    began: float = field(default_factory=time.monotonic)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    cells: dict[tuple[str, Rung, int], Job] = field(default_factory=dict)
    extractions: dict[str, Job] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    unscored: dict[str, dict[str, str]] = field(default_factory=dict)
    unreached: int = 0

    # -- what a selector is given -------------------------------------------------------------------------

    def spent(self) -> float:
        """Return the wall seconds since the question was put, whatever used them."""
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Return the seconds that are left of the budget."""
        return max(0.0, self.budget - self.spent())

    def estimate(self, estimator: str) -> dict[str, float]:
        """Return an estimator's scores of the sources where it is defined.

        The parts of a pooled estimator are scaled over the sources of this question.
        """
        images = min(self.images, MAX_ESTIMATED_IMAGES)
        plan = self._plan(
            self._usable(self.sources),
            adaptations=[],
            estimators=[estimator],
            sizes=[self._size(images)],
            seeds=[self.spec.seeds[0]],
        )
        self._run(plan, list(plan.jobs.values()), f"{estimator} on {images:,} images")
        done = self._note_estimates(plan, estimator)
        self.scores[estimator] = scaled(self._parts(done))
        return dict(self.scores[estimator])

    def measure(
        self, sources: Sequence[str], *, size: int | None = None, epochs: int | None = None
    ) -> dict[str, float]:
        """Fine-tune sources as far as the budget allows.

        Args:
            sources: Names, in the order in which the budget goes to them.
            size: Training images; the nearest rung of this question is taken. None: all.
            epochs: Epochs; at most, and by default, those of the recipe.

        Returns:
            The metric on validation, higher is better, a mean over the seeds; for the sources of
            which every seed is done.
        """
        rung = self.rung(size, epochs)
        plan = self.cells_of(self._usable(sources), rung)
        images = f"{rung.images:,} images"
        if rung.images == self.images:
            images = f"all {images}"
        progress = f"fine-tuning on {images}, {_count(rung.epochs, 'epoch')}"
        self._run(plan, self._affordable(plan, sources), progress)
        self._note_cells(plan, rung)
        means: dict[str, float] = {}
        for source in sources:
            jobs: list[Job] = []
            for seed in self.spec.seeds:
                job = self.cells.get((source, rung, seed))
                if job is not None:
                    jobs.append(job)
            # A mean over fewer seeds would stand beside means over all of them as their like.
            if len(jobs) == len(self.spec.seeds):
                qualities = self._qualities(jobs)
                means[source] = sum(qualities) / len(qualities)
            elif source not in self.failures:
                self.unreached += 1
        return means

    def rung(self, size: int | None = None, epochs: int | None = None) -> Rung:
        """Return the rung of this question whose size is nearest in the logarithm.

        Args:
            size: Training images; None: all.
            epochs: Epochs; at most, and by default, those of the recipe on so many images.
        """
        wanted = self.images if size is None else max(1, size)

        def distance(images: int) -> tuple[float, int]:
            # Of two sizes that are as near, the smaller one: it costs less.
            return abs(math.log(images / wanted)), images

        nearest = min((*self.sizes, self.images), key=distance)
        max_epochs = self._full_epochs(nearest)
        return Rung(nearest, min(epochs or max_epochs, max_epochs))

    def _full_epochs(self, images: int) -> int:
        """Return the epochs of the recipe on so many images, validation among them."""
        to_train_on = max(1, round(images * (1 - self.spec.validation)))
        return self.spec.training.epochs_on(to_train_on)

    # -- planning and running -----------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        return Store(self.spec.store)

    def cells_of(self, sources: Sequence[str], rung: Rung) -> Plan:
        """Return the plan of the sources' cells on a rung."""
        training = self._training(rung)
        return self._plan(sources, sizes=[self._size(rung.images)], training=training)

    def _size(self, images: int) -> int | str:
        """Return a number of training images as a spec has it."""
        # "full" where it is all of them: a run that named it has the same jobs.
        return "full" if images == self.images else images

    def _training(self, rung: Rung) -> Training:
        """Return the recipe of a rung: where its epochs are the recipe's own, the recipe itself, so
        that ``headwater run`` shares the outcome.
        """
        if rung.epochs == self._full_epochs(rung.images):
            return self.spec.training
        return self.spec.training.model_copy(update={"epochs": rung.epochs, "min_steps": 0})

    def _plan(self, sources: Sequence[str], **changes: Any) -> Plan:
        """Plan the question's spec with some keys changed."""
        if not sources:
            return Plan(self.spec, self.registry)
        keys = {key: getattr(self.spec, key) for key in Spec.model_fields}
        spec = Spec.of(keys, sources=sources, **changes)
        result = plan(spec, self.registry)
        # The card of a task may count images that the test split takes: what was counted wins.
        for job_id, job in result.jobs.items():
            images_of_card = result.tasks[job.record.task].images
            if job.record.size == "full" and job.images and images_of_card:
                images = round(job.images * self.images / images_of_card)
                result.jobs[job_id] = replace(job, images=images)
        return result

    def _usable(self, sources: Iterable[str]) -> list[str]:
        return [source for source in sources if source not in self.failures]

    def _affordable(self, plan: Plan, order: Sequence[str]) -> list[Job]:
        """Return the jobs of the sources that fit in what is left of the budget.

        Jobs that nothing tells the cost of may begin; they are ended when the budget is.

        Args:
            plan: The jobs of all sources.
            order: The sources, in the order in which the budget goes to them.
        """
        status = compare_with_store(plan, self.control)
        history = self.history()
        extraction_speed = _extraction_speed(history)
        used = 0.0
        affordable: dict[str, Job] = {}
        for source in order:
            needed: dict[str, Job] = {}
            for cell in plan.cells:
                if cell.record.source == source:
                    needed[cell.id] = cell
                    needed |= {job.id: job for job in self._below(cell, plan)}
            # What an earlier source pays for, such as the chain both build on, is paid once.
            todo = [job for job in status.todo if job.id in needed and job.id not in affordable]
            cost = forecast(todo, history, plan.sources)
            seconds = cost.seconds
            if not cost.known and extraction_speed:
                # Without precedent: what looking at images took tells about training on them.
                images = sum(job.images or 0 for job in todo)
                seconds = TRAINING_COST * images / extraction_speed
            used += seconds / self.slots
            if seconds and used > self.left:
                break
            affordable |= needed
        return list(affordable.values())

    def fits(self, sources: Sequence[str], rung: Rung) -> bool:
        """Return whether two of the sources, or the only one, are likely to fit in the budget.

        False where nothing tells what they cost.
        """
        if not self.history():
            return False
        usable = self._usable(sources)
        plan = self.cells_of(usable, rung)
        jobs = self._affordable(plan, usable)
        affordable = {job.record.source for job in jobs if job.kind == "adapt"}
        return len(affordable) >= min(2, len(usable))

    def _below(self, job: Job, plan: Plan) -> Iterator[Job]:
        """Yield the jobs that a job needs, and that these need."""
        for need in job.needs:
            yield plan.jobs[need]
            yield from self._below(plan.jobs[need], plan)

    @property
    def slots(self) -> int:
        """Return how many jobs run at once, for forecasts."""
        if self.control.executor == "inline":
            return 1
        resources = self.spec.resources
        if resources.slots:
            return resources.slots
        cpus = os.cpu_count() or 1
        return max(1, cpus // resources.cpus_per_cell)

    def states(self) -> Mapping[str, JobState]:
        """Return what the store knows of jobs; nothing where the budget ended before there was one."""
        try:
            return self.store.states()
        except StoreMissing:
            return {}

    def history(self) -> list[JobCost]:
        """Return what the store knows of the costs of done jobs."""
        try:
            return self.store.history()
        except StoreMissing:
            return []

    def _run(self, plan: Plan, jobs: Collection[Job], progress: str) -> None:
        """Run the jobs that are not done, until the budget is spent.

        Args:
            plan: The jobs, and more that are not to be run now.
            jobs: The jobs to run.
            progress: What the line of progress calls them.
        """
        status = compare_with_store(plan, self.control)
        wanted = {job.id for job in jobs}
        todo = tuple(job for job in status.todo if job.id in wanted)
        if not todo or not self.left:
            return
        sources = len({job.record.source for job in todo})
        self.say(f"{progress}: {_count(sources, 'source')}, {self.left:.0f} s left")
        control = replace(self.control, deadline=self.began + self.budget)
        execute(replace(status, todo=todo), control, self.watcher, self.session)

    # -- reading back -------------------------------------------------------------------------------------

    def _note_estimates(self, plan: Plan, estimator: str) -> list[Job]:
        """Note which sources failed or have no score; return the estimates that are done."""
        states = self.states()
        done = []
        for job in plan.jobs.values():
            stored = states.get(job.id)
            if stored is None:
                continue
            source = job.record.source
            has_failed = stored.state in (State.FAILED, State.SKIPPED)
            if job.kind == "features" and stored.state is State.DONE:
                self.extractions[source] = job
            elif job.kind == "features" and has_failed:
                self.failures.setdefault(source, stored.reason)
            elif job.kind == "estimate" and stored.state is State.DONE:
                done.append(job)
            elif job.kind == "estimate" and has_failed:
                self.unscored.setdefault(estimator, {})[source] = stored.reason
        return done

    def _note_cells(self, plan: Plan, rung: Rung) -> None:
        """Note which cells are done, and which sources cannot be used."""
        states = self.states()
        for job in plan.jobs.values():
            stored = states.get(job.id)
            if stored is None:
                continue
            if stored.state is State.DONE and job.kind == "adapt":
                self.cells[job.record.source, rung, job.record.seed or 0] = job
            elif stored.state in (State.FAILED, State.SKIPPED):
                for cell in plan.cells:
                    if job.id in (cell.id, *cell.needs):
                        self.failures.setdefault(cell.record.source, stored.reason)

    def _qualities(self, jobs: Sequence[Job]) -> list[float]:
        """Return the metric of each job on validation, higher is better."""
        metrics = self._metrics(jobs, "validation")
        return [self.sign * metrics[job.id][self.metric] for job in jobs]

    def _metrics(self, jobs: Iterable[Job], split: str) -> dict[str, dict[str, float]]:
        """Return job -> metric -> value."""
        identities = [job.id for job in jobs]
        measured = self.store.metrics(identities) if identities else {}
        return {job: splits[split] for job, splits in measured.items() if split in splits}

    def _parts(self, jobs: Sequence[Job]) -> dict[str, dict[str, float]]:
        """Return source -> part of the estimate -> value."""
        metrics = self._metrics(jobs, "train")
        return {job.record.source: metrics[job.id] for job in jobs if job.id in metrics}

    def samples(self) -> dict[str, dict[Rung, Sample]]:
        """Return what was measured, with the predictions that it rests on."""
        metrics = self._metrics(self.cells.values(), "validation")
        jobs: dict[tuple[str, Rung], dict[int, Job]] = {}
        for (source, rung, seed), job in self.cells.items():
            jobs.setdefault((source, rung), {})[seed] = job
        grid: dict[str, dict[Rung, Sample]] = {}
        for (source, rung), by_seed in jobs.items():
            qualities = {}
            predictions = {}
            for seed, job in by_seed.items():
                qualities[seed] = self.sign * metrics[job.id][self.metric]
                stored = self.predictions(job, "validation")
                if stored is not None:
                    predictions[seed] = stored
            grid.setdefault(source, {})[rung] = Sample(qualities, predictions, self.sign)
        return grid

    def predictions(self, job: Job, split: str) -> Predictions | None:
        """Return what a cell's network predicted, under the question's metric; None if not kept."""
        files = Files(self.store.files)
        stored = predictions_of(job, files, self.registry, split, prepared=self.data)
        return stored and replace(stored, metric=self.metric)


def scaled(parts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return a score for each source from the parts of its estimate.

    Of a pooled estimator every part is scaled to [0, 1] over the sources; then they are added up.
    """
    is_pooled = any(list(of_source) != ["score"] for of_source in parts.values())
    if not is_pooled:
        return {source: of_source["score"] for source, of_source in parts.items()}
    # Only the parts count in a pool; the value of each score is what comes out.
    estimates = {source: Score(0.0, parts=of_source) for source, of_source in parts.items()}
    return {source: float(score) for source, score in pooled(estimates).items()}


def _extraction_speed(history: Iterable[JobCost]) -> float:
    """Return the most images a second that features were extracted at; 0 if none were."""
    fastest = 0.0
    for cost in history:
        if cost.kind == "features" and cost.seconds:
            fastest = max(fastest, cost.images / cost.seconds)
    return fastest


def _count(number: int, noun: str) -> str:
    plural = "" if number == 1 else "s"
    return f"{number:,} {noun}{plural}"
