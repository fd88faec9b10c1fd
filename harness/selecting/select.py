"""Select a source for a task: the pool, the question, the selector's answer, and how sure it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from headwater.harness.data.prepared import Prepared as Data
from headwater.harness.data.prepared import prepare
from headwater.harness.data.subset import MIN_TRAINING_IMAGES, draw_subset
from headwater.harness.planning.forecast import Forecast
from headwater.harness.planning.spec import Spec, Training
from headwater.harness.running.run import Control, NullWatcher, Session, Watcher, compare_with_store
from headwater.harness.selecting.comparison import SourceComparison
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
from headwater.registry.defaults import DEFAULT_ADAPTATION, DEFAULT_SELECTOR
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import (
    BadPlugin,
    BadSpec,
    HeadwaterError,
    NotApplicable,
    StoreMissing,
)
from headwater.registry.names import Value, command_line

DEFAULT_SIZES = (50, 150)
"""Subsets to measure on; the full training set is always added."""

CONFIRMED_SOURCES = 3
"""How many of the selector's first sources are fine-tuned with the rest of the budget: enough that
others can be read off them."""


@dataclass(frozen=True)
class Candidate:
    """A row of the answer.

    Attributes:
        source: The source's card.
        score: The selector's score.
        predicted: What it would reach at the top rung.
        ranks: The best and the worst rank that the measurements allow.
        seconds: What fine-tuning it on all images takes; None where nothing tells.
        measured: True where ``seconds`` were measured, False where they are forecast.
        speed: Images a second that it was seen to go through, loading included, so that it serves
            at least so many; None where it was not seen.
    """

    source: SourceModel
    score: float
    predicted: Predicted
    ranks: tuple[int, int]
    seconds: float | None
    measured: bool
    speed: float | None


@dataclass(frozen=True)
class TestValue:
    """The value of the first source's network on test images, which no choice looked at.

    Attributes:
        value: The metric.
        low: Its lower bound; None where it cannot be told.
        high: Its upper bound; None where it cannot be told.
        images: How many test images there are.
    """

    value: float
    low: float | None
    high: float | None
    images: int


@dataclass(frozen=True)
class Selection:
    """The answer to a question.

    Attributes:
        task: The task's name.
        selector: The selector's name, with its options.
        metric: The metric that sources are compared by.
        sign: 1 where it should be high, -1 where it should be low.
        candidates: The sources that can be used, best first.
        pool: The sources of the question, and those that were left out.
        images: How many images there are to train on.
        epochs: The epochs of the recipe.
        top: The highest rung that any source reached; None where nothing was measured.
        tested: How many sources were measured at each rung.
        tied: The places of those that cannot be told from the first.
        more_seeds: How many more seeds would tell each of them; None where none would.
        seeds: The seeds that were run.
        on_test: The first source on the test images; None where it was not measured at the top.
        failures: Sources that cannot be used, and why.
        unscored: Estimator -> source -> why it has no score.
        unreached: How many sources the budget did not reach.
        budget: Seconds that could be spent.
        spent: Seconds that were spent.
        adapt: The command that fine-tunes the first source; empty for none.
    """

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
    on_test: TestValue | None
    failures: Mapping[str, str]
    unscored: Mapping[str, Mapping[str, str]]
    unreached: int
    budget: float
    spent: float
    adapt: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """The question of a user; ``headwater select --help`` explains each part.

    Attributes:
        keys: Keys of a spec: ``store``, ``image_size``, ``training``, ``seeds``, …
    """

    task: str
    sources: Sequence[str]
    budget: float = 600.0
    selector: str = DEFAULT_SELECTOR
    metric: str = ""
    sizes: Sequence[int | str] = ()
    max_parameters: int | None = None
    licences: Sequence[str] = ()
    adaptation: str = DEFAULT_ADAPTATION
    confirm: int = CONFIRMED_SOURCES
    keys: Mapping[str, Any] = field(default_factory=dict)


def select(
    task: str,
    sources: Sequence[str] | str,
    *,
    budget: float = 600.0,
    selector: str = DEFAULT_SELECTOR,
    plugins: Sequence[PluginLike] = (),
    control: Control | None = None,
    watcher: Watcher | None = None,
    say: Say = lambda text: None,
    metric: str = "",
    sizes: Sequence[int | str] = (),
    max_parameters: int | None = None,
    licences: Sequence[str] = (),
    adaptation: str = DEFAULT_ADAPTATION,
    confirm: int = CONFIRMED_SOURCES,
    **keys: Any,
) -> Selection:
    """Find the source that a task should start from; what is measured is recorded.

    The same question again is answered from the store.

    Args:
        task: The task's name.
        sources: Names and globs of source models, as a list or with commas.
        budget: Wall seconds to spend.
        selector: The selector, or an estimator, that ranks the sources.
        plugins: Plugin files, folders, modules or cards.
        control: How jobs are run.
        watcher: What shows the jobs; by default nothing does.
        say: Is called with lines of progress.
        metric: The metric to compare by; empty for the task's own.
        sizes: Training images of the rungs below all of them; empty for 50 and 150.
        max_parameters: Leaves out sources with more parameters.
        licences: Names and globs of the licences to allow; empty for all.
        adaptation: How sources are adapted.
        confirm: How many of the first sources are fine-tuned with the rest of the budget.
        **keys: Other keys of a spec: ``store``, ``image_size``, ``seeds``,
            ``training={"epochs": 30}``.

    Raises:
        HeadwaterError: The question cannot be asked. One source's failure only takes that one out.
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
    """Check a request and find the parts of its question.

    Args:
        request: What is asked.
        plugins: Plugins beside those of the request's spec keys.
        control: How jobs are run.
        watcher: What shows the jobs.
        session: The executor that all jobs share.
        say: Is called with lines of progress.
        look: True to decode and count the task's images.
    """
    keys = {
        "seeds": [0],
        **request.keys,
        "name": "select",
        "tasks": [request.task],
        "adaptations": [request.adaptation],
        "references": [],
        "sources": ["-"],  # a spec wants a source; the pool needs the registry that the spec names
    }
    spec = Spec.of(keys, where="select")
    registry = Registry.discover((*spec.plugins, *plugins))
    with registry.remembering():
        task = _task(spec, registry)
        task_type = registry.task_type(task.type)
        metric = _metric(request.metric or task.metric, task, task_type)
        card, options = registry.selector(request.selector)
        pool = pool_of(
            request.sources,
            task,
            registry,
            max_parameters=request.max_parameters,
            licences=request.licences,
        )
    data = prepare(task, task_type, spec.image_size, spec.resources.cpus_per_cell) if look else None
    if data and data.flawed:
        say(data.flawed.of_task(task.name))
    images, smallest = _counts(task, task_type, spec, data)
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
        live=live,
        pool=pool,
        task=task,
        request=request,
        rank=lambda question: ranked(card, options, question),
    )


@dataclass(frozen=True)
class PreparedQuestion:
    """A question that can be put: the work behind it, the pool, and the selector that answers it."""

    live: Live
    pool: Pool
    task: Task
    request: Request
    rank: Callable[[Question], Mapping[str, float]]


def _task(spec: Spec, registry: Registry) -> Task:
    tasks = cast(list[Task], registry.find(Kind.TASK, spec.tasks))
    if len(tasks) != 1:
        raise BadSpec(
            f"select takes one task; these are {len(tasks)}",
            subject=", ".join(task.name for task in tasks),
            hint="Name one.",
        )
    return tasks[0]


def _metric(name: str, task: Task, task_type: TaskType) -> Metric:
    try:
        return task_type.metric(name)
    except KeyError:
        metrics = ", ".join(metric.name for metric in task_type.metrics)
        raise BadSpec(
            f"{task.type} has no metric {name!r}", subject=name, hint=f"Its metrics: {metrics}."
        ) from None


def _counts(task: Task, task_type: TaskType, spec: Spec, data: Data | None) -> tuple[int, int]:
    """Return how many images there are to train on, and how few a subset can have."""
    if data is None:
        return task.images or 0, MIN_TRAINING_IMAGES
    strata = task_type.methods.strata(data.train.targets)
    images = len(data.train)
    for size in range(MIN_TRAINING_IMAGES, images + 1):
        if _can_train(strata, size, spec):
            return images, size
    return images, images


def _can_train(strata: Any, size: int, spec: Spec) -> bool:
    try:
        draw_subset(strata, str(size), spec.seeds[0], spec.validation)
    except NotApplicable:
        return False
    return True


def _sizes(sizes: Sequence[int | str], images: int, smallest: int) -> list[int]:
    """Return the subsets below all images; raises BadSpec for what is no number of images."""
    for size in sizes:
        if size != "full" and not (isinstance(size, int) and size > 0):
            raise BadSpec(
                f"sizes: {size!r} is neither full nor a number of images",
                subject=str(size),
                hint="Write --sizes 50,150,full",
            )
    numbers: Sequence[int] = DEFAULT_SIZES
    if sizes:
        numbers = sorted({size for size in sizes if isinstance(size, int)})
    return [size for size in numbers if smallest <= size and (not images or size < images)]


# -- asking -----------------------------------------------------------------------------------------------


def question_of(prepared_question: PreparedQuestion, sources: Sequence[SourceModel]) -> Question:
    """Return the question about some sources, with the store's records of other tasks."""
    live, task, registry = (
        prepared_question.live,
        prepared_question.task,
        prepared_question.live.registry,
    )
    parents = registry.domain_parents()
    try:
        records = History.read(live.store, prepared_question.request.adaptation).records_but(
            task.name
        )
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
        epochs=live.rung().epochs,
        sizes=tuple(live.sizes),
    )


def ranked(card: Selector, options: Mapping[str, Value], question: Question) -> Mapping[str, float]:
    """Return a selector's scores.

    Raises:
        BadPlugin: A score is not a finite number, or the selector raised something that is not
            Headwater's.
    """
    check = command_line("check", card.name, "--trace", card.name)
    hint = f"See what it does wrong: {check}"
    try:
        scores = card.scores(question, **options)
    except HeadwaterError:
        raise
    except Exception as error:  # a plugin is foreign code: whatever it raises is its failure
        message = f"{card.name} raised {type(error).__name__}: {error}"
        raise BadPlugin(message, subject=card.name, hint=hint) from error
    for name, score in scores.items():
        if not math.isfinite(score):
            message = f"{card.name}: its score for {name} is not a finite number"
            raise BadPlugin(message, subject=card.name, hint=hint)
    return scores


def scores_of_selector(prepared_question: PreparedQuestion) -> Mapping[str, float]:
    """Put the question to the selector, and again without sources that turned out to be unusable.

    What a failure left missing, the selector may have taken for a spent budget. What was measured
    is in the store by then.

    Raises:
        NotApplicable: The selector can answer nothing.
    """
    live = prepared_question.live
    while True:
        failures = len(live.failures)
        live.unreached = 0
        usable = [source for name, source in live.sources.items() if name not in live.failures]
        if not usable:
            return {}
        try:
            scores = prepared_question.rank(question_of(prepared_question, usable))
        except NotApplicable:
            if len(live.failures) == failures:
                raise
            continue
        if len(live.failures) == failures:
            return scores


def answer(prepared_question: PreparedQuestion) -> Selection:
    """Put the question, and say how sure the answer is."""
    live = prepared_question.live
    with live.registry.remembering():
        scores = scores_of_selector(prepared_question)
        confirm(live, scores, prepared_question.request.confirm)
        return _selection(prepared_question, scores)


def _selection(prepared_question: PreparedQuestion, scores: Mapping[str, float]) -> Selection:
    """Return the selector's order, but for what was measured to be better, and how sure it is."""
    live, request = prepared_question.live, prepared_question.request
    metric = live.registry.task_type(prepared_question.task.type).metric(live.metric)
    prediction = Prediction(live.samples(), live.scores, metric.bounds)
    ordered = SourceComparison(by_selector(live, scores), prediction).ordered
    comparison = SourceComparison(ordered, prediction)
    if prediction.grid:
        ranks, tied = comparison.ranks, comparison.tied
        validation = live.spec.validation
        more_seeds = {place: comparison.more_seeds(0, place, validation) for place in tied}
    else:
        ranks, tied = _by_score(ordered, scores)
        more_seeds = {}
    top = prediction.top
    return Selection(
        task=prepared_question.task.name,
        selector=request.selector,
        metric=live.metric,
        sign=live.sign,
        candidates=_candidates(live, prediction, scores, dict(zip(ordered, ranks, strict=True))),
        pool=prepared_question.pool,
        images=live.images,
        epochs=live.rung().epochs,
        top=top,
        tested=_tested(prediction),
        tied=tied,
        more_seeds=more_seeds,
        seeds=live.spec.seeds,
        on_test=_on_test(live, ordered[0], top) if ordered and top else None,
        failures={**prepared_question.pool.failed, **live.failures},
        unscored=live.unscored,
        unreached=live.unreached,
        budget=live.budget,
        spent=live.spent(),
        adapt=adapt_command(ordered[0], prepared_question) if ordered else "",
    )


def _candidates(
    live: Live,
    prediction: Prediction,
    scores: Mapping[str, float],
    ranks: Mapping[str, tuple[int, int]],
) -> list[Candidate]:
    """Return the rows of the answer, in the order of ``ranks``."""
    lowest = min(scores.values(), default=0.0)
    costs = Costs(live)
    candidates = []
    for source in with_parameters([live.sources[name] for name in ranks]):
        seconds, measured = costs.fine_tuning(source.name)
        candidate = Candidate(
            source=source,
            score=scores.get(source.name, lowest),
            predicted=prediction.of(source.name),
            ranks=ranks[source.name],
            seconds=seconds,
            measured=measured,
            speed=costs.speed(source.name),
        )
        candidates.append(candidate)
    return candidates


def _tested(prediction: Prediction) -> dict[Rung, int]:
    """Return how many sources were measured at each rung, lowest first."""
    counts = Counter(rung for samples in prediction.grid.values() for rung in samples)
    return dict(sorted(counts.items()))


def _by_score(
    ordered: Sequence[str], scores: Mapping[str, float]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return ranks, and places tied with the first, by the selector's scores alone.

    Equal scores share their ranks.
    """
    # A source without a score comes after all that have one.
    values = np.array([scores.get(name, -math.inf) for name in ordered])
    ranks: list[tuple[int, int]] = []
    tied: list[int] = []
    for place, value in enumerate(values):
        better = int((values > value).sum())
        worse = int((values < value).sum())
        ranks.append((1 + better, len(values) - worse))
        if place and value == values[0]:
            tied.append(place)
    return ranks, tied


def _on_test(live: Live, source: str, top: Rung) -> TestValue | None:
    """Return a source's test value at the top rung, of the first seed; None if not measured there."""
    job = live.cells.get((source, top, live.spec.seeds[0]))
    predictions = live.predictions(job, "test") if job else None
    if predictions is None:
        return None
    low, high = predictions.interval or (None, None)
    return TestValue(predictions.value(), low, high, len(predictions))


@dataclass(frozen=True)
class RungForecast:
    """The expected cost of fine-tuning every source on one rung.

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


def forecasts(prepared_question: PreparedQuestion) -> Iterator[RungForecast]:
    """Yield what fine-tuning every source would cost on each rung, as far as the store can tell."""
    live = prepared_question.live
    for size in (*live.sizes, live.images):
        rung = live.rung(size)
        plan = live.cells_of(list(live.sources), rung)
        status = compare_with_store(plan, live.control)
        images = f"{size:,} images" if size else "images"
        if size == live.images:
            images = f"all {images}"
        yield RungForecast(
            what=f"every source on {images}, {rung.epochs} epochs",
            cost=status.cost,
            done=status.cells["done"],
            cells=sum(status.cells.values()),
        )


def adapt_command(source: str, prepared_question: PreparedQuestion) -> str:
    """Return the command that fine-tunes a source as this question would, and saves its network."""
    spec, request = prepared_question.live.spec, prepared_question.request
    words = ["adapt", prepared_question.task.name, "--source", source]
    if request.adaptation != DEFAULT_ADAPTATION:
        words += ["--adaptation", request.adaptation]
    for key in ("image_size", "validation", "store"):
        value = getattr(spec, key)
        if value != Spec.model_fields[key].default:
            words += _option(key, value)
    for key, value in spec.training:
        if value != getattr(Training(), key):
            words += _option(key, value)
    if spec.seeds[0]:
        words += ["--seed", str(spec.seeds[0])]
    for plugin in prepared_question.live.registry.plugins:
        is_path = not hasattr(plugin, "__name__") and not hasattr(plugin, "summary")
        if is_path:  # modules and cards cannot be named on a command line
            words += ["--plugin", str(plugin)]
    return command_line(*words, "--save", "model.safetensors")


def _option(key: str, value: object) -> list[str]:
    return [f"--{key.replace('_', '-')}", str(value)]
