"""Rungs: how far a source was tested, and what came of it there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headwater.harness.results.predictions import Predictions
from headwater.leaderboard.statistics.bootstrap import LEVEL


@dataclass(frozen=True, order=True)
class Rung:
    """Fine-tuned on so many images for so many epochs; the larger rung says more."""

    images: int
    epochs: int


@dataclass(frozen=True)
class Sample:
    """One source at one rung. ``qualities``: by seed, the metric on validation, higher is better; ``answers``: where they were kept."""

    qualities: Mapping[int, float]
    answers: Mapping[int, Predictions]
    sign: int = 1

    @cached_property
    def quality(self) -> float:
        return float(np.mean(list(self.qualities.values())))

    @property
    def seeds(self) -> int:
        return len(self.qualities)

    @cached_property
    def spread(self) -> tuple[float, float] | None:
        """How far below and above the mean the quality on all such images may lie, by the images alone; None where answers lack, or
        are too few to tell.

        Seeds that validate on other images know more of them: what one seed tells is divided by the root of how many there are.
        """
        around = [self._around(seed) for seed in self.qualities if seed in self.answers]
        told = [distances for distances in around if distances is not None]
        if len(told) < len(self.qualities):
            return None
        low, high = np.mean(told, axis=0)
        share = self.distinct / np.mean([len(answers) for answers in self.answers.values()])
        return float(low / share**0.5), float(high / share**0.5)

    def _around(self, seed: int) -> tuple[float, float] | None:
        quality, interval = self.qualities[seed], self.answers[seed].interval
        if interval is None:
            return None
        bounds = sorted(self.sign * bound for bound in interval)
        return max(0.0, quality - bounds[0]), max(0.0, bounds[1] - quality)

    @property
    def distinct(self) -> int:
        """Different images that it was validated on, over all seeds."""
        return len(np.unique(np.concatenate([answers.rows for answers in self.answers.values()])))

    @property
    def image_variance(self) -> float:
        """Of one seed's quality, by its images; where there is a spread."""
        from scipy.special import ndtri

        widths = [
            sum(around) for seed in self.answers if (around := self._around(seed)) is not None
        ]
        return float(np.mean([(width / 2 / ndtri((1 + LEVEL) / 2)) ** 2 for width in widths]))


Grid = Mapping[str, Mapping[Rung, Sample]]
"""Source -> rung -> what was measured."""
