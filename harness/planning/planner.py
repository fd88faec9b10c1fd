"""Planning: a spec becomes a graph of jobs, each with an identity, references included.

Enumeration only: nothing is built, loaded or run here, and neither torch nor ray is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import cast

from headwater.harness.planning.analyses import AnalysisPlanner
from headwater.harness.planning.cell import Cell
from headwater.harness.planning.chains import groups, without_target
from headwater.harness.planning.jobs import Jobs, KindPlanning
from headwater.harness.planning.plan import Plan
from headwater.harness.planning.spec import Spec
from headwater.harness.planning.tuning_space import check_space
from headwater.registry import (
    Adaptation,
    Analysis,
    Estimator,
    JobKind,
    Kind,
    Name,
    Registry,
    SourceModel,
    Task,
    chain_name,
)
from headwater.registry.errors import BadSpec, HeadwaterError
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
        estimators = self._spelled(Kind.ESTIMATOR, "estimators", self.spec.estimators)
        analyses = self._spelled(Kind.ANALYSIS, "anatomy.analyses", self.spec.anatomy.analyses)
        kinds = self._kinds()
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
        AnalysisPlanner(self.result, self.jobs, self.pairs).add(analyses)
        for kind in kinds:
            assert kind.plan is not None, "checked when the spec's names were looked up"
            kind.plan(KindPlanning(kind, self.jobs, pairs))
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

    def _spelled(self, kind: Kind, key: str, texts: Iterable[str]) -> list[str]:
        """Return the cards of names and globs by name with options, each in one spelling."""
        names: dict[str, None] = {}
        for index, text in enumerate(texts):
            with _located(f"{key}[{index}] = {text!r}"):
                cards = self.registry.find(kind, text) if is_glob(text) else ()
                for name in [card.name for card in cards] or [text]:
                    card = cast(Estimator | Analysis, self.registry.get(kind, name))
                    options = dict(Name.parse(name).options)
                    names[spelled(card.name, options, card.options())] = None
        return list(names)

    def _add_estimates(self, source: SourceModel, task: Task, estimator: str) -> None:
        """A source's score for a task, for each size and seed; all images are the same whatever the seed."""
        for size in map(str, self.spec.sizes):
            for seed in self.spec.seeds if size != "full" or source.random else (None,):
                self.jobs.add_estimate(source, task, estimator, size=size, seed=seed)

    # -- kinds of jobs from plugins -----------------------------------------------------------------------

    def _kinds(self) -> list[JobKind]:
        """Return the job kinds that the spec's key ``jobs`` names.

        Raises:
            UnknownName: A name is not a job kind.
            BadSpec: A job kind has no plan of its own: other keys of the spec ask for it.
        """
        kinds = cast(list[JobKind], self._find(Kind.JOB_KIND, "jobs", self.spec.jobs))
        for kind in kinds:
            if kind.plan is None:
                raise BadSpec(
                    f"jobs: {kind.name!r} cannot be asked for by name",
                    subject=kind.name,
                    hint="Ask with the keys adaptations, estimators, chains or anatomy.analyses.",
                )
        return kinds

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
