"""Calibration: what a predicted standing means in quality, and how far a measured value misses it, as variance components.

All are of relative quality (over the best of its setting), centred within a setting, among the sources predicted above its mean, which is
where a choice is made; the rows are chosen by what was predicted, since a choice by what came out would flatten the slope.

A record is modelled as: slope · predicted standing + what the source is worth on this task beyond that + what its seed did. The
components are those of the analysis of variance of a table of sources by seeds (Searle, Casella and McCulloch 1992, chapter 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from headwater.registry import Record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FLATTEST = 0.02
"""What was learned counts at least so much: where nothing else is known, its order stands."""
SLOPE, SPREAD = 0.1, 0.05
"""Where there are too few records to learn from: the best is a tenth better than the last, give or take 5 %."""

LIKELY = 0.7
"""A metric before anything is known of it."""


@dataclass(frozen=True)
class Calibration:
    """A standing that is higher by 1 means a relative quality that is higher by ``slope``. Variances:

    ``spread``: of what a source is worth on a task beyond that. ``seed``: of one training about the mean over seeds.
    ``image``: of the validation of a training about its test value, times its training images; None where not recorded.
    ``shortened``: of a training on a share of the images about that on all, beyond seeds, over ``spread`` · (1/share − 1).
    ``odds``: of a miss, in the records that seed and image were read off: relative noise of a share p goes by (1 − p)/p.
    """

    slope: float = SLOPE
    spread: float = SPREAD**2 / 2
    seed: float = SPREAD**2 / 2
    image: float | None = None
    shortened: float = 1.0
    odds: float = (1 - LIKELY) / LIKELY

    @classmethod
    def of(cls, rows: Sequence[Record], predicted: np.ndarray, size: int | None) -> Calibration:
        """From records and the standings predicted of them with their task left out; by those of the size nearest to ``size``."""
        table = _table(rows, predicted)
        sizes = sorted(table["size"].dropna().unique())
        near = min(sizes, key=lambda one: (abs(log(one / (size or one))), one), default=None)
        own = _upper(table if near is None or not size else table[table["size"] == near])
        slope, spread, seed = _fitted(own)
        below = [(near, other) for other in sizes if near and other < near]
        pairs = below or [(other, near) for other in sizes if near and other > near]
        shortened = max((_missed(table, *pair) for pair in pairs), default=1.0)
        return cls(
            slope, spread, seed, _by_image(own), shortened, odds_of(float(own["quality"].mean()))
        )

    def trust(
        self, images: float, share: float, validation: float, metric: float | None = None
    ) -> float:
        """The weight of a measured value against what was believed before any, by the variance of each. ``share``: of the training that
        was seen. ``validation``: the share of the images that it is read on, where no record tells how noisy that is."""
        if not self.spread:
            return 0.0
        image = self.odds / validation if self.image is None else self.image
        worse = 1.0 if metric is None else odds_of(metric) / self.odds
        noise = (self.seed + image / max(1.0, images)) * worse + self.shortened * self.spread * (
            1 / share - 1
        )
        return self.spread / (self.spread + noise)


def odds_of(metric: float) -> float:
    """(1 − p)/p of a share of images; what is none is taken to be as noisy as a likely one."""
    p = min(max(metric if 0 <= metric <= 1 else LIKELY, 0.05), 0.95)
    return (1 - p) / p


def _table(rows: Sequence[Record], predicted: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    columns = ("source", "task", "setting", "quality", "protocol", "size", "validation")
    table = pd.DataFrame(
        [[getattr(row, name) for name in columns] for row in rows], columns=list(columns)
    )
    best = table.groupby("setting")["quality"].transform("max").abs().replace(0.0, 1.0)
    numbers = table.astype({"size": float, "validation": float})
    return numbers.assign(
        predicted=predicted,
        relative=table["quality"] / best,
        gap=(numbers["validation"] - table["quality"]) / best,
        protocol=table["protocol"].where(table["protocol"] != "", table["setting"]),
    )


def _upper(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["predicted"] >= 0]


def _fitted(own: pd.DataFrame) -> tuple[float, float, float]:
    """Slope by least squares, and the variances between sources and between seeds of what it leaves."""
    x, y = _centred(own, "predicted"), _centred(own, "relative")
    slope = max(FLATTEST, float(x @ y) / max(float(x @ x), 1e-12))
    return slope, *_components(own.assign(residual=own["relative"] - slope * own["predicted"]))


def _centred(table: pd.DataFrame, column: str) -> pd.Series:
    return table[column] - table.groupby("setting")[column].transform("mean")


def _components(table: pd.DataFrame) -> tuple[float, float]:
    """Variances between sources and between seeds of ``residual``. Without a second seed of anything, each is taken for half of it."""
    between = within = shrunk = 0.0
    sources = degrees = 0
    for _, protocol in table.groupby("protocol"):
        means = (residual := _centred(protocol, "residual")).groupby(protocol["source"]).mean()
        seeds = protocol.groupby("source").size()
        between += float(((means - means.mean()) ** 2).sum())
        shrunk += float((1 / seeds).mean()) * (len(means) - 1)
        sources += len(means) - 1
        within += float(((residual - protocol["source"].map(means)) ** 2).sum())
        degrees += len(protocol) - protocol["setting"].nunique() - len(means) + 1
    total = between / max(1, sources)
    if not degrees:
        return total / 2, total / 2
    seed = within / degrees
    return max(0.0, total - seed * shrunk / max(1, sources)), seed


def _by_image(table: pd.DataFrame) -> float | None:
    """Validation variance times images: binomial, the best of several epochs, and whatever else makes validation miss the test."""
    known = table.dropna(subset=["gap", "size"])
    degrees = len(known) - known["setting"].nunique()
    return (
        float((_centred(known, "gap") ** 2 * known["size"]).sum() / degrees)
        if degrees > 0
        else None
    )


def _missed(table: pd.DataFrame, size: float, smaller: float) -> float:
    """By how much trainings on ``smaller`` miss those of the same tasks and sources on ``size``, beyond seeds; 1 where nothing tells."""
    pair, own = ["task", "source"], _upper(table[table["size"] == size])
    _, spread, seed = _fitted(own)
    rows = table[table["size"] == smaller].merge(own[pair].drop_duplicates(), on=pair)
    large, small = (
        one.groupby(pair)["relative"].agg(mean="mean", count="size") for one in (own, rows)
    )
    both = large.join(small, rsuffix="_small", how="inner")
    degrees = len(both) - both.index.get_level_values("task").nunique()
    if degrees <= 0 or not spread:
        return 1.0
    gap = both["mean"] - both["mean_small"]
    gap -= gap.groupby("task").transform("mean")
    noise = (
        seed * (1 / both["count"]).mean()
        + _components(rows.assign(residual=rows["relative"]))[1] * (1 / both["count_small"]).mean()
    )
    return max(0.0, float((gap**2).sum()) / degrees - float(noise)) / spread / (size / smaller - 1)
