"""Planning: a spec becomes a graph of jobs, each with an identity, references included.

Enumeration only: nothing is built, loaded or run here, and neither torch nor ray is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import cast

from headwater.harness.planning.analyses import (
    ALONE,
    BY_PREDICTIONS,
    check_analyses,
    other_seed,
    settings_of,
    trainings,
)
from headwater.harness.planning.cell import Cell
from headwater.harness.planning.chains import chain_name, groups, without_target
from headwater.harness.planning.job import Job
from headwater.harness.planning.jobs import MEASURE_VERSION, Jobs
from headwater.harness.planning.plan import Plan
from headwater.harness.planning.spec import Spec
from headwater.harness.planning.tuning_space import check_space
from headwater.registry import Adaptation, Kind, Name, Registry, SourceModel, Task
from headwater.registry.errors import BadSpec, HeadwaterError
from headwater.registry.identity import digest
from headwater.registry.names import is_glob
from headwater.registry.options import spelled


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
        self.jobs = Jobs(plan)
        self._control = cache(self._control_of)

    def plan(self) -> Plan:
        check_analyses(self.spec.anatomy)
        tasks = cast(list[Task], self._find(Kind.TASK, "tasks", self.spec.tasks))
        sources = cast(list[SourceModel], self._find(Kind.SOURCE, "sources", self.spec.sources))
        sources += [
            chain
            for chain in self._chains(tasks)
            if chain.name not in {source.name for source in sources}
        ]
        for index, text in enumerate(self.spec.adaptations):
            with _located(f"adaptations[{index}] = {text!r}"):
                self.registry.adaptation(text)
        estimators = self._estimators()
        if self.spec.tuning:
            check_space(
                self.spec.tuning,
                [self.registry.adaptation(text)[0] for text in self.spec.adaptations],
            )
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
        return [
            self.registry.source(chain_name(base.name, group)) for base in bases for group in chosen
        ]

    def _find(self, kind: Kind, key: str, texts: Iterable[str]) -> list[object]:
        found: dict[str, object] = {}
        for index, text in enumerate(texts):
            with _located(f"{key}[{index}] = {text!r}"):
                found |= {card.name: card for card in self.registry.find(kind, text)}
        return list(found.values())

    def _pairs(
        self, sources: Iterable[SourceModel], tasks: Iterable[Task]
    ) -> Iterable[tuple[SourceModel, Task]]:
        # Source and task outermost: neighbours in the plan share weights, images and features.
        left_out = 0
        for task in tasks:
            self.jobs.check_task(task)
            for asked in sources:
                source = without_target(asked, task, self.registry)
                if source is None:
                    left_out += asked.name in self.spec.sources
                    continue
                yield source, task
        if left_out:
            self.result.notes.append(
                f"{left_out} pairs of chain and target are left out: the chain was trained on nothing but that target"
            )

    def _cells(self, source: SourceModel, task: Task) -> Iterable[Cell]:
        for adaptation in self.spec.adaptations:
            for size in self.spec.sizes:
                for seed in self.spec.seeds:
                    yield Cell(source, task, adaptation, str(size), seed)

    # -- cells and their references -----------------------------------------------------------------------

    def _add_with_references(self, cell: Cell) -> None:
        card, _ = self.registry.adaptation(cell.adaptation)
        cell = self._normal(cell, card)
        trained, reference = self._add(cell), None
        wants_scratch = "scratch" in self.spec.references or (
            self.spec.anatomy.analyses and card.on == "images"
        )
        if wants_scratch and (scratch := self._scratch_of(cell.source)):
            reference = self._add(
                self._normal(self._moved(cell, scratch, self._control(cell.adaptation)), card)
            )
        self.pairs[cell] = trained, reference
        if "base" in self.spec.references and cell.source.chain:
            self._add(
                self._normal(
                    self._moved(
                        cell, self.registry.source(cell.source.chain.base), cell.adaptation
                    ),
                    card,
                )
            )

    def _add(self, cell: Cell) -> str:
        return self.jobs.add_cell(cell, self._control(cell.adaptation))

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
        shared = {
            key: value for key, value in options.items() if key in known and value != known[key]
        }
        return str(Name.of(control.name, shared))

    def _scratch_of(self, source: SourceModel) -> SourceModel | None:
        if source.random or not source.scratch:
            return source if source.random else None
        try:
            return self.registry.source(source.scratch)
        except HeadwaterError as error:
            self.result.note(f"{source.name} has no scratch reference: {error.message}")
            return None

    # -- estimates ----------------------------------------------------------------------------------------

    def _estimators(self) -> list[str]:
        """The estimators asked for, with their options, in one spelling."""
        found: dict[str, None] = {}
        for index, text in enumerate(self.spec.estimators):
            with _located(f"estimators[{index}] = {text!r}"):
                texts = (
                    [card.name for card in self.registry.find(Kind.ESTIMATOR, text)]
                    if is_glob(text)
                    else [text]
                )
                for card, options in map(self.registry.estimator, texts):
                    found[spelled(card.name, options, card.options())] = None
        return list(found)

    def _add_estimates(self, source: SourceModel, task: Task, estimator: str) -> None:
        """A source's score for a task, for each size and seed; all images are the same whatever the seed."""
        for size in map(str, self.spec.sizes):
            for seed in self.spec.seeds if size != "full" or source.random else (None,):
                self.jobs.add_estimate(source, task, estimator, size, seed)

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
            more = {
                role: job for role, job in self._ensemble(cell).items() if job not in roles.values()
            }
            cells = {role: self.result.jobs[job] for role, job in (roles | more).items()}
        else:
            cells = {role: self._kept(job) for role, job in roles.items()}
        about = cells["P-T"]
        options = settings_of(self.spec.anatomy, analysis)
        identity = digest(
            "analyse",
            MEASURE_VERSION,
            analysis,
            options,
            {role: job.id for role, job in cells.items()},
        )
        record = replace(
            about.record, job=identity, kind="analyse", analysis=analysis, options=options
        )
        trained = trainings(self.spec.anatomy, analysis, self.spec.image_size)
        images = (
            self.jobs.images(record, [cell.task], self.spec.training) if trained else about.images
        )
        images = images and images * max(1, trained)
        self.result.jobs.setdefault(
            identity,
            replace(about, record=record, cells=cells, keep=False, tuning=None, images=images),
        )

    def _note_what_does_nothing(self) -> None:
        """Sections of the spec that nothing else in it lets work."""
        spec, jobs = self.spec, self.result.jobs.values()
        if spec.tuning and not any(job.tuning for job in jobs):
            self.result.note("[tuning] changes nothing: no adaptation here trains on images")
        if spec.anatomy.analyses and not any(job.kind == "analyse" for job in jobs):
            self.result.note(
                "[anatomy] analyses nothing: it takes an adaptation that trains on images, and a source with a scratch reference"
            )
        if spec.chains.attribution != "none" and "base" not in spec.references:
            self.result.note(
                'chains.attribution tells nothing: its gains are over the base, and references lacks "base"'
            )


class _located:
    """Puts the spec's key before the message of an error in what it names. None of them lets the command begin."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HeadwaterError):
            located = type(error)(
                f"{self.place}: {error.message}", subject=error.subject, hint=error.hint
            )
            located.exit_status = BadSpec.exit_status
            raise located from None
