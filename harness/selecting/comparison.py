"""Comparison: which sources can be told apart, at the top rung image by image, and what more seeds would tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtri, stdtrit

from headwater.harness.selecting.prediction import Prediction
from headwater.harness.selecting.rungs import Sample
from headwater.leaderboard.statistics.bootstrap import LEVEL

MOST = 100
"""Nobody runs more seeds than this to separate two sources."""


@dataclass(frozen=True)
class Difference:
    """Of two qualities: bounds, and its variances by images (of one seed) and by seeds beyond them."""

    mean: float
    low: float
    high: float
    by_images: float = 0.0
    by_seeds: float = 0.0
    seeds: int = 1


@dataclass(frozen=True)
class Comparison:
    """The sources of an answer, in its order."""

    sources: Sequence[str]
    prediction: Prediction

    @cached_property
    def better(self) -> np.ndarray:
        """(S, S) bool: whether row's quality at the top rung exceeds column's at the level."""
        count = len(self.sources)
        better = np.zeros((count, count), dtype=bool)
        for one in range(count):
            for other in range(one + 1, count):
                if (found := self.difference(one, other)) is not None:
                    better[one, other], better[other, one] = found.low > 0, found.high < 0
        return better

    @cached_property
    def ranks(self) -> list[tuple[int, int]]:
        """The best and the worst rank that the measurements allow: behind all that are better, before all that are worse."""
        count = len(self.sources)
        return [
            (1 + int(self.better[:, at].sum()), count - int(self.better[at].sum()))
            for at in range(count)
        ]

    @property
    def ordered(self) -> list[str]:
        """The sources by how many were measured to be better; among equals as they were."""
        behind = self.better.sum(axis=0)
        return [
            self.sources[at]
            for at in sorted(range(len(self.sources)), key=lambda at: int(behind[at]))
        ]

    @cached_property
    def tied(self) -> list[int]:
        """Those that cannot be told from the first."""
        return [
            at
            for at in range(1, len(self.sources))
            if not self.better[0, at] and not self.better[at, 0]
        ]

    def difference(self, one: int, other: int) -> Difference | None:
        """Row's less column's: over the same images where both reached the top, else as if they were independent; None: not told."""
        top, grid = self.prediction.top, self.prediction.grid
        samples = (
            [grid.get(self.sources[at], {}).get(top) for at in (one, other)]
            if top
            else [None, None]
        )
        if samples[0] and samples[1] and (found := paired(samples[0], samples[1])) is not None:
            return found
        a, b = (self.prediction.of(self.sources[at]) for at in (one, other))
        if (
            a.quality is None
            or b.quality is None
            or a.low is None
            or b.low is None
            or a.high is None
            or b.high is None
        ):
            return None
        mean = a.quality - b.quality
        down = math.hypot(a.quality - a.low, b.high - b.quality)
        return Difference(
            mean, mean - down, mean + math.hypot(a.high - a.quality, b.quality - b.low)
        )

    def more_seeds(self, one: int, other: int, validation: float) -> int | None:
        """How many more seeds would about separate two, if their difference stays as it is; None: none would, or it cannot be told.

        Each seed validates on other images, until all training images (a share of which is ``validation``) were looked at.
        """
        found = self.difference(one, other)
        if found is None or not found.by_images or not found.mean:
            return None
        z = float(ndtri((1 + LEVEL) / 2))
        for seeds in range(found.seeds + 1, MOST + 1):
            variance = found.by_images * max(1 / seeds, validation) + found.by_seeds / seeds
            if z * math.sqrt(variance) < abs(found.mean):
                return seeds - found.seeds
        return None


def paired(one: Sample, other: Sample) -> Difference | None:
    """The difference over the images that both validated on, seed by seed; None where answers lack, the images are others, or are
    too few to have a spread."""
    seeds = sorted(set(one.answers) & set(other.answers))
    if not seeds or any(
        not np.array_equal(one.answers[seed].rows, other.answers[seed].rows) for seed in seeds
    ):
        return None
    pairs = [(one.answers[seed], other.answers[seed]) for seed in seeds]
    rows = np.concatenate([a.rows for a, _ in pairs])
    distinct = len(np.unique(rows))
    if not pairs[0][0].is_accuracy and min(len(answers) for pair in pairs for answers in pair) < 2:
        return None
    differences = [one.qualities[seed] - other.qualities[seed] for seed in seeds]
    mean = float(np.mean(differences))
    if pairs[0][0].is_accuracy:
        change = np.concatenate([a.correct - b.correct for a, b in pairs])
        share = distinct / len(rows)
        centre, variance = _shares(
            float((change > 0).sum()) * share, float((change < 0).sum()) * share, distinct
        )
    else:
        gaps = [gap[~np.isnan(gap)] for gap in (a.drawn - b.drawn for a, b in pairs)]
        if any(len(gap) < 2 for gap in gaps):
            return None
        centre, variance = (
            mean,
            float(np.mean([gap.var(ddof=1) for gap in gaps])) * len(pairs[0][0]) / distinct,
        )
    by_images = variance * distinct / (len(rows) / len(seeds))
    by_seeds = max(0.0, float(np.var(differences, ddof=1)) - by_images) if len(seeds) > 1 else 0.0
    parts = [float(ndtri((1 + LEVEL) / 2)) * math.sqrt(variance)]
    if len(seeds) > 1:
        parts.append(
            float(stdtrit(len(seeds) - 1, (1 + LEVEL) / 2)) * math.sqrt(by_seeds / len(seeds))
        )
    half = math.hypot(*parts)
    return Difference(mean, centre - half, centre + half, by_images, by_seeds, len(seeds))


def _shares(better: float, worse: float, images: int) -> tuple[float, float]:
    """A difference of two shares of the same images and its variance (Bonett & Price, J. Educ. Behav. Stat. 2012): from the images
    that only one answered rightly, one more of each counted, so that few images are not taken for certainty."""
    up, down = (better + 1) / (images + 2), (worse + 1) / (images + 2)
    return up - down, (up + down - (up - down) ** 2) / (images + 2)
