"""Which sources of an answer can be told apart, image by image at the top rung, and by more seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from headwater.harness.results.predictions import Predictions
from headwater.harness.selecting.prediction import Prediction
from headwater.harness.selecting.rungs import Sample
from headwater.leaderboard.statistics.board import CONFIDENCE
from headwater.leaderboard.statistics.differences import adjusted_over_pairs

MAX_SEEDS = 100
"""Nobody runs more seeds than this to separate two sources."""


@dataclass(frozen=True)
class Difference:
    """The difference of two qualities.

    Attributes:
        mean: The difference.
        low: Its lower bound.
        high: Its upper bound.
        by_images: Variance of one seed's difference by its images; 0 where it is not known.
        by_seeds: Variance between seeds beyond that.
        seeds: How many seeds it was measured with.
    """

    mean: float
    low: float
    high: float
    by_images: float = 0.0
    by_seeds: float = 0.0
    seeds: int = 1

    @property
    def p_value(self) -> float:
        """One less the confidence at which the interval would reach 0, were it a normal one."""
        centre, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        if half == 0:
            return float(centre == 0)
        z = float(ndtri((1 + CONFIDENCE) / 2))
        return float(2 * ndtr(-z * abs(centre) / half))


@dataclass(frozen=True)
class SourceComparison:
    """The sources of an answer, in its order, held against each other."""

    sources: Sequence[str]
    prediction: Prediction

    @cached_property
    def better(self) -> np.ndarray:
        """(S, S) bool: True where the row's quality at the top rung exceeds the column's.

        All pairs are adjusted together: of the differences claimed about 5 % are false.
        """
        count = len(self.sources)
        p_values = np.full((count, count), np.nan)
        means = np.zeros((count, count))
        for row in range(count):
            for column in range(row + 1, count):
                difference = self.difference(row, column)
                if difference is not None:
                    p_values[row, column] = p_values[column, row] = difference.p_value
                    means[row, column] = (difference.low + difference.high) / 2
                    means[column, row] = -means[row, column]
        is_told = np.nan_to_num(adjusted_over_pairs(p_values), nan=1.0) <= 1 - CONFIDENCE
        return is_told & (means > 0)

    @cached_property
    def ranks(self) -> list[tuple[int, int]]:
        """Each source's best and worst rank.

        The best is behind all that are better, the worst before all that are worse.
        """
        count = len(self.sources)
        ranks = []
        for place in range(count):
            ahead = int(self.better[:, place].sum())
            behind = int(self.better[place].sum())
            ranks.append((1 + ahead, count - behind))
        return ranks

    @property
    def ordered(self) -> list[str]:
        """The sources by how many were measured to be better; equal ones keep their order."""
        ahead = self.better.sum(axis=0)
        places = sorted(range(len(self.sources)), key=lambda place: int(ahead[place]))
        return [self.sources[place] for place in places]

    @cached_property
    def tied(self) -> list[int]:
        """The places of the sources that cannot be told from the first."""
        if not self.sources:
            return []
        is_apart = self.better[0] | self.better[:, 0]
        return [place for place in range(1, len(self.sources)) if not is_apart[place]]

    def difference(self, row: int, column: int) -> Difference | None:
        """Return the quality of the source at one place less that at another.

        It is taken over the same images where both sources reached the top rung; else as if the two
        were independent. None where one of them is not known with bounds.
        """
        paired_difference = self._paired_at_top(row, column)
        if paired_difference is not None:
            return paired_difference
        a = self.prediction.of(self.sources[row])
        b = self.prediction.of(self.sources[column])
        if a.quality is None or a.low is None or a.high is None:
            return None
        if b.quality is None or b.low is None or b.high is None:
            return None
        # MOVER (see ``prediction``): a difference is low where a is low and b is high.
        mean = a.quality - b.quality
        down = math.hypot(a.quality - a.low, b.high - b.quality)
        up = math.hypot(a.high - a.quality, b.quality - b.low)
        return Difference(mean, mean - down, mean + up)

    def _paired_at_top(self, row: int, column: int) -> Difference | None:
        """Return the difference over the same images; None unless both reached the top rung."""
        top = self.prediction.top
        if top is None:
            return None
        grid = self.prediction.grid
        a = grid.get(self.sources[row], {}).get(top)
        b = grid.get(self.sources[column], {}).get(top)
        if a is None or b is None:
            return None
        return paired(a, b)

    def more_seeds(self, row: int, column: int, validation: float) -> int | None:
        """Return about how many more seeds would separate two sources.

        The difference is taken to stay as it is. Each seed validates on other images, until all
        training images were looked at.

        Args:
            row: The place of one source.
            column: The place of the other.
            validation: The share of the training images that a seed validates on.

        Returns:
            The number of seeds beyond those that were run; None where up to ``MAX_SEEDS`` would
            not, or where it cannot be told.
        """
        difference = self.difference(row, column)
        if difference is None or not difference.by_images or not difference.mean:
            return None
        z = float(ndtri((1 + CONFIDENCE) / 2))
        for seeds in range(difference.seeds + 1, MAX_SEEDS + 1):
            # A seed validates on this share of the images, so 1 / share of them look at all; from
            # there on seeds bring no new images.
            by_images = difference.by_images * max(1 / seeds, validation)
            variance = by_images + difference.by_seeds / seeds
            if z * math.sqrt(variance) < abs(difference.mean):
                return seeds - difference.seeds
        return None


def paired(a: Sample, b: Sample) -> Difference | None:
    """Return the difference of two samples over the images that both validated on, seed by seed.

    The variance of the mean difference has two parts. By images: that of the difference on one
    image over the number of distinct images; for a share of right answers by Bonett and Price
    (``_share_difference``). By seeds: the variance between the seeds' differences, less what their
    images explain, over the number of seeds. The bounds put the normal quantile times the root of
    the first and the t quantile times the root of the second together by their squares.

    Args:
        a: One source's sample.
        b: The other's, at the same rung.

    Returns:
        The difference; None where predictions are missing, are of other images, or are too few to
        have a spread.
    """
    seeds = sorted(set(a.predictions) & set(b.predictions))
    pairs = [(a.predictions[seed], b.predictions[seed]) for seed in seeds]
    if not pairs:
        return None
    for of_a, of_b in pairs:
        # Row i of both must be the same image, or nothing is paired.
        if not np.array_equal(of_a.rows, of_b.rows):
            return None
    rows = np.concatenate([of_a.rows for of_a, _ in pairs])
    distinct = len(np.unique(rows))
    differences = [a.qualities[seed] - b.qualities[seed] for seed in seeds]
    mean = float(np.mean(differences))
    first_of_a, _ = pairs[0]
    if first_of_a.is_accuracy:
        # Bonett and Price shrink the centre, too: the bounds lie around it, not around the mean.
        centre, variance = _of_accuracies(pairs, distinct, len(rows))
    else:
        value_variance = _of_values(pairs, distinct)
        if value_variance is None:
            return None
        centre, variance = mean, value_variance
    # ``variance`` is over all distinct images; one seed saw fewer, and varies more by as much.
    images_per_seed = len(rows) / len(seeds)
    by_images = variance * distinct / images_per_seed
    half_widths = [float(ndtri((1 + CONFIDENCE) / 2)) * math.sqrt(variance)]
    by_seeds = 0.0
    if len(seeds) > 1:
        # The difference of two estimates of a variance can be negative; a variance cannot.
        by_seeds = max(0.0, float(np.var(differences, ddof=1)) - by_images)
        quantile = float(stdtrit(len(seeds) - 1, (1 + CONFIDENCE) / 2))
        half_widths.append(quantile * math.sqrt(by_seeds / len(seeds)))
    half = math.hypot(*half_widths)
    return Difference(
        mean=mean,
        low=centre - half,
        high=centre + half,
        by_images=by_images,
        by_seeds=by_seeds,
        seeds=len(seeds),
    )


Pairs = Sequence[tuple[Predictions, Predictions]]
"""The predictions of two sources on the same images, a pair for each seed."""


def _of_accuracies(pairs: Pairs, distinct: int, images: int) -> tuple[float, float]:
    """Return the centre and the variance of a difference of accuracies.

    An image that several seeds validated on counts once: counts are scaled by distinct / images.
    """
    change = np.concatenate([of_a.correct - of_b.correct for of_a, of_b in pairs])
    share = distinct / images
    better = float((change > 0).sum()) * share
    worse = float((change < 0).sum()) * share
    return _share_difference(better, worse, distinct)


def _of_values(pairs: Pairs, distinct: int) -> float | None:
    """Return the variance of a mean difference of any other metric, by the metric's draws."""
    variances: list[float] = []
    for of_a, of_b in pairs:
        if min(len(of_a), len(of_b)) < 2:
            return None
        # Both draw the same images each time, so that their common luck cancels.
        gap = of_a.drawn - of_b.drawn
        # A draw can lack what the metric needs (a class without images); it has no value then.
        gap = gap[~np.isnan(gap)]
        if len(gap) < 2:
            return None
        variances.append(gap.var(ddof=1))
    of_one_seed = float(np.mean(variances))
    images_per_seed = len(pairs[0][0])
    return of_one_seed * images_per_seed / distinct


def _share_difference(better: float, worse: float, images: int) -> tuple[float, float]:
    """Return a difference of two shares of the same images, and its variance.

    Bonett & Price, J. Educ. Behav. Stat. 2012: of the images that only one source answered rightly,
    one more is counted for each, so that few images are not taken for certainty.
    """
    up = (better + 1) / (images + 2)
    down = (worse + 1) / (images + 2)
    return up - down, (up + down - (up - down) ** 2) / (images + 2)
