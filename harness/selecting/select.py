"""Selecting a source for a task: the pool, the question, the selector's answer, and how sure it is."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from headwater.harness.data.prepared import Prepared as Data
from headwater.harness.data.prepared import prepare
from headwater.harness.data.subset import MIN_TRAINING_IMAGES, draw_subset
from headwater.harness.planning.forecast import Forecast
from headwater.harness.planning.spec import Spec, Training
from headwater.harness.running.run import Control, NullWatcher, Session, Watcher, compare_with_store
from headwater.harness.selecting.comparison import Comparison
from headwater.harness.selecting.confirming import by_selector, confirm
from headwater.harness.selecting.costs import Costs
from headwater.harness.selecting.live import Live, Say
from headwater.harness.selecting.pool import Pool, pool_of, with_parameters
from headwater.harness.selecting.prediction import Predicted, Prediction
from headwater.harness.selecting.relations import relation
from headwater.harness.selecting.rungs import Rung
from headwater.leaderboard.selectors.history import History
from headwater.registry import (
    Kind,
    Metric,
    Question,
    Registry,
    Selector,
    SourceModel,
    Task,
    TaskType,
)
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import (
    BadPlugin,
    BadSpec,
    HeadwaterError,
    NotApplicable,
    StoreMissing,
)
from headwater.registry.names import Value

SIZES = (50, 150)
"""Subsets to measure on where nobody says otherwise, and below them all images."""

CONFIRMED = 3
"""Of the selector's first ones, how many are fine-tuned on everything with what it left of the budget: enough to read others off them."""

_CHECK = "See what it does wrong: headwater check {}; --debug shows where."


@dataclass(frozen=True)
class Candidate:
    """One row of the answer. ``ranks``: the best and worst that the measurements allow; ``score``: the selector's.

    ``seconds`` to fine-tune on all images, ``measured`` or else forecast from the store; ``speed``: images a second that it was
    seen to go through, loading included, so that it serves at least so many.
    """

    source: SourceModel
    score: float
    predicted: Predicted
    ranks: tuple[int, int]
    seconds: float | None
    measured: bool
    speed: float | None


@dataclass(frozen=True)
class Tested:
    """A value of the first source's network on test images, which no choice looked at; bounds where they can be told."""

    value: float
    low: float | None
    high: float | None
    images: int


@dataclass(frozen=True)
class Selection:
    """The answer, best first. ``tested``: how many sources were measured at each rung; ``tied``: those that cannot be told from the
    first, and how many ``more_seeds`` would."""

    task: str
    selector: str
    metric: str
    sign: int
    candidates: Sequence[Candidate]
    pool: Pool
    images: int
    epochs: int
    top: Rung | None
    tested: Mapping[Rung, int]
    tied: Sequence[int]
    more_seeds: Mapping[int, int | None]
    seeds: Sequence[int]
    on_test: Tested | None
    failures: Mapping[str, str]
    unscored: Mapping[str, Mapping[str, str]]
    unreached: int
    budget: float
    spent: float
    adapt: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked: see ``headwater select --help``. ``keys`` are a spec's: store, image_size, training, seeds, ..."""

    task: str
    sources: Sequence[str]
    budget: float = 600.0
    selector: str = "search"
    metric: str = ""
    sizes: Sequence[int | str] = ()
    max_parameters: int | None = None
    licences: Sequence[str] = ()
    adaptation: str = "fine_tune"
    confirm: int = CONFIRMED
    keys: Mapping[str, Any] = field(default_factory=dict)


def select(
    task: str,
    sources: Sequence[str] | str,
    *,
    budget: float = 600.0,
    selector: str = "search",
    plugins: Sequence[PluginLike] = (),
    control: Control | None = None,
    watcher: Watcher | None = None,
    say: Say = lambda text: None,
    metric: str = "",
    sizes: Sequence[int | str] = (),
    max_parameters: int | None = None,
    licences: Sequence[str] = (),
    adaptation: str = "fine_tune",
    confirm: int = CONFIRMED,
    **keys: Any,
) -> Selection:
    """Which of these sources for this task, asked of a selector with ``budget`` seconds; what it measures is recorded.

    ``keys`` are a spec's others: ``store``, ``image_size``, ``seeds``, ``training={"epochs": 30}``. The same question again is answered
    from the store. Raises HeadwaterError for what cannot be asked; one source's failure only takes that one out.
    """
    patterns = (sources,) if isinstance(sources, str) else tuple(sources)
    request = Request(
        task=task,
        sources=patterns,
        budget=budget,
        selector=selector,
        metric=metric,
        sizes=sizes,
        max_parameters=max_parameters,
        licences=licences,
        adaptation=adaptation,
        confirm=confirm,
        keys=keys,
    )
    with Session() as session:
        question = prepared(
            request,
            plugins=plugins,
            control=control or Control(),
            watcher=watcher or NullWatcher(),
            session=session,
            say=say,
        )
        return answer(question)


def prepared(
    request: Request,
    *,
    plugins: Sequence[PluginLike],
    control: Control,
    watcher: Watcher,
    session: Session,
    say: Say,
    look: bool = True,
) -> PreparedQuestion:
    """The question's parts, checked; with ``look``, the task's images are decoded and counted."""
    # A spec wants a source: the pool is made with the registry, which comes of the spec's plugins.
    keys = {
        "seeds": [0],
        **request.keys,
        "name": "select",
        "tasks": [request.task],
        "adaptations": [request.adaptation],
        "references": [],
    }
    spec = Spec.of({**keys, "sources": ["-"]}, where="select")
    registry = Registry.discover((*spec.plugins, *plugins))
    with registry.remembering():
        (task,) = _tasks(spec, registry)
        task_type = registry.task_type(task.type)
        metric = _metric(request.metric or task.metric, task, task_type)
        card, options = registry.selector(request.selector)
        pool = pool_of(request.sources, task, registry, request.max_parameters, request.licences)
    data = prepare(task, task_type, spec.image_size, spec.resources.cpus_per_cell) if look else None
    if data and data.flawed:
        say(data.flawed.of_task(task.name))
    images, smallest = _counted(task, task_type, spec, data)
    live = Live(
        spec=spec.model_copy(update={"sources": tuple(source.name for source in pool.sources)}),
        registry=registry,
        sources={source.name: source for source in pool.sources},
        images=images,
        sizes=_sizes(request.sizes, images, smallest),
        metric=metric.name,
        sign=metric.sign,
        budget=request.budget,
        control=replace(control, kind="select"),
        session=session,
        watcher=watcher,
        say=say,
        data=data,
    )
    return PreparedQuestion(
        live, pool, task, request, lambda question: ranked(card, options, question)
    )


@dataclass(frozen=True)
class PreparedQuestion:
    """A question that can be put: the live work behind it, the pool, and the selector."""

    live: Live
    pool: Pool
    task: Task
    request: Request
    rank: Callable[[Question], Mapping[str, float]]


def _tasks(spec: Spec, registry: Registry) -> list[Task]:
    found = cast(list[Task], registry.find(Kind.TASK, spec.tasks))
    if len(found) != 1:
        raise BadSpec(
            f"select takes one task; these are {len(found)}",
            subject=", ".join(task.name for task in found),
            hint="Name one.",
        )
    return found


def _metric(name: str, task: Task, task_type: TaskType) -> Metric:
    try:
        return task_type.metric(name)
    except KeyError:
        known = ", ".join(metric.name for metric in task_type.metrics)
        raise BadSpec(
            f"{task.type} has no metric {name!r}", subject=name, hint=f"Its metrics: {known}."
        ) from None


def _counted(task: Task, task_type: TaskType, spec: Spec, data: Data | None) -> tuple[int, int]:
    """How many images there are to train on, and the fewest that a subset can have."""
    if data is None:
        return task.images or 0, MIN_TRAINING_IMAGES
    strata, images = task_type.methods.strata(data.train.targets), len(data.train)
    return images, next(
        (n for n in range(MIN_TRAINING_IMAGES, images + 1) if _can_train(strata, n, spec)), images
    )


def _can_train(strata: Any, size: int, spec: Spec) -> bool:
    try:
        draw_subset(strata, str(size), spec.seeds[0], spec.validation)
    except NotApplicable:
        return False
    return True


def _sizes(asked: Sequence[int | str], images: int, smallest: int) -> list[int]:
    """The subsets below all images; raises BadSpec for what is no number of images."""
    for size in asked:
        if size != "full" and not (isinstance(size, int) and size > 0):
            raise BadSpec(
                f"sizes: {size!r} is neither full nor a number of images",
                subject=str(size),
                hint="Write --sizes 50,150,full",
            )
    numbers = sorted({size for size in asked if isinstance(size, int)}) if asked else SIZES
    return [size for size in numbers if smallest <= size and (not images or size < images)]


# -- asking -----------------------------------------------------------------------------------------------


def question_of(ready: PreparedQuestion, sources: Sequence[SourceModel]) -> Question:
    """What the selector is asked of these sources, with what the store knows of other tasks."""
    live, task, registry = ready.live, ready.task, ready.live.registry
    parents = registry.domain_parents()
    try:
        records = History.read(live.store, ready.request.adaptation).records_but(task.name)
    except StoreMissing:
        records = []
    return Question(
        task=task,
        sources=tuple(sources),
        size=live.images,
        records=records,
        relations={source.name: relation(source, task, registry, parents) for source in sources},
        domain_parents=parents,
        estimate=live.estimate,
        measure=live.measure,
        budget=live.budget,
        spent=live.spent,
        epochs=live.spec.training.epochs,
        sizes=tuple(live.sizes),
    )


def ranked(card: Selector, options: Mapping[str, Value], question: Question) -> Mapping[str, float]:
    """A selector's scores; raises BadPlugin where they are no numbers, or for whatever a plugin raises."""
    try:
        scores = card.scores(question, **options)
    except HeadwaterError:
        raise
    except Exception as error:
        raise BadPlugin(
            f"{card.name} raised {type(error).__name__}: {error}",
            subject=card.name,
            hint=_CHECK.format(card.name),
        ) from error
    if wrong := [name for name, score in scores.items() if not math.isfinite(score)]:
        raise BadPlugin(
            f"{card.name}: its score for {wrong[0]} is no number",
            subject=card.name,
            hint=_CHECK.format(card.name),
        )
    return scores


def asked_of_selector(ready: PreparedQuestion) -> Mapping[str, float]:
    """The selector's scores. Where sources turned out to be unusable it is asked again without them: what a failure left missing, it
    may have taken for a spent budget. What was measured is in the store by then. Raises NotApplicable where it can answer nothing."""
    live = ready.live
    while True:
        known, live.unreached = len(live.failures), 0
        usable = [source for name, source in live.sources.items() if name not in live.failures]
        if not usable:
            return {}
        try:
            scores = ready.rank(question_of(ready, usable))
        except NotApplicable:
            if len(live.failures) == known:
                raise
            continue
        if len(live.failures) == known:
            return scores


def answer(ready: PreparedQuestion) -> Selection:
    """Put the question, and say how sure the answer is."""
    with ready.live.registry.remembering():
        scores = asked_of_selector(ready)
        confirm(ready.live, scores, ready.request.confirm)
        return _judged(ready, scores)


def _judged(ready: PreparedQuestion, scores: Mapping[str, float]) -> Selection:
    """The selector's order, but for what was measured to be better, and all that is known of it."""
    live, lowest = ready.live, min(scores.values(), default=0.0)
    prediction = Prediction(
        live.samples(),
        live.scores,
        live.registry.task_type(ready.task.type).metric(live.metric).bounds,
    )
    ordered = Comparison(by_selector(live, scores), prediction).ordered
    comparison = Comparison(ordered, prediction)
    measured = bool(prediction.grid)
    ranks = comparison.ranks if measured else _by_score(ordered, scores)
    costs = Costs(live)
    sources = with_parameters([live.sources[name] for name in ordered])
    candidates = [
        Candidate(
            sources[at],
            scores.get(name, lowest),
            prediction.of(name),
            ranks[at],
            *costs.fine_tuning(name),
            costs.speed(name),
        )
        for at, name in enumerate(ordered)
    ]
    tied = (
        comparison.tied
        if measured
        else [
            at for at in range(1, len(ordered)) if scores.get(ordered[at]) == scores.get(ordered[0])
        ]
    )
    counts: dict[Rung, int] = {}
    for samples in prediction.grid.values():
        for rung in samples:
            counts[rung] = counts.get(rung, 0) + 1
    return Selection(
        task=ready.task.name,
        selector=ready.request.selector,
        metric=live.metric,
        sign=live.sign,
        candidates=candidates,
        pool=ready.pool,
        images=live.images,
        epochs=live.spec.training.epochs,
        top=prediction.top,
        tested=dict(sorted(counts.items())),
        tied=tied,
        more_seeds={at: comparison.more_seeds(0, at, live.spec.validation) for at in tied}
        if measured
        else {},
        seeds=live.spec.seeds,
        on_test=_on_test(live, ordered[0], prediction.top) if ordered and prediction.top else None,
        failures={**ready.pool.failed, **live.failures},
        unscored=live.unscored,
        unreached=live.unreached,
        budget=live.budget,
        spent=live.spent(),
        adapt=adapt_command(ordered[0], ready) if ordered else "",
    )


def _by_score(ordered: Sequence[str], scores: Mapping[str, float]) -> list[tuple[int, int]]:
    """Ranks by the selector's scores alone: equal ones share theirs."""
    values = [scores.get(name, -math.inf) for name in ordered]
    return [
        (1 + sum(v > value for v in values), len(values) - sum(v < value for v in values))
        for value in values
    ]


def _on_test(live: Live, source: str, top: Rung) -> Tested | None:
    """The first source's test value at the top rung, of the first seed; None where it was not measured there."""
    job = live.cells.get((source, top, live.spec.seeds[0]))
    answers = live.answers(job, "test") if job else None
    if answers is None:
        return None
    low, high = answers.interval or (None, None)
    return Tested(answers.value(), low, high, len(answers))


@dataclass(frozen=True)
class RungForecast:
    """What fine-tuning every source on one rung would cost.

    Attributes:
        what: The rung, as people read it.
        cost: The forecast for the cells that are left.
        done: How many of its cells are done.
        cells: How many cells it has.
    """

    what: str
    cost: Forecast
    done: int
    cells: int


def forecasts(ready: PreparedQuestion) -> Iterator[RungForecast]:
    """Yield what fine-tuning every source would cost on each rung, as far as the store can tell."""
    live, epochs = ready.live, ready.live.spec.training.epochs
    for size in (*live.sizes, live.images):
        plan = live.cells_of(list(live.sources), Rung(size, epochs))
        status = compare_with_store(plan, live.control)
        images = f"{size:,} images" if size else "images"
        if size == live.images:
            images = f"all {images}"
        yield RungForecast(
            what=f"every source on {images}, {epochs} epochs",
            cost=status.cost,
            done=status.cells["done"],
            cells=sum(status.cells.values()),
        )


def adapt_command(source: str, ready: PreparedQuestion) -> str:
    """The command that fine-tunes a source as this question would, and writes its network."""
    spec, plugins, plain = ready.live.spec, ready.live.registry.plugins, Spec.model_fields
    words = ["headwater", "adapt", ready.task.name, "--source", source]
    words += (
        ["--adaptation", ready.request.adaptation]
        if ready.request.adaptation != "fine_tune"
        else []
    )
    for key in ("image_size", "validation", "store"):
        if (value := getattr(spec, key)) != plain[key].default:
            words += [f"--{key.replace('_', '-')}", str(value)]
    for key, value in spec.training:
        if value != getattr(Training(), key):
            words += [f"--{key.replace('_', '-')}", str(value)]
    words += ["--seed", str(spec.seeds[0])] if spec.seeds[0] else []
    for plugin in plugins:
        words += (
            ["--plugin", str(plugin)]
            if not hasattr(plugin, "__name__") and not hasattr(plugin, "summary")
            else []
        )
    return shlex.join([*words, "--save", "model.safetensors"])
