"""The meaning of a predicted relative rank in quality, and the noise of a measured value, as
variance components.

All values are relative qualities (the quality over the best of its setting), centred within a
setting, of the sources that are predicted above the mean of their setting, since a choice is made
among those. The rows are selected by what was predicted; selecting them by what came out would
flatten the slope.

A record of source s, trained with seed r on task t, is modelled as

    quality_tsr = slope · rank_ts + a_ts + e_tsr,    a_ts ~ (0, spread),  e_tsr ~ (0, seed)

where ``rank`` is the predicted relative rank, a_ts what the source is worth on this task beyond
that, and e_tsr the effect of the seed. The slope is that of least squares. With n_s seeds of source
s, the mean squares of the analysis of variance are

    within  = Σ_s Σ_r (e_tsr − ē_ts)² / degrees of freedom
    between = Σ_s (mean_ts − mean_t)² / (sources − 1)

whose expectations are

    E within = seed,    E between = spread + seed · mean_s(1/n_s)

and the components follow by equating them with their expectations (Searle, Casella and McCulloch,
Variance Components, 1992, chapter 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from headwater import Record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MIN_SLOPE = 0.02
"""Least slope: what was learned counts at least this much, so that its order stands where nothing
else is known.
"""

DEFAULT_SLOPE = 0.1
"""Slope where there are too few records to learn from: the best is a tenth better than the last."""
DEFAULT_DEVIATION = 0.05
"""Deviation about that slope where there are too few records, sources and seeds together."""

DEFAULT_METRIC = 0.7
"""Assumed share of correct images where no metric is known."""


@dataclass(frozen=True)
class Calibration:
    """The meaning of a predicted relative rank, and the variances of what it leaves unexplained.

    Attributes:
        slope: Increase in relative quality from relative rank 0 to 1.
        spread: Variance of what a source is worth on a task beyond its predicted rank.
        seed: Variance of one training about the mean over seeds.
        image: Variance of a training's validation metric about its test metric, times its training
            images; None where no record has both.
        shortened: Variance of a training on a share of the images about the training on all of
            them, beyond seeds, as a multiple of ``spread`` · (1/share − 1).
        odds: Odds of a miss in the records that ``seed`` and ``image`` were read off: the relative
            variance of a share p is proportional to (1 − p)/p.
    """

    slope: float = DEFAULT_SLOPE
    spread: float = DEFAULT_DEVIATION**2 / 2
    seed: float = DEFAULT_DEVIATION**2 / 2
    image: float | None = None
    shortened: float = 1.0
    odds: float = (1 - DEFAULT_METRIC) / DEFAULT_METRIC

    @classmethod
    def of(cls, rows: Sequence[Record], predicted: np.ndarray, size: int | None) -> Calibration:
        """Fit a calibration to records.

        Args:
            rows: The records, of tasks other than the target.
            predicted: (rows,) relative rank less ½ that is predicted of each, its task left out.
            size: Training images of the target; the records of the nearest size are used. None:
                records of all sizes.

        Returns:
            The fitted calibration.
        """
        table = _table(rows, predicted)
        sizes = sorted(table["size"].dropna().unique())
        # Near by the ratio; of two that are equally near the smaller.
        nearest = min(sizes, key=lambda n: (abs(log(n / (size or n))), n), default=None)
        if nearest is None or not size:
            at_size = table
        else:
            at_size = table[table["size"] == nearest]
        fitted = _predicted_above_mean(at_size)
        slope, spread, seed = _slope_and_components(fitted)
        return cls(
            slope=slope,
            spread=spread,
            seed=seed,
            image=_validation_variance(fitted),
            shortened=_shortened(table, sizes, nearest),
            odds=odds_of_miss(float(fitted["quality"].mean())),
        )

    def trust(
        self, images: float, share: float, validation: float, metric: float | None = None
    ) -> float:
        """Return the weight of a measured value against the belief before it, by the variance of
        each.

        Args:
            images: Training images of the measured training.
            share: Share of the steps of a whole training that was made.
            validation: Share of the images that the value is read on, used where no record tells
                how noisy that is.
            metric: The measured metric, of which the noise depends; None where it is not known.

        Returns:
            spread / (spread + noise), in [0, 1].
        """
        if not self.spread:
            return 0.0
        image = self.odds / validation if self.image is None else self.image
        noise_ratio = 1.0 if metric is None else odds_of_miss(metric) / self.odds
        training_noise = (self.seed + image / max(1.0, images)) * noise_ratio
        shortening_noise = self.shortened * self.spread * (1 / share - 1)
        noise = training_noise + shortening_noise
        return self.spread / (self.spread + noise)


def odds_of_miss(metric: float) -> float:
    """Return (1 − p)/p of a share p of images; a metric outside [0, 1] counts as
    ``DEFAULT_METRIC``.
    """
    is_share = 0 <= metric <= 1
    share = metric if is_share else DEFAULT_METRIC
    # A few images that are all right, or all wrong, do not make a metric without noise.
    p = min(max(share, 0.05), 0.95)
    return (1 - p) / p


# -- rows ------------------------------------------------------------------------------------------


def _table(rows: Sequence[Record], predicted: np.ndarray) -> pd.DataFrame:
    """Return the records as a table, with relative quality and the gap between validation and test."""
    import pandas as pd

    columns = ["source", "task", "setting", "quality", "size", "validation"]
    values = [[getattr(row, name) for name in columns] for row in rows]
    table = pd.DataFrame(values, columns=columns)
    # Where lower is better, qualities are negative: the best of a setting divides by its size.
    best = table.groupby("setting")["quality"].transform("max")
    best = best.abs().replace(0.0, 1.0)
    table = table.astype({"size": float, "validation": float})
    return table.assign(
        predicted=predicted,
        relative=table["quality"] / best,
        gap=(table["validation"] - table["quality"]) / best,
        across_seeds=[row.setting.across_seeds for row in rows],
    )


def _predicted_above_mean(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["predicted"] >= 0]


def _centred(table: pd.DataFrame, column: str) -> pd.Series:
    """Return the column less its mean in each setting."""
    means = table.groupby("setting")[column].transform("mean")
    return table[column] - means


# -- slope and variances ---------------------------------------------------------------------------


def _slope_and_components(table: pd.DataFrame) -> tuple[float, float, float]:
    """Return the slope by least squares, and the variances between sources and between seeds about
    it.
    """
    x = _centred(table, "predicted")
    y = _centred(table, "relative")
    least_squares = float(x @ y) / max(float(x @ x), 1e-12)
    slope = max(MIN_SLOPE, least_squares)
    residual = table["relative"] - slope * table["predicted"]
    spread, seed = _components(table.assign(residual=residual))
    return slope, spread, seed


def _components(table: pd.DataFrame) -> tuple[float, float]:
    """Return the variances of ``residual`` between sources and between seeds, summed over
    settings of several seeds.

    Without a second seed of any source the two cannot be told apart, and each gets half of the
    total.
    """
    between_squares = within_squares = seed_share = 0.0
    source_degrees = seed_degrees = 0
    for _, seeds_together in table.groupby("across_seeds"):
        residual = _centred(seeds_together, "residual")
        means = residual.groupby(seeds_together["source"]).mean()
        sources = len(means)
        from_mean = means - means.mean()
        between_squares += float((from_mean**2).sum())
        # mean_s(1/n_s), weighted by the degrees of freedom of each group.
        seeds = seeds_together.groupby("source").size()
        seed_share += float((1 / seeds).mean()) * (sources - 1)
        source_degrees += sources - 1

        from_source = residual - seeds_together["source"].map(means)
        within_squares += float((from_source**2).sum())
        # Centring takes one degree a setting, the sources' means one each, and they share one.
        settings = seeds_together["setting"].nunique()
        seed_degrees += len(seeds_together) - settings - sources + 1
    between = between_squares / max(1, source_degrees)
    if not seed_degrees:
        return between / 2, between / 2
    # Both mean squares are set equal to their expectations; a variance is not below 0.
    seed = within_squares / seed_degrees
    seed_in_between = seed * seed_share / max(1, source_degrees)
    spread = max(0.0, between - seed_in_between)
    return spread, seed


def _validation_variance(table: pd.DataFrame) -> float | None:
    """Return the variance of validation about test, times images; None where too few records have
    both.

    It holds the binomial noise, the choice of the best of several epochs, and whatever else makes
    validation miss the test.
    """
    complete = table.dropna(subset=["gap", "size"])
    degrees = len(complete) - complete["setting"].nunique()
    if degrees <= 0:
        return None
    # A mean over n images has a variance in proportion to 1/n: times n, sizes compare.
    gap = _centred(complete, "gap")
    squares = gap**2 * complete["size"]
    return float(squares.sum() / degrees)


# -- trainings on fewer images ---------------------------------------------------------------------


def _shortened(table: pd.DataFrame, sizes: Sequence[float], nearest: float | None) -> float:
    """Return ``Calibration.shortened``: the largest over the pairs of sizes that the records allow
    to compare.

    Pairs of the nearest size with smaller ones, or where there are none, with larger ones.
    """
    if not nearest:
        return 1.0
    pairs = [(nearest, size) for size in sizes if size < nearest]
    if not pairs:
        pairs = [(size, nearest) for size in sizes if size > nearest]
    misses = [_miss_of_smaller(table, size, smaller) for size, smaller in pairs]
    return max(misses, default=1.0)


def _miss_of_smaller(table: pd.DataFrame, size: float, smaller: float) -> float:
    """Return how far trainings on ``smaller`` images miss those of the same tasks and sources on
    ``size`` images.

    Returns:
        The variance beyond seeds over spread · (size/smaller − 1); 1 where the records do not tell.
    """
    key = ["task", "source"]
    large_rows = _predicted_above_mean(table[table["size"] == size])
    _, spread, seed = _slope_and_components(large_rows)
    small_rows = table[table["size"] == smaller]
    small_rows = small_rows.merge(large_rows[key].drop_duplicates(), on=key)
    large = large_rows.groupby(key)["relative"].agg(mean="mean", count="size")
    small = small_rows.groupby(key)["relative"].agg(mean="mean", count="size")
    both = large.join(small, rsuffix="_small", how="inner")
    tasks = both.index.get_level_values("task").nunique()
    degrees = len(both) - tasks
    if degrees <= 0 or not spread:
        return 1.0

    # Centred within a task: that all sources lose by fewer images does not change their order.
    gap = both["mean"] - both["mean_small"]
    gap -= gap.groupby("task").transform("mean")
    variance = float((gap**2).sum()) / degrees

    # The means differ by seeds too, the more the fewer there are.
    _, small_seed = _components(small_rows.assign(residual=small_rows["relative"]))
    large_noise = seed * (1 / both["count"]).mean()
    small_noise = small_seed * (1 / both["count_small"]).mean()
    noise = float(large_noise + small_noise)
    beyond_seeds = max(0.0, variance - noise)
    return beyond_seeds / spread / (size / smaller - 1)
