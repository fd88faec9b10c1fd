"""Stability: what survives a change of one component of the protocol, after Agostinelli et al. 2022 (arXiv 2204.01403).

They ask whether the order of the *selectors* survives it (``order_stability``). A selector's own stability asks whether its order of the
*sources* does (``stability``). Both are mean Kendall τ_b over pairs of protocols that differ in exactly one component: the seed (which
images), the size, the protocol (image size, budget); for selectors also the target, and which half of the sources they choose among.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from headwater.leaderboard.selectors.history import Setting
from headwater.leaderboard.statistics.agreement import kendall_tau_b, weighted_tau

_FEWEST = 3


@dataclass(frozen=True)
class Ranking:
    """Scores (S,) of a setting's sources under one seed; ``place`` is the setting's position."""

    place: int
    setting: Setting
    seed: int | None
    scores: np.ndarray

    @property
    def components(self) -> dict[str, object]:
        one = self.setting
        return {
            "target": one.task,
            "size": one.size,
            "protocol": (one.protocol, one.metric),
            "seed": self.seed,
        }


def stability(rankings: Sequence[Ranking]) -> dict[str, float]:
    """By component, the mean τ_b between a selector's rankings of the sources that both protocols have."""
    found: dict[str, list[float]] = {}
    for task in sorted({one.setting.task for one in rankings}):
        for one, other in combinations(
            [ranking for ranking in rankings if ranking.setting.task == task], 2
        ):
            component = _only_difference(one.components, other.components)
            if component and not np.isnan(tau := _agreement(one, other)):
                found.setdefault(component, []).append(tau)
    return {component: float(np.mean(taus)) for component, taus in sorted(found.items())}


def _only_difference(one: Mapping[str, object], other: Mapping[str, object]) -> str | None:
    """The component two protocols differ in, where it is one. Another target has other data, and so another protocol."""
    different = [key for key in one if one[key] != other[key]]
    if "target" in different:
        different = [key for key in different if key != "protocol"]
    return different[0] if len(different) == 1 else None


def _agreement(one: Ranking, other: Ranking) -> float:
    """τ_b on the sources of both; NaN where they are too few, or one protocol knows no order."""
    places = {source: at for at, source in enumerate(other.setting.sources)}
    shared = [
        (at, places[source]) for at, source in enumerate(one.setting.sources) if source in places
    ]
    if len(shared) < _FEWEST:
        return float("nan")
    mine, theirs = one.scores[[at for at, _ in shared]], other.scores[[at for _, at in shared]]
    if not (np.ptp(mine) and np.ptp(theirs)):
        return float("nan")
    return _tau(mine, theirs)


def _tau(one: np.ndarray, other: np.ndarray) -> float:
    return float(kendall_tau_b(one, other, np.ones((1, len(one))))[0])


def order_stability(
    settings: Sequence[Setting], rankings: Mapping[str, Sequence[Ranking]]
) -> dict[str, float]:
    """By component, the mean τ_b between orders of the selectors, each by its weighted τ with the truth under a protocol.

    Only selectors that answered everywhere count, and chance does not; of three or more.
    """
    protocols = [(place, seed) for place, setting in enumerate(settings) for seed in setting.seeds]
    said = {name: {(one.place, one.seed): one for one in of} for name, of in rankings.items()}
    complete = [
        of
        for of in said.values()
        if all(protocol in of and np.ptp(of[protocol].scores) for protocol in protocols)
    ]
    if len(complete) < _FEWEST:
        return {}
    marks = {protocol: np.array([_mark(of[protocol]) for of in complete]) for protocol in protocols}
    found: dict[str, list[float]] = {}
    for one, other in combinations(protocols, 2):
        component = _only_difference(
            *(complete[0][protocol].components for protocol in (one, other))
        )
        if component:
            found.setdefault(component, []).append(_tau(marks[one], marks[other]))
    for place, _ in enumerate(settings):
        found.setdefault("sources", []).extend(_between_halves(place, settings[place], complete))
    means = {
        component: [tau for tau in taus if not np.isnan(tau)]
        for component, taus in sorted(found.items())
    }
    return {component: float(np.mean(taus)) for component, taus in means.items() if taus}


def _mark(ranking: Ranking, among: np.ndarray | None = None) -> float:
    """Weighted τ of a ranking with the mean over seeds; NaN (no order) counts as none."""
    truth = ranking.setting.quality.mean(axis=0)
    among = np.arange(len(truth)) if among is None else among
    tau = float(weighted_tau(ranking.scores[among], truth[among], np.ones((1, len(among))))[0])
    return 0.0 if np.isnan(tau) else tau


def _between_halves(
    place: int, setting: Setting, complete: Sequence[Mapping[tuple[int, int | None], Ranking]]
) -> Iterator[float]:
    """τ_b between the order of selectors on one half of the sources and on the other, drawn at random."""
    count = len(setting.sources)
    if count < 2 * _FEWEST:
        return
    random = np.random.default_rng(zlib.crc32(f"{setting.task} {setting.size}".encode()))
    halves = np.array_split(random.permutation(count), 2)
    for seed in setting.seeds:
        one, other = (
            np.array([_mark(of[place, seed], half) for of in complete]) for half in halves
        )
        yield _tau(one, other)
