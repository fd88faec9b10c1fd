"""Rungs: how far a source was tested, and the values it reached there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtri

from headwater.harness.results.predictions import Predictions
from headwater.leaderboard.statistics.board import CONFIDENCE

Distances = tuple[float, float]
"""How far below a value its lower bound lies, and how far above it its upper one."""


@dataclass(frozen=True, order=True)
class Rung:
    """A fine-tuning on so many images for so many epochs; a larger rung says more."""

    images: int
    epochs: int


@dataclass(frozen=True)
class Sample:
    """A source at one rung.

    Attributes:
        qualities: The metric on validation by seed, sign-corrected: higher is better.
        predictions: What each seed's network predicted on validation; seeds without are left out.
        sign: 1 where the metric should be high, -1 where it should be low.
    """

    qualities: Mapping[int, float]
    predictions: Mapping[int, Predictions]
    sign: int = 1

    @cached_property
    def quality(self) -> float:
        """The mean quality over the seeds."""
        return float(np.mean(list(self.qualities.values())))

    @property
    def seeds(self) -> int:
        return len(self.qualities)

    @cached_property
    def spread(self) -> Distances | None:
        """The distances to the bounds of the quality, by the choice of images alone.

        None where predictions are missing, or are too few to tell.
        """
        distances: list[Distances] = []
        for seed in self.qualities:
            of_seed = self._distances(seed) if seed in self.predictions else None
            if of_seed is None:
                return None
            distances.append(of_seed)
        low, high = np.mean(distances, axis=0)
        # Seeds that validate on other images know more of them: a distance shrinks with the root
        # of the number of images, here of all distinct ones over those of one seed.
        images_per_seed = np.mean([len(predictions) for predictions in self.predictions.values()])
        share = self.distinct / images_per_seed
        return float(low / share**0.5), float(high / share**0.5)

    def _distances(self, seed: int) -> Distances | None:
        """Return how far one seed's quality lies from its bounds by the images; None if unknown."""
        quality = self.qualities[seed]
        interval = self.predictions[seed].interval
        if interval is None:
            return None
        low, high = sorted(self.sign * bound for bound in interval)
        return max(0.0, quality - low), max(0.0, high - quality)

    @property
    def distinct(self) -> int:
        """Return how many different images it was validated on, over all seeds."""
        rows = [predictions.rows for predictions in self.predictions.values()]
        return len(np.unique(np.concatenate(rows)))

    @property
    def image_variance(self) -> float:
        """Return the variance of one seed's quality by its images; defined where there is a spread.

        A normal interval's width is two quantiles times the standard deviation.
        """
        variances = []
        for seed in self.predictions:
            distances = self._distances(seed)
            if distances is not None:
                width = sum(distances)
                variances.append((width / 2 / ndtri((1 + CONFIDENCE) / 2)) ** 2)
        return float(np.mean(variances))


Grid = Mapping[str, Mapping[Rung, Sample]]
"""What was measured: source -> rung -> sample."""
