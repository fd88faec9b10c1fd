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

import numpy as np
from numpy import ndarray as Array

from headwater.leaderboard.selectors.history import TargetSetting
from headwater.leaderboard.statistics.agreement import kendall_tau_b, weighted_tau

MIN_RANKED = 3
"""Sources, or selectors, that an order must have."""


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


def stability(rankings: Sequence[Ranking]) -> dict[str, float]:
    """Return, by component, the mean tau_b between a selector's rankings of the sources that both
    have.
    """
    taus: dict[str, list[float]] = {}
    for task in sorted({ranking.setting.task for ranking in rankings}):
        of_task = [ranking for ranking in rankings if ranking.setting.task == task]
        for first, second in combinations(of_task, 2):
            component = _only_difference(first.components, second.components)
            tau = _agreement(first, second) if component else float("nan")
            if component and not np.isnan(tau):
                taus.setdefault(component, []).append(tau)
    return {component: float(np.mean(values)) for component, values in sorted(taus.items())}


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
    columns = {source: column for column, source in enumerate(second.setting.sources)}
    shared = [
        (column, columns[source])
        for column, source in enumerate(first.setting.sources)
        if source in columns
    ]
    if len(shared) < MIN_RANKED:
        return float("nan")
    of_first = first.scores[[column for column, _ in shared]]
    of_second = second.scores[[column for _, column in shared]]
    if not (np.ptp(of_first) and np.ptp(of_second)):
        return float("nan")
    return _tau(of_first, of_second)


def _tau(first: Array, second: Array) -> float:
    """Return Kendall's tau_b of two orders (S,)."""
    return float(kendall_tau_b(first, second, np.ones((1, len(first))))[0])


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
    questions = [
        (position, seed) for position, setting in enumerate(settings) for seed in setting.seeds
    ]
    complete = []
    for of_selector in rankings.values():
        by_question = {(ranking.position, ranking.seed): ranking for ranking in of_selector}
        if all(key in by_question and np.ptp(by_question[key].scores) for key in questions):
            complete.append(by_question)
    if len(complete) < MIN_RANKED:
        return {}
    marks = {
        question: np.array([_mark(by_question[question]) for by_question in complete])
        for question in questions
    }
    components = {question: complete[0][question].components for question in questions}
    taus: dict[str, list[float]] = {}
    for first, second in combinations(questions, 2):
        component = _only_difference(components[first], components[second])
        if component:
            taus.setdefault(component, []).append(_tau(marks[first], marks[second]))
    for position, setting in enumerate(settings):
        between_halves = _between_halves(position, setting, complete)
        taus.setdefault("sources", []).extend(between_halves)
    means = {}
    for component, values in sorted(taus.items()):
        defined = [tau for tau in values if not np.isnan(tau)]
        if defined:
            means[component] = float(np.mean(defined))
    return means


def _mark(ranking: Ranking, among: Array | None = None) -> float:
    """Return the weighted tau of a ranking with the truth, on these of its sources; 0 where it has
    no order.
    """
    truth = ranking.setting.quality.mean(axis=0)
    among = np.arange(len(truth)) if among is None else among
    tau = float(weighted_tau(ranking.scores[among], truth[among], np.ones((1, len(among))))[0])
    return 0.0 if np.isnan(tau) else tau


def _between_halves(
    position: int,
    setting: TargetSetting,
    complete: Sequence[Mapping[tuple[int, int | None], Ranking]],
) -> Iterator[float]:
    """Yield tau_b between the order of selectors on one half of the sources and on the other, drawn
    at random.
    """
    count = len(setting.sources)
    if count < 2 * MIN_RANKED:
        return
    random = np.random.default_rng(zlib.crc32(f"{setting.task} {setting.size}".encode()))
    halves = np.array_split(random.permutation(count), 2)
    for seed in setting.seeds:
        rankings = [by_question[position, seed] for by_question in complete]
        first, second = (
            np.array([_mark(ranking, half) for ranking in rankings]) for half in halves
        )
        yield _tau(first, second)
