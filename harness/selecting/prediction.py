"""Predict what each source would reach at the top rung, with bounds; docs/select.md has the model.

A measured source's quality at the top is that of its highest rung r, plus the mean gain from r to
the top of the sources that were measured at both. A source that was only estimated is read off a
least-squares line through the measured sources' qualities over an estimator's scores.

Independent parts of an error are put together by their interval bounds (MOVER: Zou & Donner,
Statistics in Medicine 2008): the distance to a bound of a sum is the root of the sum of squares of
the parts' distances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from headwater.harness.selecting.rungs import Distances, Grid, Rung, Sample
from headwater.leaderboard.statistics.board import CONFIDENCE

MIN_SOURCES_ON_LINE = 3
"""Measured sources that it takes to read a quality off an estimator's score."""


@dataclass(frozen=True)
class Predicted:
    """A source's quality at the top rung; higher is better.

    Attributes:
        quality: The quality; None where nothing tells it.
        low: Its lower bound; None where it cannot be told.
        high: Its upper bound; None where it cannot be told.
        rung: The highest rung it was measured at; None where it was only estimated, or not even
            that.
        estimator: The estimator whose score it was read from; empty for none.
    """

    quality: float | None
    low: float | None
    high: float | None
    rung: Rung | None
    estimator: str = ""


NOTHING_KNOWN = Predicted(None, None, None, None)


@dataclass(frozen=True)
class Prediction:
    """Predictions from what was measured and estimated.

    Attributes:
        grid: What was measured.
        scores: Estimator -> source -> score; the first estimator that tells anything is used.
        bounds: The metric's range as a quality.
    """

    grid: Grid
    scores: Mapping[str, Mapping[str, float]]
    bounds: tuple[float, float] = (-math.inf, math.inf)
    _predicted: dict[str, Predicted] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def top(self) -> Rung | None:
        """The highest rung that any source reached."""
        rungs = (rung for samples in self.grid.values() for rung in samples)
        return max(rungs, default=None)

    def of(self, source: str) -> Predicted:
        """Return the prediction for a source; it is computed once."""
        if source not in self._predicted:
            samples = self.grid.get(source, {})
            if samples:
                self._predicted[source] = self._from_rung(samples)
            else:
                self._predicted[source] = self._from_estimate(source)
        return self._predicted[source]

    # -- measured sources ---------------------------------------------------------------------------------

    def _from_rung(self, samples: Mapping[Rung, Sample]) -> Predicted:
        """Add to the value of the highest rung what others gained from there to the top."""
        rung = max(samples)
        sample = samples[rung]
        # The independent parts of the error: images, seeds and, below the top, the gain from there.
        parts = [sample.spread, self.by_seed(rung, sample.seeds)]
        if rung == self.top:
            return self._bounded(sample.quality, parts, rung)
        gains = self.gains(rung)
        if not len(gains):
            return Predicted(None, None, None, rung)
        quality = sample.quality + float(gains.mean())
        return self._bounded(quality, [*parts, _of_one_more(gains)], rung)

    def gains(self, rung: Rung) -> np.ndarray:
        """Return (m,) gains from a rung to the top of the m sources that were measured at both."""
        top = self.top
        gains: list[float] = []
        for samples in self.grid.values():
            if top is not None and rung in samples and top in samples:
                gains.append(samples[top].quality - samples[rung].quality)
        return np.array(gains)

    def by_seed(self, rung: Rung, seeds: int) -> Distances:
        """Return how far another seed may lie, beyond the images that it validates on.

        Both distances are 0 where no source was repeated.
        """
        variance, freedom = self.seed_variance(rung)
        if not freedom:
            return 0.0, 0.0
        half = _quantile(freedom) * math.sqrt(variance / seeds)
        return half, half

    def seed_variance(self, rung: Rung) -> tuple[float, int]:
        """Return the variance between seeds beyond the images', and its degrees of freedom.

        It is pooled over the sources that were repeated at the rung; what their images explain is
        taken off.
        """
        at_rung = [samples[rung] for samples in self.grid.values() if rung in samples]
        repeated = [sample for sample in at_rung if sample.seeds > 1 and sample.spread is not None]
        freedom = sum(sample.seeds - 1 for sample in repeated)
        if not freedom:
            return 0.0, 0
        excess: float = 0.0
        for sample in repeated:
            variance = np.var(list(sample.qualities.values()), ddof=1)
            # Pooled as in an analysis of variance: each weighs by its degrees of freedom.
            excess += float((sample.seeds - 1) * (variance - sample.image_variance))
        return max(0.0, float(excess) / freedom), freedom

    def _bounded(
        self,
        quality: float,
        parts: Sequence[Distances | None],
        rung: Rung | None,
        estimator: str = "",
    ) -> Predicted:
        """Return a prediction whose bounds put the parts' distances together."""
        lowest, highest = self.bounds
        # A gain may carry the sum beyond what the metric can be.
        quality = min(max(quality, lowest), highest)
        squares_down = 0.0
        squares_up = 0.0
        for part in parts:
            if part is None:
                # Bounds without one part of the error would promise too much.
                return Predicted(quality, None, None, rung, estimator=estimator)
            squares_down += part[0] ** 2
            squares_up += part[1] ** 2
        down = math.sqrt(squares_down)
        up = math.sqrt(squares_up)
        return Predicted(
            quality=quality,
            low=max(lowest, quality - down),
            high=min(highest, quality + up),
            rung=rung,
            estimator=estimator,
        )

    # -- sources that were only estimated -----------------------------------------------------------------

    def _from_estimate(self, source: str) -> Predicted:
        """Read a quality off the line of the first estimator whose scores allow one."""
        for estimator, scores in self.scores.items():
            points: list[tuple[float, float]] = []
            for name, quality in self._measured_qualities.items():
                if name in scores:
                    points.append((scores[name], quality))
            if source not in scores or len(points) < MIN_SOURCES_ON_LINE:
                continue
            on_line = _line(np.array(points), scores[source])
            if on_line is not None:
                quality, half = on_line
                return self._bounded(quality, [(half, half)], None, estimator)
        return NOTHING_KNOWN

    @cached_property
    def _measured_qualities(self) -> dict[str, float]:
        """The predicted quality of every measured source that has one."""
        qualities = {}
        for source, samples in self.grid.items():
            quality = self.of(source).quality if samples else None
            if quality is not None:
                qualities[source] = quality
        return qualities


def _of_one_more(gains: np.ndarray) -> Distances | None:
    """Return how far one more source's gain may lie from the mean of these.

    It is the half width of a t prediction interval, s·t·√(1 + 1/m). None for a single gain, which
    shows no spread.
    """
    count = len(gains)
    if count < 2:
        return None
    spread = float(gains.std(ddof=1))
    half = _quantile(count - 1) * spread * math.sqrt(1 + 1 / count)
    return half, half


def _line(points: np.ndarray, at: float) -> tuple[float, float] | None:
    """Fit least squares through points and predict at a place.

    With x̄ and ȳ the means and Sxx = Σ(x − x̄)², the slope is Σ(x − x̄)(y − ȳ) / Sxx, the residual
    variance s² has m − 2 degrees of freedom, and a new value at x lies within
    t · s · √(1 + 1/m + (x − x̄)² / Sxx) of the line.

    Args:
        points: (m, 2) scores and qualities.
        at: The score to predict at.

    Returns:
        The quality, and half its prediction interval; None where the line does not rise: the scores
        then say nothing of the qualities, or the contrary of what they mean.
    """
    x, y = points.T
    centred = x - x.mean()
    sxx = float(centred @ centred)
    if not sxx > 0:
        return None
    slope = float(centred @ (y - y.mean())) / sxx
    if slope <= 0:
        return None
    residuals = y - y.mean() - slope * centred
    freedom = len(x) - 2
    variance = float(residuals @ residuals) / freedom
    leverage = 1 + 1 / len(x) + (at - x.mean()) ** 2 / sxx
    half = _quantile(freedom) * math.sqrt(variance * leverage)
    return float(y.mean() + slope * (at - x.mean())), half


def _quantile(freedom: int) -> float:
    """Return the two-sided quantile of Student's t at the level of all intervals."""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
