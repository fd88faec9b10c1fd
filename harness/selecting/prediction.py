"""Prediction: what each source would reach at the top rung, and how sure that is. docs/select.md states the model.

Independent parts of an error are put together by their interval bounds (MOVER: Zou & Donner, Statistics in Medicine 2008):
the distance to a bound of a sum is the root of the sum of squares of the parts' distances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from headwater.harness.selecting.rungs import Grid, Rung, Sample
from headwater.leaderboard.statistics.bootstrap import LEVEL

LEAST = 3
"""Measured sources that it takes to read a quality off an estimator's score."""

Distances = tuple[float, float]
"""From a value down to its lower bound, and up to its upper one."""


@dataclass(frozen=True)
class Predicted:
    """``quality`` at the top rung, higher is better, with bounds (None: they cannot be told), and from what it was read.

    ``rung``: the highest it was measured at; None where it was only estimated, or not even that.
    """

    quality: float | None
    low: float | None
    high: float | None
    rung: Rung | None
    estimator: str = ""


NOTHING = Predicted(None, None, None, None)


@dataclass(frozen=True)
class Prediction:
    """``grid``: what was measured; ``scores``: estimator -> source -> score; ``bounds``: the metric's range as a quality."""

    grid: Grid
    scores: Mapping[str, Mapping[str, float]]
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @cached_property
    def top(self) -> Rung | None:
        """The highest rung that any source reached."""
        return max((rung for samples in self.grid.values() for rung in samples), default=None)

    def of(self, source: str) -> Predicted:
        samples = self.grid.get(source, {})
        if samples:
            return self._climbed(samples)
        return self._estimated(source)

    # -- measured sources ---------------------------------------------------------------------------------

    def _climbed(self, samples: Mapping[Rung, Sample]) -> Predicted:
        """The value of the highest rung, and what others gained from there to the top."""
        rung = max(samples)
        sample, gains = samples[rung], self.gains(rung)
        parts = [sample.spread, self.by_seed(rung, sample.seeds)]
        if rung == self.top:
            return self._bounded(sample.quality, parts, rung)
        if not len(gains):
            return Predicted(None, None, None, rung)
        return self._bounded(
            sample.quality + float(gains.mean()), [*parts, _of_one_more(gains)], rung
        )

    def gains(self, rung: Rung) -> np.ndarray:
        """(m,) improvement from a rung to the top of the sources that were measured at both."""
        both = [
            samples for samples in self.grid.values() if rung in samples and self.top in samples
        ]
        return np.array([samples[self.top].quality - samples[rung].quality for samples in both])  # type: ignore[index]

    def by_seed(self, rung: Rung, seeds: int) -> Distances:
        """What another seed would change beyond the images it validates on; nothing where no source was repeated."""
        variance, freedom = self.seed_variance(rung)
        if not freedom:
            return 0.0, 0.0
        half = _quantile(freedom) * math.sqrt(variance / seeds)
        return half, half

    def seed_variance(self, rung: Rung) -> tuple[float, int]:
        """Variance between seeds beyond the images', pooled over the sources repeated at a rung, and its degrees of freedom."""
        repeated = [
            s[rung]
            for s in self.grid.values()
            if rung in s and s[rung].seeds > 1 and s[rung].spread is not None
        ]
        freedom = sum(sample.seeds - 1 for sample in repeated)
        if not freedom:
            return 0.0, 0
        excess = sum(
            (s.seeds - 1) * (np.var(list(s.qualities.values()), ddof=1) - s.image_variance)
            for s in repeated
        )
        return max(0.0, float(excess) / freedom), freedom

    def _bounded(
        self,
        quality: float,
        parts: Sequence[Distances | None],
        rung: Rung | None,
        estimator: str = "",
    ) -> Predicted:
        quality = min(max(quality, self.bounds[0]), self.bounds[1])
        if any(part is None for part in parts):
            return Predicted(quality, None, None, rung, estimator)
        down, up = (math.sqrt(sum(part[side] ** 2 for part in parts if part)) for side in (0, 1))
        return Predicted(
            quality,
            max(self.bounds[0], quality - down),
            min(self.bounds[1], quality + up),
            rung,
            estimator,
        )

    # -- sources that were only estimated -----------------------------------------------------------------

    def _estimated(self, source: str) -> Predicted:
        """Read off a line through the measured sources' qualities over the first estimator's scores that allows it."""
        for estimator, scores in self.scores.items():
            points = [(scores[name], q) for name, q in self._known.items() if name in scores]
            if (
                source in scores
                and len(points) >= LEAST
                and (read := _line(np.array(points), scores[source])) is not None
            ):
                quality, half = read
                return self._bounded(quality, [(half, half)], None, estimator)
        return NOTHING

    @cached_property
    def _known(self) -> dict[str, float]:
        return {
            name: p.quality
            for name, samples in self.grid.items()
            if samples and (p := self._climbed(samples)).quality is not None
        }


def _of_one_more(gains: np.ndarray) -> Distances | None:
    """How far one more source's improvement may lie from these sources' mean; None for one, which shows no spread."""
    if len(gains) < 2:
        return None
    half = _quantile(len(gains) - 1) * float(gains.std(ddof=1)) * math.sqrt(1 + 1 / len(gains))
    return half, half


def _line(points: np.ndarray, at: float) -> tuple[float, float] | None:
    """Least squares through (m, 2) points: the value at a place, and half its prediction interval. None where the line does not rise:
    the scores then say nothing of the qualities, or the contrary of what they mean."""
    x, y = points.T
    centred = x - x.mean()
    if not (sxx := float(centred @ centred)) > 0:
        return None
    slope = float(centred @ (y - y.mean())) / sxx
    if slope <= 0:
        return None
    residuals = y - y.mean() - slope * centred
    variance = float(residuals @ residuals) / (len(x) - 2)
    half = _quantile(len(x) - 2) * math.sqrt(
        variance * (1 + 1 / len(x) + (at - x.mean()) ** 2 / sxx)
    )
    return float(y.mean() + slope * (at - x.mean())), half


def _quantile(freedom: int) -> float:
    return float(stdtrit(freedom, (1 + LEVEL) / 2))
