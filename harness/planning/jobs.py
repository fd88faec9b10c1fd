"""Adds jobs to a plan: the identity of each, a hash of all that decides its result, and its needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from headwater.harness.planning.cell import Cell
from headwater.harness.planning.job import Job
from headwater.harness.planning.plan import Plan
from headwater.harness.planning.recipes import recipe_identity
from headwater.harness.planning.spec import SOURCE_SEED, Spec, Training
from headwater.leaderboard.store.records import JobRecord
from headwater.registry import Adaptation, JobKind, Pyramid, Registry, SourceModel, Task, TaskType
from headwater.registry.cards.adaptation import needs_chain
from headwater.registry.errors import BadSpec, WeightsError
from headwater.registry.identity import digest
from headwater.registry.names import Value, split_list
from headwater.registry.options import spelled

MEASURE_VERSION = 5
"""Part of every identity; raised when the harness itself measures differently."""

FEATURES_VERSION = 2
"""Raised when features, or the probabilities beside them, are extracted differently."""

PROBE_VERSION = 2
"""Raised when the places of dense tasks that are scored are drawn differently."""

JOINT_VERSION = 1
"""Raised when training on several tasks, or the choice of its epoch, changes. Chains on one task
keep their identity."""

ESTIMATE_VERSION = 1
"""Raised when estimators are given something else, or what they share (statistics, principal axes,
ranks) is computed differently."""

DENSE_SIZE_STEP = max(Pyramid(()).strides)
"""The image size of a dense task is a multiple of this: each map is half as large as the one
before it."""

SHARE_OF_TRIAL_EPOCHS = 0.5
"""About what early stopping leaves of the epochs of all trials; for forecasts only."""
SHARE_OF_CONVERGENCE = 0.5
"""About how much of its longest budget a training to convergence takes; for forecasts only."""


class Jobs:
    """Adds jobs to a plan, each once, however often it is asked for."""

    def __init__(self, plan: Plan) -> None:
        self.result = plan
        self.spec = plan.spec
        self.registry = plan.registry
        self._identity_of = cache(lambda task: self.registry.task(task).identity())
        self._pretraining = cache(self._pretraining_of)
        self.without_card: set[str] = set()
        """Sources that cannot be looked up, because their weights file is missing."""

    def pretraining(self, name: str, seed: int | None = None) -> str | None:
        """Plan the job that trains a chain's weights, once for all targets; None for other sources.

        Args:
            name: The source.
            seed: The seed of the job that asks: seeds take the trainings of a chain in turn.
        """
        return self._pretraining(name, (seed or 0) % self.spec.chains.seeds)

    def check_task(self, task: Task) -> None:
        """Note that a task's data has no version, if so.

        Raises:
            BadSpec: The image size does not suit the task's type, or the task's metric is unknown.
        """
        if task.unpinned:
            self.result.note(
                f"{task.name}: results are not tied to a version of its data; {task.unpinned}"
            )
        task_type = self.registry.task_type(task.type)
        image_size = self.spec.image_size
        if task_type.dense and image_size % DENSE_SIZE_STEP:
            below = max(DENSE_SIZE_STEP, image_size // DENSE_SIZE_STEP * DENSE_SIZE_STEP)
            raise BadSpec(
                f"{task.name}: {task.type} takes an image_size that is a multiple of "
                f"{DENSE_SIZE_STEP}, not {image_size}",
                subject=task.name,
                hint=f"--image-size {below}, or {below + DENSE_SIZE_STEP}",
            )
        try:
            task_type.metric(task.metric)
        except KeyError:
            names = ", ".join(metric.name for metric in task_type.metrics)
            raise BadSpec(
                f"{task.name}: {task.type} has no metric {task.metric!r}",
                subject=task.name,
                hint=f"Its metrics: {names}.",
            ) from None

    # -- cells --------------------------------------------------------------------------------------------

    def add_cell(self, cell: Cell, control: str, converged: str = "") -> str:
        """Plan a cell and the jobs that it needs.

        Args:
            cell: The coordinates.
            control: The adaptation, with options, that the scratch reference of the cell runs.
            converged: The one that the reference trained to convergence runs; "" for none.

        Returns:
            The identity of the cell's job.
        """
        card, options = self.registry.adaptation(cell.adaptation)
        task_type = self.registry.task_type(cell.task.type)
        adaptation = spelled(card.name, options, card.options())
        trains = card.on == "images"
        checkpoint = self.pretraining(cell.source.name, cell.seed)
        protocol = self.protocol(cell.task, task_type, trains)
        reason = self._why_not(cell, card)
        features = None
        if not trains and not reason:
            features = self._features(cell.source, cell.task, cell.seed, checkpoint)
        extra_weights, extra_checkpoints = self._extra_sources(card, options, cell.seed)
        # All that decides the result, in an order that must stay: the hash is over the list.
        parts: list[Any] = [
            "adapt",
            self._weights_of(cell.source, checkpoint),
            card.code,
            adaptation,
            cell.size,
            cell.seed,
            protocol,
        ]
        identity = digest(*parts, *extra_weights)
        metric = task_type.metric(cell.task.metric)
        record = JobRecord(
            job=identity,
            kind="adapt",
            source=cell.source.name,
            task=cell.task.name,
            adaptation=adaptation,
            control=control,
            converged=converged,
            size=cell.size,
            seed=cell.seed,
            protocol=protocol,
            metric=metric.name,
            sign=metric.sign,
            options=options,
            unit=metric.unit_on(cell.task),
            lowest=_bound(metric.low),
            highest=_bound(metric.high),
        )
        if reason:
            self.result.skipped[identity] = reason
        training = self.spec.training if trains else None
        # A reference that trains until it has converged follows the recipe as it stands.
        is_tuned = trains and int(options.get("converge", 1)) == 1
        tuning = self.spec.tuning if is_tuned else None
        self._add(
            Job(
                record=record,
                image_size=self.spec.image_size,
                validation=self.spec.validation,
                training=training,
                checkpoint=checkpoint,
                features=features,
                tuning=tuning,
                images=self.images(record, [cell.task], training),
                extra_checkpoints=extra_checkpoints,
            ),
            cell.source,
            [cell.task],
        )
        return identity

    def _extra_sources(
        self, card: Adaptation, options: Mapping[str, Value], seed: int
    ) -> tuple[list[object], dict[str, str]]:
        """Return the weights of the further sources that an adaptation names.

        Returns:
            The identities of the weights, and for each source that is a chain the job that
            trains it.
        """
        names: list[str] = []
        if card.extra_sources_option:
            names = split_list(str(options.get(card.extra_sources_option) or ""), "+")
        weights: dict[str, object] = {}
        checkpoints: dict[str, str] = {}
        for name in names:
            source = self.registry.source(name)
            checkpoint = self.pretraining(name, seed)
            weights[source.name] = self._weights_of(source, checkpoint)
            if checkpoint:
                checkpoints[source.name] = checkpoint
        return list(weights.values()), checkpoints

    def _why_not(self, cell: Cell, card: Adaptation) -> str:
        """Return why an adaptation does not apply to a cell; "" if it does."""
        source, task = cell.source, cell.task
        if card.labels and self.registry.task_type(task.type).labels not in card.labels:
            kinds = " or ".join(card.labels)
            return f"{card.name} is for targets that are {kinds}, {task.name} is {task.type}"
        reads_vectors = card.pooled or card.on == "features"
        if reads_vectors and self.registry.task_type(task.type).dense:
            return f"{card.name} works on vectors of features, {task.type} takes maps"
        if card.from_random and not source.random:
            return f"{source.name} names no random initialisation of its architecture (scratch=…)"
        if card.needs_source and not source.chain:
            return needs_chain(card.name, source).message
        if self.spec.tuning and card.on == "images":
            _, options = self.registry.adaptation(cell.adaptation)
            if not card.sees_labels(options):
                return (
                    f"{card.name} without the target's labels cannot be tuned: trials are chosen "
                    "by labels"
                )
        return ""

    def protocol(self, task: Task, task_type: TaskType, trains: bool) -> str:
        """Return the hash of what paired cells share besides their coordinates."""
        budget = self.spec.training.model_dump() if trains else None
        if trains and self.spec.tuning:
            budget = {"training": budget, "tuning": self.spec.tuning.model_dump()}
        if trains:
            budget = {"recipe": recipe_identity(), "budget": budget}
        # Without the adaptation: a gain pairs two of them, which must share the protocol.
        parts: list[Any] = [
            MEASURE_VERSION,
            self._identity_of(task.name),
            task_type.code,
            self.spec.image_size,
            self.spec.validation,
            budget,
        ]
        return digest(*parts)

    def _weights_of(self, source: SourceModel, checkpoint: str | None) -> object:
        """Return what stands for a source's weights in an identity.

        The job that trained a chain hashes all that decides its weights, so its identity does.
        """
        if checkpoint:
            return checkpoint
        try:
            return source.identity()
        except WeightsError as error:
            # One source must not hold up the others: its jobs fail on the worker, with this reason.
            self.result.note(error.message)
            return source.name, source.code, "no weights file"

    # -- features and estimates ---------------------------------------------------------------------------

    def _features(
        self,
        source: SourceModel,
        task: Task,
        seed: int | None,
        checkpoint: str | None,
        *,
        size: str = "",
    ) -> str:
        """Plan the job that extracts the features of a task's images, or of a subset of them."""
        task_type = self.registry.task_type(task.type)
        # The features of all images depend on the seed only through random weights.
        seed = seed if source.random or size else None
        parts: list[Any] = [
            "features",
            FEATURES_VERSION,
            self._weights_of(source, checkpoint),
            self._identity_of(task.name),
            self.spec.image_size,
            seed,
            size,
        ]
        if size and task_type.probed_as:
            # The task type's code draws the places, which no other features depend on.
            parts += [PROBE_VERSION, task_type.code]
        identity = digest(*parts)
        record = JobRecord(
            job=identity,
            kind="features",
            source=source.name,
            task=task.name,
            size=size,
            seed=seed,
        )
        self._add(self._job(record, [task], checkpoint), source, [task])
        return identity

    def add_estimate(
        self, source: SourceModel, task: Task, name: str, *, size: str, seed: int | None
    ) -> None:
        """Plan the score of a source by an estimator, and the job that extracts the features.

        Args:
            source: The source to score.
            task: The target.
            name: The estimator with its options.
            size: Training images: ``"50"`` or ``"full"``.
            seed: The seed of the subset; None for all images.
        """
        card, options = self.registry.estimator(name)
        checkpoint = self.pretraining(source.name, seed)
        task_type = self.registry.task_type(task.type)
        protocol = self.protocol(task, task_type, trains=False)
        parts: list[Any] = [
            "estimate",
            ESTIMATE_VERSION,
            self._weights_of(source, checkpoint),
            card.code,
            name,
            size,
            seed,
            protocol,
        ]
        if task_type.probed_as:
            parts.append(PROBE_VERSION)
        identity = digest(*parts)
        record = JobRecord(
            job=identity,
            kind="estimate",
            source=source.name,
            task=task.name,
            adaptation=name,
            size=size,
            seed=seed,
            protocol=protocol,
            options=options,
        )
        # The places of a subset that are scored are drawn from that subset, so the features of a
        # larger one do not serve it.
        extracted = size if task_type.probed_as else self._extracted()
        features = None
        if task_type.scored_as in card.labels:
            features = self._features(source, task, seed, checkpoint, size=extracted)
        else:
            scored_as = f", scored by its {task_type.scored_as}" if task_type.scored_as else ""
            self.result.skipped[identity] = (
                f"{card.name} scores {' or '.join(card.labels)}, "
                f"{task.name} is {task.type}{scored_as}"
            )
        job = self._job(record, [task], checkpoint, features=features, extracted=extracted)
        self._add(job, source, [task])

    def _extracted(self) -> str:
        """Return the subset whose features serve every size: the largest; "" for all images.

        All images are looked at if an adaptation on features, or the size "full", needs them.
        """
        if "full" in self.spec.sizes:
            return ""
        for text in self.spec.adaptations:
            card, _ = self.registry.adaptation(text)
            if card.on == "features":
                return ""
        return str(max(int(size) for size in self.spec.sizes))

    # -- chains -------------------------------------------------------------------------------------------

    def _pretraining_of(self, name: str, training_index: int) -> str | None:
        """Plan the training of a chain's weights that has this index, from 0."""
        if name in self.without_card:
            return None
        source = self.registry.source(name)
        if source.chain is None:
            return None
        base = self.registry.source(source.chain.base)
        base_checkpoint = self.pretraining(base.name, training_index)
        source_seed = SOURCE_SEED - training_index
        tasks = [self.registry.task(task) for task in source.chain.tasks]
        for task in tasks:
            self.check_task(task)
        task_parts: list[tuple[object, str]] = []
        for task in tasks:
            task_type = self.registry.task_type(task.type)
            task_parts.append((self._identity_of(task.name), task_type.code))
        training = self.spec.pretraining
        parts: list[Any] = [
            "pretrain",
            MEASURE_VERSION,
            source_seed,
            recipe_identity(),
            self._weights_of(base, base_checkpoint),
            task_parts,
            self.spec.image_size,
            self.spec.validation,
            training.model_dump(),
        ]
        if len(tasks) > 1:
            # Only here, so that a new version leaves the checkpoints of single tasks valid.
            parts.append(JOINT_VERSION)
        identity = digest(*parts)
        record = JobRecord(
            job=identity,
            kind="pretrain",
            source=base.name,
            task="+".join(source.chain.tasks),
            seed=source_seed,
        )
        self._add(self._job(record, tasks, base_checkpoint, training=training), base, tasks)
        return identity

    # -- kinds from outside -------------------------------------------------------------------------------

    def add_job(
        self,
        kind: JobKind,
        source: SourceModel,
        task: Task,
        *,
        size: str = "",
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """Plan a job of a kind that brings its own ``plan``; see ``registry.Planning.add``."""
        checkpoint = self.pretraining(source.name, seed)
        task_type = self.registry.task_type(task.type)
        protocol = self.protocol(task, task_type, trains=False)
        settings = dict(options or {})
        parts: list[Any] = [
            kind.name,
            kind.code,
            self._weights_of(source, checkpoint),
            size,
            seed,
            protocol,
            settings,
        ]
        identity = digest(*parts)
        record = JobRecord(
            job=identity,
            kind=kind.name,
            source=source.name,
            task=task.name,
            size=size,
            seed=seed,
            protocol=protocol,
            options=settings,
        )
        self._add(self._job(record, [task], checkpoint), source, [task])
        return identity

    # -- all kinds ----------------------------------------------------------------------------------------

    def _job(
        self,
        record: JobRecord,
        tasks: Sequence[Task],
        checkpoint: str | None,
        *,
        training: Training | None = None,
        features: str | None = None,
        extracted: str = "",
    ) -> Job:
        return Job(
            record=record,
            image_size=self.spec.image_size,
            validation=self.spec.validation,
            training=training,
            checkpoint=checkpoint,
            features=features,
            images=self.images(record, tasks, training),
            extracted=extracted,
        )

    def _add(self, job: Job, source: SourceModel, tasks: Iterable[Task]) -> None:
        self.result.sources[source.name] = source
        self.result.tasks |= {task.name: task for task in tasks}
        self.result.add(job)

    def images(
        self, record: JobRecord, tasks: Iterable[Task], training: Training | None
    ) -> int | None:
        """Return about how many images a job processes; None if a task's number is not known.

        Args:
            record: The job; its size, if a number, is the number of training images.
            tasks: The tasks whose images it looks at.
            training: The recipe, of which all epochs and trials count; None: one look.
        """
        if record.size.isdigit():
            counts: list[int | None] = [int(record.size)]
        else:
            counts = [task.images for task in tasks]
        total = 0
        for count in counts:
            if count is None:
                return None
            total += count
        return round(total * self._passes(record, training, total))

    def _passes(self, record: JobRecord, training: Training | None, images: int) -> float:
        """Return how often each of so many images is processed."""
        if training is None:
            return 1.0
        share = 1 - self.spec.validation
        count = int(record.size) if record.size.isdigit() else (images or 1)
        passes = share * training.epochs_on(max(1, round(share * count)))
        converge = int(record.options.get("converge", 1))
        if converge > 1:
            return passes * max(1.0, converge * SHARE_OF_CONVERGENCE)
        # Only cells are searched; a chain is trained once, by [pretraining].
        tuning = self.spec.tuning
        if record.kind == "adapt" and tuning:
            # A grid's trials are all of full length.
            share_of_trials = 1.0 if tuning.search == "grid" else SHARE_OF_TRIAL_EPOCHS
            passes *= max(1.0, tuning.count * share_of_trials)
        return passes * 2 if training.refit else passes


def _bound(value: float) -> float | None:
    """Return a bound as the store has it; None for one that is infinite."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class KindPlanning:
    """Adds the jobs of one job kind to a plan: what its ``plan`` is called with.

    Implements ``registry.Planning``, which documents the public methods.

    Attributes:
        kind: The job kind.
        jobs: Adds jobs to the plan.
        pairs: Every source and target of the spec.
    """

    kind: JobKind
    jobs: Jobs
    pairs: Sequence[tuple[SourceModel, Task]]

    @property
    def spec(self) -> Spec:
        return self.jobs.spec

    @property
    def registry(self) -> Registry:
        return self.jobs.registry

    def add(
        self,
        source: SourceModel,
        task: Task,
        *,
        size: str = "",
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """Plan one job of the kind; see ``registry.Planning.add``."""
        return self.jobs.add_job(self.kind, source, task, size=size, seed=seed, options=options)
