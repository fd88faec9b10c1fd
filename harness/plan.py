"""Planning: a spec becomes a graph of jobs, each with an identity, references included.

Enumeration only: nothing is built, loaded or run here, and neither torch nor ray is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from harness.job import Job
from harness.spec import Spec
from leaderboard.records import JobKind, JobRecord
from registry import Adaptation, Kind, Name, Registry, SourceModel, Task, TaskType
from registry.errors import BadSpec, HeadwaterError
from registry.identity import digest

MEASURE_VERSION = 1
"""Part of every identity; raised when the harness itself measures differently."""


@dataclass(frozen=True)
class Cell:
    """Coordinates of one measurement, before it has an identity."""

    source: SourceModel
    task: Task
    adaptation: str
    size: str
    seed: int


@dataclass
class Plan:
    """Jobs by identity, in an order in which each comes after what it needs."""

    spec: Spec
    registry: Registry
    jobs: dict[str, Job] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Identity -> why it cannot apply."""
    notes: list[str] = field(default_factory=list)
    sources: dict[str, SourceModel] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    @property
    def cells(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.kind is JobKind.ADAPT]


def plan(spec: Spec, registry: Registry | None = None) -> Plan:
    """Enumerate a spec's jobs; raises UnknownName, BadName or BadSpec for what it cannot read."""
    registry = registry or Registry.discover(spec.plugins)
    return _Planner(Plan(spec, registry)).plan()


class _Planner:
    def __init__(self, plan: Plan) -> None:
        self.result = plan
        self.spec = plan.spec
        self.registry = plan.registry

    def plan(self) -> Plan:
        sources = cast(list[SourceModel], self._find(Kind.SOURCE, "sources"))
        tasks = cast(list[Task], self._find(Kind.TASK, "tasks"))
        for index, text in enumerate(self.spec.adaptations):
            with _located(f"adaptations[{index}] = {text!r}"):
                self.registry.adaptation(text)
        for cell in self._cells(sources, tasks):
            self._add_with_references(cell)
        return self.result

    def _find(self, kind: Kind, key: str) -> list[object]:
        found: dict[str, object] = {}
        for index, text in enumerate(getattr(self.spec, key)):
            with _located(f"{key}[{index}] = {text!r}"):
                found |= {card.name: card for card in self.registry.find(kind, text)}
        return list(found.values())

    def _cells(self, sources: Iterable[SourceModel], tasks: Iterable[Task]) -> Iterable[Cell]:
        # Source and task outermost: neighbours in the plan share weights, images and features.
        for task in tasks:
            self._check_task(task)
            for source in sources:
                for adaptation in self.spec.adaptations:
                    for size in self.spec.sizes:
                        for seed in self.spec.seeds:
                            yield Cell(source, task, adaptation, str(size), seed)

    def _check_task(self, task: Task) -> None:
        task_type = self.registry.task_type(task.type)
        try:
            task_type.metric(task.metric)
        except KeyError:
            known = ", ".join(metric.name for metric in task_type.metrics)
            raise BadSpec(
                f"{task.name}: {task.type} has no metric {task.metric!r}", subject=task.name, hint=f"Its metrics: {known}."
            ) from None

    # -- cells and their references -----------------------------------------------------------------------

    def _add_with_references(self, cell: Cell) -> None:
        card, _ = self.registry.adaptation(cell.adaptation)
        cell = self._normal(cell, card)
        self._add_cell(cell)
        if "scratch" in self.spec.references and (scratch := self._scratch_of(cell.source)):
            self._add_cell(self._normal(self._moved(cell, scratch, self._control(cell.adaptation)), card))
        if "base" in self.spec.references and cell.source.chain:
            self._add_cell(self._normal(self._moved(cell, self.registry.source(cell.source.chain.base), cell.adaptation), card))

    def _normal(self, cell: Cell, card: Adaptation) -> Cell:
        """One name for one thing: training all of a random network *is* from_scratch, whatever it was called."""
        if card.from_random and not cell.source.random:
            scratch = self._scratch_of(cell.source)
            return self._moved(cell, scratch, cell.adaptation) if scratch else cell
        if cell.source.random:
            return self._moved(cell, cell.source, self._control(cell.adaptation))
        return cell

    def _moved(self, cell: Cell, source: SourceModel, adaptation: str) -> Cell:
        return Cell(source, cell.task, adaptation, cell.size, cell.seed)

    def _control(self, adaptation: str) -> str:
        """The adaptation that the scratch reference runs, with the options that both have."""
        card, options = self.registry.adaptation(adaptation)
        control, known = self.registry.adaptation(card.control)
        shared = {key: value for key, value in options.items() if key in known and value != known[key]}
        return str(Name.of(control.name, shared))

    def _scratch_of(self, source: SourceModel) -> SourceModel | None:
        if source.random or not source.scratch:
            return source if source.random else None
        try:
            return self.registry.source(source.scratch)
        except HeadwaterError as error:
            note = f"{source.name} has no scratch reference: {error.message}"
            if note not in self.result.notes:
                self.result.notes.append(note)
            return None

    # -- identities ---------------------------------------------------------------------------------------

    def _add_cell(self, cell: Cell) -> None:
        card, options = self.registry.adaptation(cell.adaptation)
        task_type = self.registry.task_type(cell.task.type)
        adaptation = str(Name.of(card.name, {k: v for k, v in options.items() if v != card.options().get(k)}))
        trains = card.on == "images"
        checkpoint = self._pretrain(cell.source)
        setup = self._setup(cell.task, task_type, trains)
        reason = self._why_not(cell, card)
        features = None if trains or reason else self._features(cell, checkpoint)
        record = JobRecord(
            job=digest("adapt", self._weights_of(cell.source, checkpoint), card.code, adaptation, cell.size, cell.seed, setup),
            kind=JobKind.ADAPT,
            source=cell.source.name,
            task=cell.task.name,
            adaptation=adaptation,
            control=self._control(adaptation),
            size=cell.size,
            seed=cell.seed,
            setup=setup,
            metric=task_type.metric(cell.task.metric).name,
            sign=task_type.metric(cell.task.metric).sign,
            options=options,
        )
        if reason:
            self.result.skipped[record.job] = reason
        self._add(record, cell.source, cell.task, trains=trains, checkpoint=checkpoint, features=features)

    def _why_not(self, cell: Cell, card: Adaptation) -> str:
        if card.task_types and cell.task.type not in card.task_types:
            return f"{card.name} is for {', '.join(card.task_types)} tasks, {cell.task.name} is {cell.task.type}"
        if card.from_random and not cell.source.random:
            return f"{cell.source.name} names no random initialisation of its architecture (scratch=…)"
        return ""

    def _setup(self, task: Task, task_type: TaskType, trains: bool) -> str:
        """The hash of what paired cells share besides their coordinates."""
        budget = self.spec.training.model_dump() if trains else None
        return digest(MEASURE_VERSION, task.identity(), task_type.code, self.spec.image_size, self.spec.validation, budget)

    def _weights_of(self, source: SourceModel, checkpoint: str | None) -> object:
        return checkpoint or source.identity()

    def _features(self, cell: Cell, checkpoint: str | None) -> str:
        seed = cell.seed if cell.source.random else None
        weights = self._weights_of(cell.source, checkpoint)
        identity = digest("features", MEASURE_VERSION, weights, cell.task.identity(), self.spec.image_size, seed)
        record = JobRecord(identity, JobKind.FEATURES, cell.source.name, cell.task.name, seed=seed)
        self._add(record, cell.source, cell.task, checkpoint=checkpoint)
        return identity

    def _pretrain(self, source: SourceModel) -> str | None:
        """The job that trains a chain's weights, planned once for all its targets; None for other sources."""
        if source.chain is None:
            return None
        base = self.registry.source(source.chain.base)
        below = self._pretrain(base)
        tasks = [self.registry.task(name) for name in source.chain.tasks]
        for task in tasks:
            self._check_task(task)
        budget = self.spec.pretraining.model_dump()
        parts = [(task.identity(), self.registry.task_type(task.type).code) for task in tasks]
        identity = digest(
            "pretrain", MEASURE_VERSION, self._weights_of(base, below), parts, self.spec.image_size, self.spec.validation, budget
        )
        record = JobRecord(identity, JobKind.PRETRAIN, base.name, "+".join(source.chain.tasks), seed=0)
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
    ) -> None:
        recipe = self.spec.pretraining if record.kind is JobKind.PRETRAIN else self.spec.training
        self.result.sources[source.name] = source
        self.result.tasks |= {task.name: task for task in tasks}
        self.result.jobs.setdefault(
            record.job,
            Job(record, self.spec.image_size, self.spec.validation, recipe if trains else None, checkpoint, features),
        )


class _located:
    """Puts the spec's key before the message of an error in what it names."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HeadwaterError):
            raise type(error)(f"{self.place}: {error.message}", subject=error.subject, hint=error.hint) from None
