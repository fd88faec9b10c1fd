"""Judging selectors: what each would have chosen, from what the store knew of other targets, against what was measured.

For every target, size and protocol with three sources or more, each selector is asked once a seed (see ``headwater.leaderboard.selectors.replay``), and its
scores are held against the measured quality, mean over seeds. Figures are means over targets (over sizes and protocols within one);
intervals are from resampling targets, sources and seeds (see ``headwater.leaderboard.selectors.resampling``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from headwater.leaderboard.gains.standings import Filter
from headwater.leaderboard.selectors.history import Recorded, Setting
from headwater.leaderboard.selectors.replay import Replay
from headwater.leaderboard.selectors.resampling import Figures, Resampling
from headwater.leaderboard.selectors.stability import Ranking, order_stability, stability
from headwater.leaderboard.statistics.agreement import CORRELATIONS, STATISTICS
from headwater.leaderboard.store.store import Store
from headwater.registry import Question, Selector
from headwater.registry.errors import HeadwaterError, QueryError
from headwater.registry.names import Value

FEWEST = 3
"""Two sources are in the same order or not; an order wants three."""

BUDGET = 0.1
"""What a search may spend: this share of fine-tuning every source once."""

SLACK = 1e-6
"""Of a budget, so that what is exactly as large fits in."""

_REGRET = list(STATISTICS).index("regret1")
_PICK = slice(_REGRET, _REGRET + 1)


@dataclass(frozen=True)
class Figure:
    """A statistic's mean over targets, with its interval at 95 % where there is one; None where nothing can be said."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Judged:
    """One selector. ``uses_target``: whether it looked at the target, or knew its answer from metadata and records alone; ``chance``: random.

    ``seconds``: what a question cost, ``share``: of fine-tuning every source once; None where the store does not know.
    ``unscored``: sources that it had no score for, over all questions; ``refused``: targets it could not answer for, with reasons.
    ``tied``: cannot be told by regret from the judgement's ``best``, which it is ``behind`` by so much. ``stability``: see
    ``headwater.leaderboard.selectors.stability``.
    """

    name: str
    figures: Mapping[str, Figure]
    targets: int
    uses_target: bool
    chance: bool
    seconds: float | None
    share: float | None
    unscored: int
    refused: Mapping[str, str]
    tied: bool = False
    behind: Figure | None = None
    stability: Mapping[str, float] = field(default_factory=dict)
    of: Mapping[str, Figures] = field(default_factory=dict, repr=False, compare=False)
    answers: Mapping[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    """Its scores (K, S), by position of the setting."""

    @property
    def by_target(self) -> dict[str, float]:
        """regret@1 on each target."""
        return {task: float(figures.own[_REGRET]) for task, figures in self.of.items()}

    @property
    def regret(self) -> float:
        value = self.figures["regret1"].value
        return float("inf") if value is None else value


@dataclass(frozen=True)
class Judgement:
    """Selectors by regret@1, the best first. ``order_stability``: how well the order of selectors itself survives other protocols."""

    adaptation: str
    rows: list[Judged]
    settings: Sequence[Setting]
    too_few: int
    budget: float
    order_stability: Mapping[str, float]
    resampling: Resampling = field(repr=False, compare=False)

    @property
    def targets(self) -> list[str]:
        return sorted({setting.task for setting in self.settings})

    @cached_property
    def noise(self) -> float | None:
        """How far behind, by the other seeds, the source lies that a seed's own test values put first: mean regret over targets and
        seeds. What no choice by one training can better, and about what regrets are read to; None without a second seed."""
        by_task: dict[str, list[float]] = {}
        for setting in self.settings:
            for seed in range(len(setting.quality)) if len(setting.quality) > 1 else ():
                others = np.delete(setting.quality, seed, axis=0).mean(axis=0)
                best = float(others.max())
                if best:
                    behind = (best - float(others[int(setting.quality[seed].argmax())])) / abs(best)
                    by_task.setdefault(setting.task, []).append(behind)
        return float(np.mean([np.mean(values) for values in by_task.values()])) if by_task else None

    @cached_property
    def best(self) -> Judged | None:
        """What the others are held against: the best of those that answered for the most targets."""
        return _best(self.rows)

    @cached_property
    def best_static(self) -> Judged | None:
        """The best of those that did not look at the target, chance aside."""
        return _best([row for row in self.rows if not row.uses_target and not row.chance])

    @cached_property
    def best_looking(self) -> Judged | None:
        """The best of those that looked at the target."""
        return _best([row for row in self.rows if row.uses_target])


@dataclass
class _Answers:
    """What one selector said: by position of the setting, scores (K, S) and the mean cost of a seed's question."""

    scores: dict[int, np.ndarray] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unscored: int = 0
    uses_target: bool = False
    chance: bool = False


def judge(
    store: Store,
    selectors: Sequence[tuple[Selector, Mapping[str, Value], str]],
    wanted: Filter | None = None,
    adaptation: str = "fine_tune",
    budget: float = BUDGET,
) -> Judgement:
    """Judge selectors (card, options, name to show) on what a store holds; raises QueryError where it holds no such outcomes."""
    recorded = Recorded.read(store, adaptation)
    settings = _kept(recorded, wanted or Filter())
    enough = [setting for setting in settings if len(setting.sources) >= FEWEST]
    if not enough:
        raise _nothing(store, recorded, settings, adaptation)
    answers = {
        name: _ask_all(card, options, enough, recorded, budget) for card, options, name in selectors
    }
    costs = [_everything(setting, recorded) for setting in enough]
    resampling = Resampling(enough)
    rows = sorted(
        (_judged(name, said, resampling, costs) for name, said in answers.items()),
        key=lambda row: (row.regret, row.name),
    )
    rankings = {name: _rankings(enough, said) for name, said in answers.items()}
    ordered, few = _with_ties(rows, resampling), len(settings) - len(enough)
    return Judgement(
        adaptation, ordered, enough, few, budget, order_stability(enough, rankings), resampling
    )


# -- asking -----------------------------------------------------------------------------------------------


def _kept(recorded: Recorded, wanted: Filter) -> list[Setting]:
    if recorded.cells.empty:
        return []
    rows = wanted.keep(recorded.cells)
    keys = set(rows[["task", "size", "protocol", "metric"]].itertuples(index=False, name=None))
    return [
        one for one in recorded.settings if (one.task, one.size, one.protocol, one.metric) in keys
    ]


def _everything(setting: Setting, recorded: Recorded) -> float:
    """Mean over seeds of the seconds that fine-tuning every source takes."""
    return float(np.mean([Replay(setting, seed, recorded, 0).everything for seed in setting.seeds]))


def _ask_all(
    card: Selector,
    options: Mapping[str, Value],
    settings: Sequence[Setting],
    recorded: Recorded,
    share: float,
) -> _Answers:
    said = _Answers(chance=card.chance)
    share = max(share, card.share) * (1 + SLACK)
    for place, setting in enumerate(settings):
        try:
            _ask(card, options, place, setting, recorded, share, said)
        except HeadwaterError as refusal:
            said.refused[setting.task] = refusal.message
        except (
            Exception
        ) as error:  # a plugin is foreign code: whatever it raises is its failure, not the table's
            said.refused[setting.task] = f"{type(error).__name__}: {error}"
    return said


def _ask(
    card: Selector,
    options: Mapping[str, Value],
    place: int,
    setting: Setting,
    recorded: Recorded,
    share: float,
    said: _Answers,
) -> None:
    scores, spent = [], []
    for seed in setting.seeds:
        replay = Replay(setting, seed, recorded, share)
        scores.append(_scores(card, options, replay.question()))
        spent.append(replay.spent)
        said.uses_target |= replay.worked
        said.unscored += replay.unscored
        if not replay.worked:  # it looked at nothing that differs between seeds
            scores, spent = scores * len(setting.seeds), spent * len(setting.seeds)
            break
    said.scores[place], said.seconds[place] = np.array(scores), float(np.mean(spent))


def _scores(card: Selector, options: Mapping[str, Value], question: Question) -> list[float]:
    names = [source.name for source in question.sources]
    if card.chance:
        return [0.0] * len(names)
    found = card.rank(question, **options)
    values = [float(found[name]) for name in names]
    if not np.isfinite(values).all():
        raise QueryError(
            f"its score for {names[int(np.argmin(np.isfinite(values)))]} is not a number"
        )
    return values


# -- judging ----------------------------------------------------------------------------------------------


def _judged(name: str, said: _Answers, resampling: Resampling, costs: Sequence[float]) -> Judged:
    settings = resampling.settings
    tasks = sorted({settings[place].task for place in said.scores})
    if not tasks:
        nothing = {key: Figure(None) for key in STATISTICS}
        return Judged(
            name, nothing, 0, said.uses_target, said.chance, None, None, said.unscored, said.refused
        )
    of = {task: resampling.figures(task, said.scores) for task in tasks}
    own, drawn = resampling.mean(of)
    figures = {
        key: _figure(key, own[at], drawn[at], resampling, len(tasks))
        for at, key in enumerate(STATISTICS)
    }
    seconds, share = _cost(said, costs)
    return Judged(
        name,
        figures,
        len(tasks),
        said.uses_target,
        said.chance,
        seconds,
        share,
        said.unscored,
        said.refused,
        stability=stability(_rankings(settings, said)),
        of=of,
        answers=said.scores,
    )


def _best(rows: Sequence[Judged]) -> Judged | None:
    """Of rows in their order, the first that answered for the most targets: a low regret on a few easy ones says little."""
    most = max((row.targets for row in rows), default=0)
    return next((row for row in rows if row.targets == most), None) if most else None


def regret_difference(one: Judged, other: Judged, resampling: Resampling) -> Figure:
    """Mean regret@1 of one less that of the other, on the targets, sizes and protocols that both answered for."""
    both = [place for place in one.answers if place in other.answers]
    if not both:
        return Figure(None)
    of = {}
    for task in sorted({resampling.settings[place].task for place in both}):
        a, b = (_figures_on(row, task, both, resampling) for row in (one, other))
        of[task] = Figures(a.own[_PICK] - b.own[_PICK], a.pool[_PICK] - b.pool[_PICK])
    own, drawn = resampling.mean(of)
    return (
        Figure(None)
        if np.isnan(own[0])
        else Figure(float(own[0]), *resampling.interval(float(own[0]), drawn[0], len(of)))
    )


def _figures_on(row: Judged, task: str, places: Sequence[int], resampling: Resampling) -> Figures:
    """A row's figures on a target, over these of its settings alone."""
    mine = [place for place in row.answers if resampling.settings[place].task == task]
    kept = [place for place in mine if place in places]
    return (
        row.of[task]
        if kept == mine
        else resampling.figures(task, {place: row.answers[place] for place in kept})
    )


def _with_ties(rows: Sequence[Judged], resampling: Resampling) -> list[Judged]:
    """The best, and all whose regret cannot be told from its: 0 lies in the interval of the difference."""
    best = _best(rows)
    if best is None:
        return list(rows)
    differences = [regret_difference(row, best, resampling) for row in rows]
    return [
        replace(row, tied=bool(row.targets) and not _told(gap), behind=gap)
        for row, gap in zip(rows, differences, strict=True)
    ]


def _told(gap: Figure) -> bool:
    return gap.low is not None and gap.high is not None and (gap.low > 0 or gap.high < 0)


def _figure(
    key: str, value: float, drawn: np.ndarray, resampling: Resampling, targets: int
) -> Figure:
    if np.isnan(value):
        return Figure(None)
    low, high = resampling.interval(float(value), drawn, targets)
    if low is None or high is None:
        return Figure(float(value))
    least, most = (
        (-1.0, 1.0)
        if key in CORRELATIONS
        else (0.0, np.inf)
        if key.startswith("regret")
        else (-np.inf, 1.0)
    )
    return Figure(float(value), float(np.clip(low, least, most)), float(np.clip(high, least, most)))


def _cost(said: _Answers, costs: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean seconds of a question, and the mean share of what fine-tuning everything costs; unknown where that is."""
    places = list(said.scores)
    if not said.uses_target:
        return 0.0, 0.0
    if any(costs[place] <= 0 for place in places):
        return None, None
    seconds = [said.seconds[place] for place in places]
    return float(np.mean(seconds)), float(
        np.mean([spent / costs[place] for place, spent in zip(places, seconds, strict=True)])
    )


def _rankings(settings: Sequence[Setting], said: _Answers) -> list[Ranking]:
    return [
        Ranking(place, settings[place], seed, scores[row])
        for place, scores in said.scores.items()
        for row, seed in enumerate(settings[place].seeds)
    ]


def _nothing(
    store: Store, recorded: Recorded, settings: Sequence[Setting], adaptation: str
) -> QueryError:
    if recorded.cells.empty:
        return QueryError(
            f"{store.path} holds no cells of {adaptation}",
            subject=adaptation,
            hint="Selectors are judged by measured fine-tuning: headwater run, or --adaptation NAME for another adaptation.",
        )
    if not settings:
        there = ", ".join(sorted({setting.task for setting in recorded.settings})[:12])
        return QueryError(
            f"no cell of {adaptation} matches",
            subject=adaptation,
            hint=f"Tasks: {there}; leave out --task, --size or --domain.",
        )
    most = max(len(setting.sources) for setting in settings)
    return QueryError(
        f"no target was measured with {FEWEST} sources: {most} at most",
        subject=adaptation,
        hint="A choice wants something to choose among: add sources to the benchmark.",
    )
