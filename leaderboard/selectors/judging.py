"""Judge selectors: compare what each would have chosen with what was measured.

For every target, size and protocol with three sources or more, each selector is asked once a seed,
from what the store knew of other targets (``headwater.leaderboard.selectors.replay``). Its scores
are compared with the measured quality, mean over seeds. Figures are means over targets (over sizes
and protocols within one). Intervals are from resampling targets, sources and seeds
(``headwater.leaderboard.selectors.resampling``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from headwater.leaderboard.gains.gain_rows import Filter
from headwater.leaderboard.selectors.history import History, TargetSetting
from headwater.leaderboard.selectors.replay import Replay
from headwater.leaderboard.selectors.resampling import Resampling, TargetFigures
from headwater.leaderboard.selectors.stability import Ranking, order_stability, stability
from headwater.leaderboard.statistics.agreement import CORRELATIONS, STATISTICS
from headwater.leaderboard.store.store import Store
from headwater.registry import Question, Selector
from headwater.registry.defaults import DEFAULT_ADAPTATION
from headwater.registry.errors import HeadwaterError, NoEstimates, QueryError
from headwater.registry.names import Value

MIN_SOURCES = 3
"""Sources that a setting must have: two are in the same order or not, an order wants three."""

BUDGET = 0.1
"""Share of the cost of fine-tuning every source once that a search may spend."""

ROUNDING = 1e-6
"""Share of a budget by which it may be passed, so that what is exactly as large fits in."""

MAX_LISTED = 12
"""Tasks that a hint lists."""

_REGRET = list(STATISTICS).index("regret1")
_ONLY_REGRET = slice(_REGRET, _REGRET + 1)

AskedSelector = tuple[Selector, Mapping[str, Value], str]
"""A card, its options, and the name to show."""


@dataclass(frozen=True)
class Bounded:
    """Hold a statistic's mean over targets and its interval at 95 %; None where nothing can be
    said.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """True if there is an interval, and 0 lies outside it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True)
class JudgedSelector:
    """Hold what can be said of one selector.

    Attributes:
        name: The selector's name.
        figures: Each statistic's mean over targets, by the statistic's name.
        targets: The number of targets that it answered for.
        uses_target: Whether it looked at the target; else it answered from metadata and records
            alone.
        chance: Whether it chooses at random.
        seconds: What a question cost; None where the store does not know.
        share: The same as a share of fine-tuning every source once.
        unscored: The number of sources that it had no score for, over all questions.
        refused: The targets that it could not answer for, with the reasons.
        lacks_estimates: Whether every one of these is that the store has none of its estimates.
        tied: Whether it cannot be told by regret from the judgement's best.
        behind: The difference of its regret to the best's.
        stability: How well its own ranking survives a change, by what changes (``stability``).
        by_task: Its figures on each target.
        scores: Its scores (K, S) by the position of the setting.
    """

    name: str
    figures: Mapping[str, Bounded]
    targets: int
    uses_target: bool
    chance: bool
    seconds: float | None
    share: float | None
    unscored: int
    refused: Mapping[str, str]
    lacks_estimates: bool = False
    tied: bool = False
    behind: Bounded | None = None
    stability: Mapping[str, float] = field(default_factory=dict)
    by_task: Mapping[str, TargetFigures] = field(default_factory=dict, repr=False, compare=False)
    scores: Mapping[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def regret_by_target(self) -> dict[str, float]:
        """The regret@1 on each target."""
        return {task: float(figures.measured[_REGRET]) for task, figures in self.by_task.items()}

    @property
    def regret(self) -> float:
        """The mean regret@1; infinite where there is none."""
        value = self.figures["regret1"].value
        return float("inf") if value is None else value


@dataclass(frozen=True)
class Judgement:
    """Hold selectors by regret@1, the best first.

    Attributes:
        adaptation: The adaptation that they are judged by.
        rows: The selectors.
        settings: The settings that they were asked for.
        too_few: The number of settings with fewer than ``MIN_SOURCES`` sources.
        budget: The share of the full cost that a search may spend.
        order_stability: How well the order of selectors itself survives a change, by what changes.
        resampling: The draws behind every interval.
    """

    adaptation: str
    rows: list[JudgedSelector]
    settings: Sequence[TargetSetting]
    too_few: int
    budget: float
    order_stability: Mapping[str, float]
    resampling: Resampling = field(repr=False, compare=False)

    @property
    def targets(self) -> list[str]:
        """The targets of any setting."""
        return sorted({setting.task for setting in self.settings})

    @cached_property
    def noise(self) -> float | None:
        """The mean regret of choosing by one seed's own test values, judged by the other seeds.

        No choice by one training can better it, so it says to about what regrets can be read. None
        without a second seed.
        """
        by_task: dict[str, list[float]] = {}
        for setting in self.settings:
            regrets = _regrets_of_one_seed(setting)
            if regrets:
                of_task = by_task.setdefault(setting.task, [])
                of_task += regrets
        if not by_task:
            return None
        means = [np.mean(of_task) for of_task in by_task.values()]
        return float(np.mean(means))

    @cached_property
    def best(self) -> JudgedSelector | None:
        """The best of those that answered for the most targets: what others are compared with."""
        return _best(self.rows)

    @cached_property
    def best_static(self) -> JudgedSelector | None:
        """The best of those that did not look at the target, chance aside."""
        static = [row for row in self.rows if not row.uses_target and not row.chance]
        return _best(static)

    @cached_property
    def best_looking(self) -> JudgedSelector | None:
        """The best of those that looked at the target."""
        return _best([row for row in self.rows if row.uses_target])


def _regrets_of_one_seed(setting: TargetSetting) -> list[float]:
    """Return the regret of choosing by each seed's test values, judged by the mean of the others.

    It is empty where there is no second seed, and lacks seeds whose best truth is 0.
    """
    regrets: list[float] = []
    if len(setting.quality) < 2:
        return regrets
    for seed, of_seed in enumerate(setting.quality):
        # The seed that chose must not judge: its own luck would count as skill.
        truth = np.delete(setting.quality, seed, axis=0).mean(axis=0)
        best = float(truth.max())
        if best:
            chosen = float(truth[of_seed.argmax()])
            regrets.append((best - chosen) / abs(best))
    return regrets


@dataclass
class _Replies:
    """Collect what one selector answered.

    Attributes:
        scores: By the position of a setting, scores (K, S).
        seconds: By the position of a setting, the mean cost of a seed's question.
        refused: By target, why it did not answer.
        other_refusals: The number of refusals that are not for want of estimates.
        unscored: The number of sources that it had no score for.
        uses_target: Whether it looked at a target.
        chance: Whether it chooses at random.
    """

    scores: dict[int, np.ndarray] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    other_refusals: int = 0
    unscored: int = 0
    uses_target: bool = False
    chance: bool = False


def judge(
    store: Store,
    selectors: Sequence[AskedSelector],
    wanted: Filter | None = None,
    adaptation: str = DEFAULT_ADAPTATION,
    *,
    budget: float = BUDGET,
) -> Judgement:
    """Judge selectors on what a store holds.

    Args:
        store: The store.
        selectors: The selectors, each with its options and the name to show.
        wanted: The cells that count; all by default.
        adaptation: The adaptation whose measured quality is the truth.
        budget: The share of fine-tuning every source once that a search may spend.

    Raises:
        QueryError: The store holds no such outcomes.
    """
    history = History.read(store, adaptation)
    settings = _wanted_settings(history, wanted or Filter())
    enough = [setting for setting in settings if len(setting.sources) >= MIN_SOURCES]
    if not enough:
        raise _nothing(store, history, settings, adaptation)
    replies = {
        name: _ask_all(card, options, enough, history, share=budget)
        for card, options, name in selectors
    }
    costs = [_full_cost(setting, history) for setting in enough]
    resampling = Resampling(enough)
    rows = [_judged(name, reply, resampling, costs) for name, reply in replies.items()]
    rows.sort(key=lambda row: (row.regret, row.name))
    rankings = {name: _rankings(enough, reply) for name, reply in replies.items()}
    return Judgement(
        adaptation,
        _with_ties(rows, resampling),
        enough,
        too_few=len(settings) - len(enough),
        budget=budget,
        order_stability=order_stability(enough, rankings),
        resampling=resampling,
    )


# -- asking ----------------------------------------------------------------------------------------


def _wanted_settings(history: History, wanted: Filter) -> list[TargetSetting]:
    """Return the settings that have a cell which the filter keeps."""
    if history.cells.empty:
        return []
    rows = wanted.keep(history.cells)
    keys = set(rows[["task", "size", "protocol", "metric"]].itertuples(index=False, name=None))
    return [setting for setting in history.settings if setting.key in keys]


def _full_cost(setting: TargetSetting, history: History) -> float:
    """Return the seconds that fine-tuning every source takes, mean over seeds."""
    replays = [Replay(setting, seed, history, 0) for seed in setting.seeds]
    return float(np.mean([replay.full_cost for replay in replays]))


def _ask_all(
    card: Selector,
    options: Mapping[str, Value],
    settings: Sequence[TargetSetting],
    history: History,
    *,
    share: float,
) -> _Replies:
    """Ask a selector in every setting; what it raises is recorded as a refusal."""
    replies = _Replies(chance=card.chance)
    allowed = max(share, card.share) * (1 + ROUNDING)
    for position, setting in enumerate(settings):
        replays = [Replay(setting, seed, history, allowed) for seed in setting.seeds]
        try:
            _ask(card, options, replays, replies=replies, position=position)
        except HeadwaterError as refusal:
            replies.refused[setting.task] = refusal.message
            replies.other_refusals += not isinstance(refusal, NoEstimates)
        except Exception as error:  # a plugin is foreign code: what it raises is its own failure
            replies.refused[setting.task] = f"{type(error).__name__}: {error}"
            replies.other_refusals += 1
    return replies


def _ask(
    card: Selector,
    options: Mapping[str, Value],
    replays: Sequence[Replay],
    *,
    replies: _Replies,
    position: int,
) -> None:
    """Ask a selector in one setting, once a seed; once in all if it looks at nothing that differs
    between seeds.
    """
    scores: list[list[float]] = []
    spent: list[float] = []
    for replay in replays:
        scores.append(_scores(card, options, replay.question()))
        spent.append(replay.spent)
        replies.uses_target |= replay.worked
        replies.unscored += replay.unscored
        # What looks at nothing of the target answers alike for every seed.
        if not replays[0].worked:
            scores = scores * len(replays)
            break
    replies.scores[position] = np.array(scores)
    replies.seconds[position] = float(np.mean(spent))


def _scores(card: Selector, options: Mapping[str, Value], question: Question) -> list[float]:
    """Return a selector's scores in the order of the question's sources; raises QueryError for one
    that is missing or no number.
    """
    names = [source.name for source in question.sources]
    # Equal scores are a tie of all, whose figures are expectations: chance needs no draws.
    if card.chance:
        return [0.0] * len(names)
    by_name = card.scores(question, **options)
    scores = []
    for name in names:
        if name not in by_name:
            raise QueryError(f"it gives no score for {name}")
        score = float(by_name[name])
        if not np.isfinite(score):
            raise QueryError(f"its score for {name} is not a number")
        scores.append(score)
    return scores


# -- judging ---------------------------------------------------------------------------------------


def _judged(
    name: str, replies: _Replies, resampling: Resampling, costs: Sequence[float]
) -> JudgedSelector:
    """Return what can be said of a selector by its answers."""
    settings = resampling.settings
    tasks = sorted({settings[position].task for position in replies.scores})
    row = JudgedSelector(
        name=name,
        figures={key: Bounded(None) for key in STATISTICS},
        targets=len(tasks),
        uses_target=replies.uses_target,
        chance=replies.chance,
        seconds=None,
        share=None,
        unscored=replies.unscored,
        refused=replies.refused,
        lacks_estimates=bool(replies.refused) and not replies.other_refusals,
    )
    if not tasks:
        return row
    by_task = {task: resampling.figures(task, replies.scores) for task in tasks}
    measured, drawn = resampling.mean(by_task)
    figures = {}
    for at, key in enumerate(STATISTICS):
        bounded = _bounded(measured[at], drawn[at], resampling, len(tasks))
        figures[key] = _within_range(key, bounded)
    seconds, share = _cost(replies, costs)
    return replace(
        row,
        figures=figures,
        seconds=seconds,
        share=share,
        stability=stability(_rankings(settings, replies)),
        by_task=by_task,
        scores=replies.scores,
    )


def _best(rows: Sequence[JudgedSelector]) -> JudgedSelector | None:
    """Return the first row that answered for the most targets: a low regret on a few easy ones says
    little.
    """
    most_targets = max((row.targets for row in rows), default=0)
    if not most_targets:
        return None
    return next(row for row in rows if row.targets == most_targets)


def regret_difference(
    first: JudgedSelector, second: JudgedSelector, resampling: Resampling
) -> Bounded:
    """Return the mean regret@1 of the first less that of the second.

    It is over the targets, sizes and protocols that both answered for.
    """
    shared = [position for position in first.scores if position in second.scores]
    if not shared:
        return Bounded(None)
    tasks = {resampling.settings[position].task for position in shared}
    differences = {}
    for task in sorted(tasks):
        of_first = _figures_on(first, task, shared, resampling)
        of_second = _figures_on(second, task, shared, resampling)
        # Differenced draw by draw: what makes a draw easy for both cancels out.
        measured_gap = of_first.measured - of_second.measured
        pool_gap = of_first.pool - of_second.pool
        differences[task] = TargetFigures(measured_gap[_ONLY_REGRET], pool_gap[_ONLY_REGRET])
    measured, drawn = resampling.mean(differences)
    return _bounded(measured[0], drawn[0], resampling, len(differences))


def _figures_on(
    row: JudgedSelector, task: str, positions: Sequence[int], resampling: Resampling
) -> TargetFigures:
    """Return a row's figures on a target, over these of its settings alone."""
    answered = [at for at in row.scores if resampling.settings[at].task == task]
    shared = [position for position in answered if position in positions]
    if shared == answered:  # worked out already
        return row.by_task[task]
    scores = {position: row.scores[position] for position in shared}
    return resampling.figures(task, scores)


def _with_ties(rows: Sequence[JudgedSelector], resampling: Resampling) -> list[JudgedSelector]:
    """Mark the best, and all whose regret cannot be told from its."""
    best = _best(rows)
    if best is None:
        return list(rows)
    marked = []
    for row in rows:
        gap = regret_difference(row, best, resampling)
        is_tied = bool(row.targets) and not gap.excludes_zero
        marked.append(replace(row, tied=is_tied, behind=gap))
    return marked


def _bounded(value: float, drawn: np.ndarray, resampling: Resampling, targets: int) -> Bounded:
    """Return a value with the interval of its draws; None where it is not a number."""
    if np.isnan(value):
        return Bounded(None)
    low, high = resampling.interval(float(value), drawn, targets)
    return Bounded(float(value), low, high)


def _within_range(key: str, figure: Bounded) -> Bounded:
    """Clip an interval to the range of its statistic."""
    if figure.low is None or figure.high is None:
        return figure
    lowest, highest = -np.inf, 1.0
    if key in CORRELATIONS:
        lowest = -1.0
    elif key.startswith("regret"):
        lowest, highest = 0.0, np.inf
    low, high = np.clip([figure.low, figure.high], lowest, highest)
    return replace(figure, low=float(low), high=float(high))


def _cost(replies: _Replies, costs: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the mean seconds of a question, and the mean share of the full cost; None where that
    is unknown.
    """
    if not replies.uses_target:
        return 0.0, 0.0
    seconds = []
    shares = []
    for position in replies.scores:
        full_cost = costs[position]
        if full_cost <= 0:  # imported cells have no cost
            return None, None
        spent = replies.seconds[position]
        seconds.append(spent)
        shares.append(spent / full_cost)
    return float(np.mean(seconds)), float(np.mean(shares))


def _rankings(settings: Sequence[TargetSetting], replies: _Replies) -> list[Ranking]:
    """Return a selector's scores as rankings, one a setting and seed."""
    rankings = []
    for position, scores in replies.scores.items():
        setting = settings[position]
        for seed, of_seed in zip(setting.seeds, scores, strict=True):
            rankings.append(Ranking(position, setting, seed, of_seed))
    return rankings


def _nothing(
    store: Store, history: History, settings: Sequence[TargetSetting], adaptation: str
) -> QueryError:
    """Return the error that says what the store lacks to judge by."""
    if history.cells.empty:
        return QueryError(
            f"{store.path} holds no cells of {adaptation}",
            subject=adaptation,
            hint=(
                "Selectors are judged by measured fine-tuning: headwater run, "
                "or --adaptation NAME for another adaptation."
            ),
        )
    if not settings:
        tasks = sorted({setting.task for setting in history.settings})
        listed = ", ".join(tasks[:MAX_LISTED])
        return QueryError(
            f"no cell of {adaptation} matches",
            subject=adaptation,
            hint=f"Tasks: {listed}; leave out --task, --size or --domain.",
        )
    most_sources = max(len(setting.sources) for setting in settings)
    return QueryError(
        f"no target was measured with {MIN_SOURCES} sources: {most_sources} at most",
        subject=adaptation,
        hint="A choice wants something to choose among: add sources to the benchmark.",
    )
