"""Planning: a spec becomes a graph of jobs, each with an identity, references included.

Enumeration only: nothing is built, loaded or run here, and neither torch nor ray is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import cast

from harness.analyses import ALONE, BY_PREDICTIONS, check_analyses, other_seed, settings_of, trainings
from harness.chains import chain_name, groups, without_target
from harness.job import Job
from harness.spec import SOURCE_SEED, Spec, Training
from harness.tuning_space import check_space
from leaderboard.records import JobKind, JobRecord
from registry import Adaptation, Kind, Name, Registry, SourceModel, Task, TaskType
from registry.errors import BadSpec, HeadwaterError
from registry.identity import digest
from registry.names import is_glob

MEASURE_VERSION = 1
"""Part of every identity; raised when the harness itself measures differently."""

FEATURES_VERSION = 2
"""Raised when features, or the probabilities beside them, are extracted differently."""

ESTIMATE_VERSION = 1
"""Raised when estimators are shown something else."""

TUNED = 0.5
"""Share of all trials' epochs that early stopping leaves, about: for forecasts only."""


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

    @property
    def goals(self) -> list[Job]:
        """What was asked for; the other jobs run because these need them."""
        return [job for job in self.jobs.values() if job.kind in (JobKind.ADAPT, JobKind.ANALYSE, JobKind.ESTIMATE)]


def plan(spec: Spec, registry: Registry | None = None) -> Plan:
    """Enumerate a spec's jobs; raises UnknownName, BadName or BadSpec for what it cannot read."""
    registry = registry or Registry.discover(spec.plugins)
    with registry.remembering():
        return _Planner(Plan(spec, registry)).plan()


class _Planner:
    def __init__(self, plan: Plan) -> None:
        self.result = plan
        self.spec = plan.spec
        self.registry = plan.registry
        self.pairs: dict[Cell, tuple[str, str | None]] = {}
        """Each cell asked for -> the jobs of itself and of its scratch reference."""
        self._identity_of = cache(lambda task: self.registry.task(task).identity())
        self._control = cache(self._control_of)
        self._pretrain = cache(self._pretraining_of)

    def plan(self) -> Plan:
        check_analyses(self.spec.anatomy)
        tasks = cast(list[Task], self._find(Kind.TASK, "tasks", self.spec.tasks))
        sources = cast(list[SourceModel], self._find(Kind.SOURCE, "sources", self.spec.sources))
        sources += [chain for chain in self._chains(tasks) if chain.name not in {source.name for source in sources}]
        for index, text in enumerate(self.spec.adaptations):
            with _located(f"adaptations[{index}] = {text!r}"):
                self.registry.adaptation(text)
        estimators = self._estimators()
        if self.spec.tuning:
            check_space(self.spec.tuning, [self.registry.adaptation(text)[0] for text in self.spec.adaptations])
        pairs = list(self._pairs(sources, tasks))
        for source, task in pairs:
            for cell in self._cells(source, task):
                self._add_with_references(cell)
            for estimator in estimators:
                self._add_estimates(source, task, estimator)
        for cell, (trained, scratch) in self.pairs.items():
            self._add_analyses(cell, trained, scratch)
        self._note_what_does_nothing()
        return self.result

    def _chains(self, tasks: list[Task]) -> list[SourceModel]:
        """The sources of the spec's [chains]."""
        section = self.spec.chains
        bases = cast(list[SourceModel], self._find(Kind.SOURCE, "chains.bases", section.bases))
        on = cast(list[Task], self._find(Kind.TASK, "chains.tasks", section.tasks)) or tasks
        chosen = groups(section, [task.name for task in on]) if bases else []
        return [self.registry.source(chain_name(base.name, group)) for base in bases for group in chosen]

    def _find(self, kind: Kind, key: str, texts: Iterable[str]) -> list[object]:
        found: dict[str, object] = {}
        for index, text in enumerate(texts):
            with _located(f"{key}[{index}] = {text!r}"):
                found |= {card.name: card for card in self.registry.find(kind, text)}
        return list(found.values())

    def _pairs(self, sources: Iterable[SourceModel], tasks: Iterable[Task]) -> Iterable[tuple[SourceModel, Task]]:
        # Source and task outermost: neighbours in the plan share weights, images and features.
        left_out = 0
        for task in tasks:
            self._check_task(task)
            for asked in sources:
                source = without_target(asked, task, self.registry)
                if source is None:
                    left_out += asked.name in self.spec.sources
                    continue
                yield source, task
        if left_out:
            self.result.notes.append(f"{left_out} pairs of chain and target are left out: the chain was trained on nothing but that target")

    def _cells(self, source: SourceModel, task: Task) -> Iterable[Cell]:
        for adaptation in self.spec.adaptations:
            for size in self.spec.sizes:
                for seed in self.spec.seeds:
                    yield Cell(source, task, adaptation, str(size), seed)

    def _check_task(self, task: Task) -> None:
        if task.moving:
            self._note(f"{task.name}: results are not tied to a version of its data; {task.moving}")
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
        trained, reference = self._add_cell(cell), None
        wants_scratch = "scratch" in self.spec.references or (self.spec.anatomy.analyses and card.on == "images")
        if wants_scratch and (scratch := self._scratch_of(cell.source)):
            reference = self._add_cell(self._normal(self._moved(cell, scratch, self._control(cell.adaptation)), card))
        self.pairs[cell] = trained, reference
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

    def _control_of(self, adaptation: str) -> str:
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
            self._note(f"{source.name} has no scratch reference: {error.message}")
            return None

    # -- identities ---------------------------------------------------------------------------------------

    def _add_cell(self, cell: Cell) -> str:
        """Plan a cell, and what it needs; returns its job."""
        card, options = self.registry.adaptation(cell.adaptation)
        task_type = self.registry.task_type(cell.task.type)
        adaptation = str(Name.of(card.name, {k: v for k, v in options.items() if v != card.options().get(k)}))
        trains = card.on == "images"
        checkpoint = self._pretrain(cell.source.name)
        setup = self._setup(cell.task, task_type, trains)
        reason = self._why_not(cell, card)
        features = None if trains or reason else self._features(cell.source, cell.task, cell.seed, checkpoint)
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
        return record.job

    def _why_not(self, cell: Cell, card: Adaptation) -> str:
        if card.task_types and cell.task.type not in card.task_types:
            return f"{card.name} is for {', '.join(card.task_types)} tasks, {cell.task.name} is {cell.task.type}"
        if card.from_random and not cell.source.random:
            return f"{cell.source.name} names no random initialisation of its architecture (scratch=…)"
        return ""

    def _setup(self, task: Task, task_type: TaskType, trains: bool) -> str:
        """The hash of what paired cells share besides their coordinates."""
        budget = self.spec.training.model_dump() if trains else None
        if trains and self.spec.tuning:
            budget = {"training": budget, "tuning": self.spec.tuning.model_dump()}
        return digest(MEASURE_VERSION, self._identity_of(task.name), task_type.code, self.spec.image_size, self.spec.validation, budget)

    def _weights_of(self, source: SourceModel, checkpoint: str | None) -> object:
        return checkpoint or source.identity()

    def _features(self, source: SourceModel, task: Task, seed: int | None, checkpoint: str | None, size: str = "") -> str:
        """The job that looks at a task's images, or at a subset's."""
        seed = seed if source.random or size else None
        weights = self._weights_of(source, checkpoint)
        identity = digest("features", FEATURES_VERSION, weights, self._identity_of(task.name), self.spec.image_size, seed, size)
        record = JobRecord(identity, JobKind.FEATURES, source.name, task.name, size=size, seed=seed)
        self._add(record, source, task, checkpoint=checkpoint)
        return identity

    # -- estimates ----------------------------------------------------------------------------------------

    def _estimators(self) -> list[str]:
        """The estimators asked for, with their options, in one spelling."""
        found: dict[str, None] = {}
        for index, text in enumerate(self.spec.estimators):
            with _located(f"estimators[{index}] = {text!r}"):
                texts = [card.name for card in self.registry.find(Kind.ESTIMATOR, text)] if is_glob(text) else [text]
                for card, options in map(self.registry.estimator, texts):
                    found[str(Name.of(card.name, {k: v for k, v in options.items() if v != card.options().get(k)}))] = None
        return list(found)

    def _add_estimates(self, source: SourceModel, task: Task, estimator: str) -> None:
        """A source's score for a task, for each size and seed; all images are the same whatever the seed."""
        for size in map(str, self.spec.sizes):
            for seed in self.spec.seeds if size != "full" or source.random else (None,):
                self._add_estimate(source, task, estimator, size, seed)

    def _add_estimate(self, source: SourceModel, task: Task, name: str, size: str, seed: int | None) -> None:
        card, options = self.registry.estimator(name)
        checkpoint = self._pretrain(source.name)
        setup = self._setup(task, self.registry.task_type(task.type), trains=False)
        identity = digest("estimate", ESTIMATE_VERSION, self._weights_of(source, checkpoint), card.code, name, size, seed, setup)
        record = JobRecord(identity, JobKind.ESTIMATE, source.name, task.name, name, size=size, seed=seed, setup=setup, options=options)
        features, extracted = None, self._extracted()
        if task.type in card.task_types:
            features = self._features(source, task, seed, checkpoint, extracted)
        else:
            self.result.skipped[identity] = f"{card.name} is for {', '.join(card.task_types)} tasks, {task.name} is {task.type}"
        self._add(record, source, task, checkpoint=checkpoint, features=features, extracted=extracted)

    def _extracted(self) -> str:
        """The subset whose features serve every size: the largest, or "" where all images are looked at anyway."""
        on_features = any(self.registry.adaptation(text)[0].on == "features" for text in self.spec.adaptations)
        return "" if on_features or "full" in self.spec.sizes else str(max(int(size) for size in self.spec.sizes))

    def _pretraining_of(self, name: str) -> str | None:
        """The job that trains a chain's weights, planned once for all its targets; None for other sources."""
        source = self.registry.source(name)
        if source.chain is None:
            return None
        base = self.registry.source(source.chain.base)
        below = self._pretrain(base.name)
        tasks = [self.registry.task(name) for name in source.chain.tasks]
        for task in tasks:
            self._check_task(task)
        budget = self.spec.pretraining.model_dump()
        parts = [(self._identity_of(task.name), self.registry.task_type(task.type).code) for task in tasks]
        identity = digest(
            "pretrain",
            MEASURE_VERSION,
            SOURCE_SEED,
            self._weights_of(base, below),
            parts,
            self.spec.image_size,
            self.spec.validation,
            budget,
        )
        record = JobRecord(identity, JobKind.PRETRAIN, base.name, "+".join(source.chain.tasks), seed=SOURCE_SEED)
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
    ) -> None:
        recipe = self.spec.pretraining if record.kind is JobKind.PRETRAIN else self.spec.training
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
                tuning=self.spec.tuning if trains and record.kind is JobKind.ADAPT else None,
                images=self._images(record, tasks, recipe if trains else None),
                extracted=extracted,
            ),
        )

    def _images(self, record: JobRecord, tasks: Iterable[Task], recipe: Training | None) -> int | None:
        """How many images a job will about process: its training's, in all epochs and trials, or those it looks at once."""
        counts = [int(record.size)] if record.size.isdigit() else [task.images for task in tasks]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts):
            return None
        passes = (1 - self.spec.validation) * recipe.epochs if recipe else 1.0
        if record.kind is JobKind.ADAPT and recipe and self.spec.tuning:
            passes *= max(1.0, self.spec.tuning.trials * TUNED)
        return round(sum(known) * passes)

    # -- analyses -----------------------------------------------------------------------------------------

    def _add_analyses(self, cell: Cell, trained: str, scratch: str | None) -> None:
        """The analyses of a source's network beside its scratch reference's, and beside those of another seed."""
        if scratch is None or trained == scratch or self.result.jobs[trained].training is None:
            return
        if trained in self.result.skipped or scratch in self.result.skipped:
            return
        roles = {"P-T": trained, "RI-T": scratch}
        other = other_seed(self.spec.seeds, self.spec.seeds.index(cell.seed))
        beside = roles | (self._networks(cell, other, "P-T'", "RI-T'") if other is not None else {})
        for analysis in self.spec.anatomy.analyses:
            self._add_analysis(analysis, roles if analysis in ALONE else beside, cell)

    def _networks(self, cell: Cell, seed: int, trained: str, scratch: str) -> dict[str, str]:
        """The cell's two networks at another seed, under these roles; those that can be."""
        pair = dict(zip((trained, scratch), self.pairs[replace(cell, seed=seed)], strict=True))
        return {role: job for role, job in pair.items() if job and job not in self.result.skipped}

    def _ensemble(self, cell: Cell) -> dict[str, str]:
        """The networks of every other seed, as many pre-trained as not: their disagreement is how ambiguous an image is."""
        found: dict[str, str] = {}
        for seed in sorted(set(self.spec.seeds) - {cell.seed}):
            found |= self._networks(cell, seed, f"P-T of seed {seed}", f"RI-T of seed {seed}")
        return found

    def _kept(self, job: str) -> Job:
        """The job, told to leave its network."""
        self.result.jobs[job] = kept = replace(self.result.jobs[job], keep=True)
        return kept

    def _add_analysis(self, analysis: str, roles: dict[str, str], cell: Cell) -> None:
        if analysis in BY_PREDICTIONS:
            more = {role: job for role, job in self._ensemble(cell).items() if job not in roles.values()}
            cells = {role: self.result.jobs[job] for role, job in (roles | more).items()}
        else:
            cells = {role: self._kept(job) for role, job in roles.items()}
        about = cells["P-T"]
        options = settings_of(self.spec.anatomy, analysis)
        identity = digest("analyse", MEASURE_VERSION, analysis, options, {role: job.id for role, job in cells.items()})
        record = replace(about.record, job=identity, kind=JobKind.ANALYSE, analysis=analysis, options=options)
        trained = trainings(self.spec.anatomy, analysis, self.spec.image_size)
        images = self._images(record, [cell.task], self.spec.training) if trained else about.images
        images = images and images * max(1, trained)
        self.result.jobs.setdefault(identity, replace(about, record=record, cells=cells, keep=False, tuning=None, images=images))

    def _note_what_does_nothing(self) -> None:
        """Sections of the spec that nothing else in it lets work."""
        spec, jobs = self.spec, self.result.jobs.values()
        if spec.tuning and not any(job.tuning for job in jobs):
            self._note("[tuning] changes nothing: no adaptation here trains on images")
        if spec.anatomy.analyses and not any(job.kind is JobKind.ANALYSE for job in jobs):
            self._note("[anatomy] analyses nothing: it takes an adaptation that trains on images, and a source with a scratch reference")
        if spec.chains.attribution != "none" and "base" not in spec.references:
            self._note('chains.attribution tells nothing: its gains are over the base, and references lacks "base"')

    def _note(self, note: str) -> None:
        if note not in self.result.notes:
            self.result.notes.append(note)


class _located:
    """Puts the spec's key before the message of an error in what it names. None of them lets the command begin."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HeadwaterError):
            located = type(error)(f"{self.place}: {error.message}", subject=error.subject, hint=error.hint)
            located.exit_status = BadSpec.exit_status
            raise located from None
