"""What a selector's figures would be with other targets, sources and seeds: one bootstrap that all selectors share.

Targets are drawn with replacement; in each, its sources (chosen among, whatever they are) and its seeds. What a target's figures are
under so many drawn sources and seeds is worked out once, as a pool that every draw of the target takes from.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headwater.leaderboard.selectors.history import Setting
from headwater.leaderboard.statistics.agreement import STATISTICS
from headwater.leaderboard.statistics.bootstrap import DRAWS, interval_of

_SEED_DRAWS = 8
_SOURCE_DRAWS = 25
"""For each draw of the seeds; their product is the size of a target's pool."""


@dataclass(frozen=True)
class Figures:
    """Of one selector on one target: each statistic as it is (N,), and in each resampling of sources and seeds (N, R)."""

    own: np.ndarray
    pool: np.ndarray


@dataclass(frozen=True)
class Resampling:
    """The draws for these settings, the same for every selector."""

    settings: Sequence[Setting]

    @cached_property
    def targets(self) -> list[str]:
        return sorted({setting.task for setting in self.settings})

    @cached_property
    def drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """(DRAWS, T) which target stands at each place of a draw, and which of its pool it takes."""
        random = np.random.default_rng(0)
        shape = (DRAWS, len(self.targets))
        return random.integers(len(self.targets), size=shape), random.integers(
            _SEED_DRAWS * _SOURCE_DRAWS, size=shape
        )

    def units(self, targets: int) -> int:
        """What is independent: targets; with one, its sources."""
        return targets if targets > 1 else max(len(setting.sources) for setting in self.settings)

    def figures(self, task: str, answers: Mapping[int, np.ndarray]) -> Figures:
        """Mean over the settings of a target that were answered; ``answers``: position of a setting -> scores (K, S) by seed."""
        mine = [
            (self.settings[place], scores)
            for place, scores in answers.items()
            if self.settings[place].task == task
        ]
        own = np.array([_as_it_is(setting, scores) for setting, scores in mine])
        pools = np.array(
            [_pool(setting, scores, *self._draws_of(task, setting)) for setting, scores in mine]
        )
        return Figures(_mean(own), _mean(pools))

    def _draws_of(self, task: str, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
        """(A, K) how often each draw holds each seed, (A, M, S) and each source: settings of a target share their draws."""
        mine = [one for one in self.settings if one.task == task]
        seeds = sorted({seed for one in mine for seed in one.seeds}, key=str)
        sources = sorted({source for one in mine for source in one.sources})
        random = np.random.default_rng(zlib.crc32(task.encode()))
        held_seeds = random.multinomial(
            len(seeds), np.full(len(seeds), 1 / len(seeds)), size=_SEED_DRAWS
        )
        held = random.multinomial(
            len(sources), np.full(len(sources), 1 / len(sources)), size=(_SEED_DRAWS, _SOURCE_DRAWS)
        )
        own = [seeds.index(seed) for seed in setting.seeds]
        return held_seeds[:, own], held[:, :, [sources.index(source) for source in setting.sources]]

    def mean(self, of: Mapping[str, Figures]) -> tuple[np.ndarray, np.ndarray]:
        """Over targets: each statistic as it is (N,), and in each draw (N, DRAWS). Targets without an answer, or that tell nothing, do
        not count."""
        places, picks = self.drawn
        names = {task: number for number, task in enumerate(self.targets)}
        own = _mean(np.array([figures.own for figures in of.values()]))
        pools = np.full((len(own), len(names), _SEED_DRAWS * _SOURCE_DRAWS), np.nan)
        for task, figures in of.items():
            pools[:, names[task]] = figures.pool
        return own, _mean(np.moveaxis(pools[:, places, picks], 2, 0))

    def interval(
        self, value: float, drawn: np.ndarray, targets: int
    ) -> tuple[float | None, float | None]:
        low, high = interval_of(value, drawn, self.units(targets))
        return (None, None) if np.isnan([value, low, high]).any() else (low, high)


def _as_it_is(setting: Setting, scores: np.ndarray) -> np.ndarray:
    """(N,) each statistic of the scores under each seed against the mean of the seeds, averaged over seeds."""
    truth, everyone = setting.quality.mean(axis=0), np.ones((1, len(setting.sources)))
    return _averaged(scores, np.ones(len(scores)), truth, everyone)[:, 0]


def _pool(
    setting: Setting, scores: np.ndarray, seeds: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """(N, R) the same in each resampling; draws that hold the same seeds have the same truth, and are worked out together."""
    pool = np.full((len(STATISTICS), *sources.shape[:2]), np.nan)
    for held in np.unique(seeds, axis=0):
        alike = np.flatnonzero((seeds == held).all(axis=1))
        if held.any():
            truth = held @ setting.quality / held.sum()
            found = _averaged(
                scores, held, truth, np.concatenate(list(sources[alike])).astype(float)
            )
            pool[:, alike] = found.reshape(len(found), len(alike), -1)
    return pool.reshape(len(pool), -1)


def _averaged(
    scores: np.ndarray, held: np.ndarray, truth: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(N, B) statistics averaged over the seeds held; seeds with the same answer are worked out once."""
    total = np.zeros((len(STATISTICS), len(weights)))
    for answer, count in _distinct(scores, held):
        total += count * np.array(
            [statistic(answer, truth, weights) for statistic in STATISTICS.values()]
        )
    return total / held.sum()


def _distinct(scores: np.ndarray, held: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    answers, places = np.unique(scores, axis=0, return_inverse=True)
    for number, answer in enumerate(answers):
        if count := float(held[places.reshape(-1) == number].sum()):
            yield answer, count


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the first axis, of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    return np.divide(
        np.where(known, values, 0).sum(axis=0),
        counts,
        out=np.full(values.shape[1:], np.nan),
        where=counts > 0,
    )
