"""Ask what survives a change of one component, after Agostinelli et al. 2022 (arXiv 2204.01403).

They ask whether the order of the *selectors* survives it (``order_stability``). A selector's own
stability asks whether its order of the *sources* does (``stability``). Both are the mean Kendall
tau_b over pairs of rankings that differ in exactly one component: the seed (which images), the
size, the protocol (image size, budget); for selectors also the target, and which half of the
sources they choose among.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan

import numpy as np
from numpy import ndarray as Array

from headwater.leaderboard.selectors.history import TargetSetting
from headwater.leaderboard.statistics.agreement import kendall_tau_b, weighted_tau

MIN_RANKED = 3
"""Sources, or selectors, that an order must have."""


AskedIn = tuple[int, int | None]
"""The position of a setting, and a seed."""


@dataclass(frozen=True)
class Ranking:
    """Hold the scores (S,) of a setting's sources under one seed; ``position`` is the setting's."""

    position: int
    setting: TargetSetting
    seed: int | None
    scores: Array

    @property
    def components(self) -> dict[str, object]:
        """The components that rankings may differ in."""
        setting = self.setting
        return {
            "target": setting.task,
            "size": setting.size,
            "protocol": (setting.protocol, setting.metric),
            "seed": self.seed,
        }

    @property
    def has_order(self) -> bool:
        """True unless all scores are equal."""
        return bool(np.ptp(self.scores))

    def scores_of(self, sources: Sequence[str]) -> Array:
        """Return the scores of these of the setting's sources."""
        columns = {source: column for column, source in enumerate(self.setting.sources)}
        return self.scores[[columns[source] for source in sources]]


def stability(rankings: Sequence[Ranking]) -> dict[str, float]:
    """Return, by component, the mean tau_b between a selector's rankings of the sources that both
    have.
    """
    taus: dict[str, list[float]] = {}
    # Within one target only: the sources of another are ordered anew, which is no instability.
    for task in sorted({ranking.setting.task for ranking in rankings}):
        of_task = [ranking for ranking in rankings if ranking.setting.task == task]
        for first, second in combinations(of_task, 2):
            component = _only_difference(first.components, second.components)
            if component:
                of_component = taus.setdefault(component, [])
                of_component.append(_agreement(first, second))
    return _means(taus)


def _means(taus: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return, by component, the mean of those that are a number; leave out what has none."""
    means = {}
    for component, values in sorted(taus.items()):
        defined = [tau for tau in values if not np.isnan(tau)]
        if defined:
            means[component] = float(np.mean(defined))
    return means


def _only_difference(first: Mapping[str, object], second: Mapping[str, object]) -> str | None:
    """Return the only component in which two rankings differ; None where there are more.

    Another target has other data, and so another protocol, which does not count as a second
    difference.
    """
    different = [key for key in first if first[key] != second[key]]
    if "target" in different:
        different = [key for key in different if key != "protocol"]
    return different[0] if len(different) == 1 else None


def _agreement(first: Ranking, second: Ranking) -> float:
    """Return tau_b on the sources of both; NaN where they are too few, or one has no order."""
    second_sources = set(second.setting.sources)
    shared = [source for source in first.setting.sources if source in second_sources]
    if len(shared) < MIN_RANKED:
        return nan
    first_scores = first.scores_of(shared)
    second_scores = second.scores_of(shared)
    # Scores that are all equal are no ranking, so that nothing of it can survive.
    if not np.ptp(first_scores) or not np.ptp(second_scores):
        return nan
    return _tau(first_scores, second_scores)


def _tau(first: Array, second: Array) -> float:
    """Return Kendall's tau_b of two orders (S,)."""
    each_once = np.ones((1, len(first)))
    (tau,) = kendall_tau_b(first, second, each_once)
    return float(tau)


def order_stability(
    settings: Sequence[TargetSetting], rankings: Mapping[str, Sequence[Ranking]]
) -> dict[str, float]:
    """Return, by component, the mean tau_b between orders of the selectors.

    Selectors are ordered by their weighted tau with the truth. Only selectors that answered
    everywhere count, and chance does not; there must be ``MIN_RANKED`` of them.

    Args:
        settings: The settings that were asked for.
        rankings: The rankings of each selector.
    """
    questions = []
    for position, setting in enumerate(settings):
        questions += [(position, seed) for seed in setting.seeds]
    complete = _complete(questions, rankings)
    if len(complete) < MIN_RANKED:
        return {}
    marks = {}
    for question in questions:
        marks[question] = np.array([_mark(by_question[question]) for by_question in complete])
    components = {question: complete[0][question].components for question in questions}
    taus: dict[str, list[float]] = {}
    for first, second in combinations(questions, 2):
        component = _only_difference(components[first], components[second])
        if component:
            of_component = taus.setdefault(component, [])
            of_component.append(_tau(marks[first], marks[second]))
    between_halves: list[float] = []
    for position, setting in enumerate(settings):
        between_halves += _between_halves(position, setting, complete)
    taus["sources"] = between_halves
    return _means(taus)


def _complete(
    questions: Sequence[AskedIn], rankings: Mapping[str, Sequence[Ranking]]
) -> list[dict[AskedIn, Ranking]]:
    """Return, by question, the rankings of each selector that ordered the sources in all of them.

    The order of selectors would otherwise change with who answered, not with what they answered.
    """
    complete = []
    for of_selector in rankings.values():
        by_question = {
            (ranking.position, ranking.seed): ranking
            for ranking in of_selector
            if ranking.has_order
        }
        if all(question in by_question for question in questions):
            complete.append(by_question)
    return complete


def _mark(ranking: Ranking, among: Array | None = None) -> float:
    """Return the weighted tau of a ranking with the truth, on these of its sources; 0 where it has
    no order.
    """
    truth = ranking.setting.quality.mean(axis=0)
    columns = np.arange(len(truth)) if among is None else among
    each_once = np.ones((1, len(columns)))
    (tau,) = weighted_tau(ranking.scores[columns], truth[columns], each_once)
    return 0.0 if np.isnan(tau) else float(tau)


def _between_halves(
    position: int, setting: TargetSetting, complete: Sequence[Mapping[AskedIn, Ranking]]
) -> Iterator[float]:
    """Yield tau_b between the order of selectors on one half of the sources and on the other, drawn
    at random.
    """
    count = len(setting.sources)
    if count < 2 * MIN_RANKED:
        return
    # Seeded by the setting, so that its halves stay when other settings come or go.
    random = np.random.default_rng(zlib.crc32(f"{setting.task} {setting.size}".encode()))
    first_half, second_half = np.array_split(random.permutation(count), 2)
    for seed in setting.seeds:
        rankings = [by_question[position, seed] for by_question in complete]
        first_marks = np.array([_mark(ranking, first_half) for ranking in rankings])
        second_marks = np.array([_mark(ranking, second_half) for ranking in rankings])
        yield _tau(first_marks, second_marks)
