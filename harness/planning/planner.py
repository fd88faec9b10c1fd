"""Plans a spec: it becomes a graph of jobs, each with an identity, references included.

Enumeration only: nothing is built, loaded or run here, and neither torch nor ray is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import NoReturn, cast

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
from headwater.registry.errors import BadPlugin, BadSpec, HeadwaterError, WeightsError
from headwater.registry.names import Value, is_glob
from headwater.registry.options import spelled

MAX_CONVERGENCE = 16
"""How many times the budget a reference that is trained until it has converged may take."""


def plan(spec: Spec, registry: Registry | None = None) -> Plan:
    """Enumerate the jobs of a spec.

    Args:
        spec: The benchmark.
        registry: Where its names are looked up; default: what is discovered with its plugins.

    Raises:
        UnknownName: A name of the spec is not known.
        BadName: A name cannot be read, or has an option that its card does not have.
        BadSpec: Keys of the spec do not go together.
        BadPlugin: The plan of a job kind failed.
    """
    registry = registry or Registry.discover(spec.plugins)
    with registry.remembering():
        return _Planner(Plan(spec, registry)).plan()


class _Planner:
    """Adds the jobs of a spec to a plan: cells and references, estimates, analyses, further kinds."""

    def __init__(self, plan: Plan) -> None:
        self.result = plan
        self.spec = plan.spec
        self.registry = plan.registry
        self.pairs: dict[Cell, tuple[str, str | None]] = {}
        """Each cell that the spec asks for -> its job and the job of its scratch reference."""
        self.jobs = Jobs(plan)
        self._control = cache(self._control_of)
        self._converged = cache(self._converged_of)

    def plan(self) -> Plan:
        tasks = cast(list[Task], self._find(Kind.TASK, "tasks", self.spec.tasks))
        sources = self._sources()
        named = {source.name for source in sources}
        sources += [chain for chain in self._chains(tasks) if chain.name not in named]
        for index, text in enumerate(self.spec.adaptations):
            with _located(f"adaptations[{index}] = {text!r}"):
                self.registry.adaptation(text)
        estimators = self._spelled(Kind.ESTIMATOR, "estimators", self.spec.estimators)
        analyses = self._spelled(Kind.ANALYSIS, "anatomy.analyses", self.spec.anatomy.analyses)
        kinds = self._kinds()
        if self.spec.tuning:
            cards = [self.registry.adaptation(text)[0] for text in self.spec.adaptations]
            check_space(self.spec.tuning, cards)
        pairs = list(self._pairs(sources, tasks))
        # Analyses last: they look at cells, all of which must be planned.
        for source, task in pairs:
            for cell in self._cells(source, task):
                self._add_with_references(cell)
            for estimator in estimators:
                self._add_estimates(source, task, estimator)
        AnalysisPlanner(self.result, self.jobs, self.pairs).add(analyses)
        for kind in kinds:
            self._plan_kind(kind, pairs)
        self._note_what_does_nothing()
        return self.result

    def _sources(self) -> list[SourceModel]:
        """Return the sources of the spec's key ``sources``, each once.

        A source whose card cannot be made without its weights file, and that file is missing, gets
        a card of its name alone: its cells fail with the reason, and the others run.

        Raises:
            WeightsError: The weights file of every source is missing.
        """
        cards: dict[str, SourceModel] = {}
        problems: list[WeightsError] = []
        for index, text in enumerate(self.spec.sources):
            try:
                with _located(f"sources[{index}] = {text!r}"):
                    found = cast(list[SourceModel], self.registry.find(Kind.SOURCE, text))
            except WeightsError as error:
                problems.append(error)
                self.result.note(error.message)
                found = [SourceModel(name=str(Name.parse(text)), build=_not_built)]
                self.jobs.without_card.add(found[0].name)
            cards |= {card.name: card for card in found}
        if problems and len(problems) == len(cards):
            raise problems[0]
        return list(cards.values())

    def _chains(self, tasks: list[Task]) -> list[SourceModel]:
        """Return the sources of the spec's [chains]: every group of source tasks on every base."""
        section = self.spec.chains
        bases = cast(list[SourceModel], self._find(Kind.SOURCE, "chains.bases", section.bases))
        source_tasks = cast(list[Task], self._find(Kind.TASK, "chains.tasks", section.tasks))
        if not bases:
            return []
        task_groups = groups(section, [task.name for task in source_tasks or tasks])
        return [
            self.registry.source(chain_name(base.name, group))
            for base in bases
            for group in task_groups
        ]

    def _find(self, kind: Kind, key: str, texts: Iterable[str]) -> list[object]:
        """Return the cards of the names and globs under a key of the spec, each once."""
        cards: dict[str, object] = {}
        for index, text in enumerate(texts):
            with _located(f"{key}[{index}] = {text!r}"):
                cards |= {card.name: card for card in self.registry.find(kind, text)}
        return list(cards.values())

    def _pairs(
        self, sources: Iterable[SourceModel], tasks: Iterable[Task]
    ) -> Iterable[tuple[SourceModel, Task]]:
        """Yield every source and target, the target left out of chains that were trained on it."""
        # Source and task outermost: neighbours in the plan share weights, images and features.
        left_out = 0
        for task in tasks:
            self.jobs.check_task(task)
            for source in sources:
                source_without_target = without_target(source, task, self.registry)
                if source_without_target is not None:
                    yield source_without_target, task
                elif source.name in self.spec.sources:
                    left_out += 1
        if left_out:
            self.result.notes.append(
                f"{left_out} pairs of chain and target are left out: "
                "the chain was trained on nothing but that target"
            )

    def _cells(self, source: SourceModel, task: Task) -> Iterable[Cell]:
        for adaptation in self.spec.adaptations:
            for size in self.spec.sizes:
                for seed in self.spec.seeds:
                    yield Cell(source, task, adaptation, str(size), seed)

    # -- cells and their references -----------------------------------------------------------------------

    def _add_with_references(self, cell: Cell) -> None:
        """Plan a cell and the references that its gains are measured against."""
        card, _ = self.registry.adaptation(cell.adaptation)
        cell = self._normal(cell, card)
        trained = self._add(cell)
        reference = None
        is_analysed = self.spec.anatomy.analyses and card.on == "images"
        references = self.spec.references
        if "scratch" in references or is_analysed:
            reference = self._add_scratch(cell, card, self._control(cell.adaptation))
        converged = self._converged(cell.adaptation)
        if "converged" in references and converged:
            self._add_scratch(cell, card, converged)
        self.pairs[cell] = trained, reference
        if "base" in self.spec.references and cell.source.chain:
            base = self.registry.source(cell.source.chain.base)
            self._add(self._normal(replace(cell, source=base), card))

    def _add_scratch(self, cell: Cell, card: Adaptation, adaptation: str) -> str | None:
        """Plan a cell's scratch reference, one for all sources of an architecture; None where no
        plugin has the architecture.
        """
        scratch = self._scratch_of(cell.source)
        if scratch is None:
            return None
        return self._add(self._normal(replace(cell, source=scratch, adaptation=adaptation), card))

    def _add(self, cell: Cell) -> str:
        control = self._control(cell.adaptation)
        return self.jobs.add_cell(cell, control, self._converged(cell.adaptation))

    def _normal(self, cell: Cell, card: Adaptation) -> Cell:
        """Return a cell under the one name that it has.

        Training all of a random network is from_scratch, whatever the spec calls it.
        """
        if card.from_random and not cell.source.random:
            scratch = self._scratch_of(cell.source)
            return replace(cell, source=scratch) if scratch else cell
        if cell.source.random:
            return replace(cell, adaptation=self._control(cell.adaptation))
        return cell

    def _control_of(self, adaptation: str) -> str:
        """Return the adaptation that the scratch reference runs, with the options that both have."""
        card, options = self.registry.adaptation(adaptation)
        control, defaults = self.registry.adaptation(card.control)
        shared: dict[str, Value] = {}
        for key, value in options.items():
            # Defaults are not spelled out: one reference has one name.
            if key in defaults and value != defaults[key]:
                shared[key] = value
        return str(Name.of(control.name, shared))

    def _converged_of(self, adaptation: str) -> str:
        """Return the control with the option that lets it train until it has converged; "" where it
        has none: a solver has nothing to go on with.
        """
        card, _ = self.registry.adaptation(adaptation)
        control, defaults = self.registry.adaptation(self._control(adaptation))
        if card.on != "images" or "converge" not in control.options():
            return ""
        options = {key: value for key, value in defaults.items() if value != control.options()[key]}
        return str(Name.of(control.name, options | {"converge": MAX_CONVERGENCE}))

    def _scratch_of(self, source: SourceModel) -> SourceModel | None:
        """Return the source's architecture with random weights; None if no plugin has it."""
        if source.random:
            return source
        if not source.scratch:
            return None
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
        """Plan a source's score for a task, for each size and seed.

        All images are the same whatever the seed, so that a fixed source has one score on them.
        """
        for size in map(str, self.spec.sizes):
            seeds: tuple[int | None, ...] = self.spec.seeds
            # A seed draws the subset, and the weights of a random source; here it decides nothing.
            if size == "full" and not source.random:
                seeds = (None,)
            for seed in seeds:
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

    def _plan_kind(self, kind: JobKind, pairs: list[tuple[SourceModel, Task]]) -> None:
        """Let a job kind add its jobs; raises BadPlugin if it fails in a way of its own."""
        assert kind.plan is not None, "checked when the spec's names were looked up"
        try:
            kind.plan(KindPlanning(kind, self.jobs, pairs))
        except HeadwaterError:
            raise
        except Exception as error:
            raise BadPlugin(
                f"the job kind {kind.name} cannot be planned: {type(error).__name__}: {error}",
                subject=kind.name,
            ) from error

    # -- notes --------------------------------------------------------------------------------------------

    def _note_what_does_nothing(self) -> None:
        """Note the sections of the spec that have no effect with the rest of it."""
        spec = self.spec
        jobs = self.result.jobs.values()
        if spec.tuning and not any(job.tuning for job in jobs):
            self.result.note("[tuning] changes nothing: no adaptation here trains on images")
        if spec.anatomy.analyses and not any(job.kind == "analyse" for job in jobs):
            self.result.note(
                "[anatomy] analyses nothing: it takes an adaptation that trains on images, "
                "and a source with a scratch reference"
            )
        if spec.chains.attribution != "none" and "base" not in spec.references:
            self.result.note(
                "chains.attribution tells nothing: its gains are over the base, "
                'and references lacks "base"'
            )


def _not_built() -> NoReturn:
    """Stand for the ``build`` of a source whose weights file is missing; no worker gets this far."""
    raise WeightsError("the weights file of this source is missing")


class _located:
    """Puts the key of the spec before the message of an error in what it names.

    The exit status is that of a bad spec: none of these errors lets the command begin.
    """

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
