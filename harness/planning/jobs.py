"""A plan's jobs: the identity of each, a hash of all that decides its result, and what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from headwater.harness.planning.cell import Cell
from headwater.harness.planning.job import Job
from headwater.harness.planning.spec import SOURCE_SEED, Training
from headwater.leaderboard.store.records import JobRecord
from headwater.registry import Adaptation, Pyramid, SourceModel, Task, TaskType
from headwater.registry.errors import BadSpec
from headwater.registry.identity import digest
from headwater.registry.names import Value, split_list
from headwater.registry.options import spelled

if TYPE_CHECKING:
    from headwater.harness.planning.plan import Plan

MEASURE_VERSION = 3
"""Part of every identity; raised when the harness itself measures differently."""

FEATURES_VERSION = 2
"""Raised when features, or the probabilities beside them, are extracted differently."""

PROBE_VERSION = 2
"""Raised when the places of dense tasks that are scored are drawn differently."""

JOINT_VERSION = 1
"""Raised when several tasks are trained on, or their epoch is chosen, differently; alone they are not measured anew."""

ESTIMATE_VERSION = 1
"""Raised when estimators are shown something else, or what they share (statistics, principal axes, ranks) is computed differently."""

MULTIPLE = max(Pyramid(()).strides)
"""Of which a dense task's image size is one: each of its maps is then half as large as the one before."""

TUNED = 0.5
"""Share of all trials' epochs that early stopping leaves, about: for forecasts only."""


class Jobs:
    """Adds jobs to a plan, each once, however often it is asked for."""

    def __init__(self, plan: Plan) -> None:
        self.result, self.spec, self.registry = plan, plan.spec, plan.registry
        self._identity_of = cache(lambda task: self.registry.task(task).identity())
        self.pretraining = cache(self._pretraining_of)

    def check_task(self, task: Task) -> None:
        if task.unpinned:
            self.result.note(
                f"{task.name}: results are not tied to a version of its data; {task.unpinned}"
            )
        task_type = self.registry.task_type(task.type)
        if task_type.dense and self.spec.image_size % MULTIPLE:
            below = max(MULTIPLE, self.spec.image_size // MULTIPLE * MULTIPLE)
            raise BadSpec(
                f"{task.name}: {task.type} takes an image_size that is a multiple of {MULTIPLE}, not {self.spec.image_size}",
                subject=task.name,
                hint=f"--image-size {below}, or {below + MULTIPLE}",
            )
        try:
            task_type.metric(task.metric)
        except KeyError:
            known = ", ".join(metric.name for metric in task_type.metrics)
            raise BadSpec(
                f"{task.name}: {task.type} has no metric {task.metric!r}",
                subject=task.name,
                hint=f"Its metrics: {known}.",
            ) from None

    def add_cell(self, cell: Cell, control: str) -> str:
        """Plan a cell, and what it needs; returns its job."""
        card, options = self.registry.adaptation(cell.adaptation)
        task_type = self.registry.task_type(cell.task.type)
        adaptation = spelled(card.name, options, card.options())
        trains = card.on == "images"
        checkpoint = self.pretraining(cell.source.name)
        protocol = self.protocol(cell.task, task_type, trains)
        reason = self._why_not(cell, card)
        features = (
            None
            if trains or reason
            else self._features(cell.source, cell.task, cell.seed, checkpoint)
        )
        others, beside = self._others(card, options)
        parts = (
            self._weights_of(cell.source, checkpoint),
            card.code,
            adaptation,
            cell.size,
            cell.seed,
            protocol,
            *others,
        )
        record = JobRecord(
            job=digest("adapt", *parts),
            kind="adapt",
            source=cell.source.name,
            task=cell.task.name,
            adaptation=adaptation,
            control=control,
            size=cell.size,
            seed=cell.seed,
            protocol=protocol,
            metric=task_type.metric(cell.task.metric).name,
            sign=task_type.metric(cell.task.metric).sign,
            options=options,
        )
        if reason:
            self.result.skipped[record.job] = reason
        self._add(
            record,
            cell.source,
            cell.task,
            trains=trains,
            checkpoint=checkpoint,
            features=features,
            beside=beside,
        )
        return record.job

    def _others(
        self, card: Adaptation, options: Mapping[str, Value]
    ) -> tuple[list[object], dict[str, str]]:
        """Weights of the further sources that an adaptation names, and the jobs that train those that are chains."""
        names = (
            split_list(str(options.get(card.extra_sources_option) or ""), "+")
            if card.extra_sources_option
            else []
        )
        trained = {self.registry.source(name).name: self.pretraining(name) for name in names}
        weights = [
            self._weights_of(self.registry.source(name), checkpoint)
            for name, checkpoint in trained.items()
        ]
        return weights, {name: checkpoint for name, checkpoint in trained.items() if checkpoint}

    def _why_not(self, cell: Cell, card: Adaptation) -> str:
        if card.task_types and cell.task.type not in card.task_types:
            return f"{card.name} is for {', '.join(card.task_types)} tasks, {cell.task.name} is {cell.task.type}"
        if (card.pooled or card.on == "features") and self.registry.task_type(cell.task.type).dense:
            return f"{card.name} works on vectors of features, {cell.task.type} takes maps"
        if card.from_random and not cell.source.random:
            return (
                f"{cell.source.name} names no random initialisation of its architecture (scratch=…)"
            )
        if card.needs_source and not cell.source.chain:
            return f"{card.name}: {cell.source.name} has no registered data, as a chain has"
        if (
            self.spec.tuning
            and card.on == "images"
            and not card.sees_labels(self.registry.adaptation(cell.adaptation)[1])
        ):
            return f"{card.name} without the target's labels cannot be tuned: trials are chosen by labels"
        return ""

    def protocol(self, task: Task, task_type: TaskType, trains: bool) -> str:
        """The hash of what paired cells share besides their coordinates."""
        budget = self.spec.training.model_dump() if trains else None
        if trains and self.spec.tuning:
            budget = {"training": budget, "tuning": self.spec.tuning.model_dump()}
        return digest(
            MEASURE_VERSION,
            self._identity_of(task.name),
            task_type.code,
            self.spec.image_size,
            self.spec.validation,
            budget,
        )

    def _weights_of(self, source: SourceModel, checkpoint: str | None) -> object:
        return checkpoint or source.identity()

    def _features(
        self,
        source: SourceModel,
        task: Task,
        seed: int | None,
        checkpoint: str | None,
        size: str = "",
    ) -> str:
        """The job that looks at a task's images, or at a subset's."""
        seed = seed if source.random or size else None
        weights = self._weights_of(source, checkpoint)
        task_type = self.registry.task_type(task.type)
        probed = (PROBE_VERSION, task_type.code) if size and task_type.probed_as else ()
        identity = digest(
            "features",
            FEATURES_VERSION,
            weights,
            self._identity_of(task.name),
            self.spec.image_size,
            seed,
            size,
            *probed,
        )
        record = JobRecord(identity, "features", source.name, task.name, size=size, seed=seed)
        self._add(record, source, task, checkpoint=checkpoint)
        return identity

    def add_estimate(
        self, source: SourceModel, task: Task, name: str, size: str, seed: int | None
    ) -> None:
        """Plan a source's score by an estimator, and the job that extracts the features it looks at."""
        card, options = self.registry.estimator(name)
        checkpoint = self.pretraining(source.name)
        task_type = self.registry.task_type(task.type)
        protocol = self.protocol(task, task_type, trains=False)
        probed = (PROBE_VERSION,) if task_type.probed_as else ()
        weights = self._weights_of(source, checkpoint)
        identity = digest(
            "estimate", ESTIMATE_VERSION, weights, card.code, name, size, seed, protocol, *probed
        )
        record = JobRecord(
            identity,
            "estimate",
            source.name,
            task.name,
            name,
            size=size,
            seed=seed,
            protocol=protocol,
            options=options,
        )
        # What is drawn to be scored of a subset is its own: a larger one's features do not serve it.
        features, extracted = None, size if task_type.probed_as else self._extracted()
        if (task_type.probed_as or task.type) in card.task_types:
            features = self._features(source, task, seed, checkpoint, extracted)
        else:
            scored = f", scored as {task_type.probed_as}" if task_type.probed_as else ""
            self.result.skipped[identity] = (
                f"{card.name} is for {', '.join(card.task_types)} tasks, {task.name} is {task.type}{scored}"
            )
        self._add(
            record, source, task, checkpoint=checkpoint, features=features, extracted=extracted
        )

    def _extracted(self) -> str:
        """The subset whose features serve every size: the largest, or "" where all images are looked at anyway."""
        on_features = any(
            self.registry.adaptation(text)[0].on == "features" for text in self.spec.adaptations
        )
        return (
            ""
            if on_features or "full" in self.spec.sizes
            else str(max(int(size) for size in self.spec.sizes))
        )

    def _pretraining_of(self, name: str) -> str | None:
        """The job that trains a chain's weights, planned once for all its targets; None for other sources."""
        source = self.registry.source(name)
        if source.chain is None:
            return None
        base = self.registry.source(source.chain.base)
        below = self.pretraining(base.name)
        tasks = [self.registry.task(name) for name in source.chain.tasks]
        for task in tasks:
            self.check_task(task)
        budget = self.spec.pretraining.model_dump()
        parts = [
            (self._identity_of(task.name), self.registry.task_type(task.type).code)
            for task in tasks
        ]
        identity = digest(
            "pretrain",
            MEASURE_VERSION,
            SOURCE_SEED,
            self._weights_of(base, below),
            parts,
            self.spec.image_size,
            self.spec.validation,
            budget,
            *([JOINT_VERSION] if len(tasks) > 1 else []),
        )
        record = JobRecord(
            identity, "pretrain", base.name, "+".join(source.chain.tasks), seed=SOURCE_SEED
        )
        self._add(record, base, *tasks, trains=True, checkpoint=below)
        return identity

    def _add(
        self,
        record: JobRecord,
        source: SourceModel,
        *tasks: Task,
        trains: bool = False,
        checkpoint: str | None = None,
        features: str | None = None,
        extracted: str = "",
        beside: Mapping[str, str] | None = None,
    ) -> None:
        recipe = self.spec.pretraining if record.kind == "pretrain" else self.spec.training
        self.result.sources[source.name] = source
        self.result.tasks |= {task.name: task for task in tasks}
        self.result.jobs.setdefault(
            record.job,
            Job(
                record,
                self.spec.image_size,
                self.spec.validation,
                recipe if trains else None,
                checkpoint,
                features,
                tuning=self.spec.tuning if trains and record.kind == "adapt" else None,
                images=self.images(record, tasks, recipe if trains else None),
                extracted=extracted,
                beside=beside or {},
            ),
        )

    def images(
        self, record: JobRecord, tasks: Iterable[Task], recipe: Training | None
    ) -> int | None:
        """How many images a job will about process: its training's, in all epochs and trials, or those it looks at once."""
        counts = [int(record.size)] if record.size.isdigit() else [task.images for task in tasks]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts):
            return None
        passes = (1 - self.spec.validation) * recipe.epochs if recipe else 1.0
        if record.kind == "adapt" and recipe and self.spec.tuning:
            passes *= max(1.0, self.spec.tuning.trials * TUNED)
        return round(sum(known) * passes)
