"""Choose a source on some seeds and count its gain on another, so that luck is not counted.

The best of many equal sources on one network looks better than it will be again, and a validation
value of the same network shares its luck. With seeds k = 1..K, the source that is best on average
on the validation of the seeds other than k is counted on seed k only, on average over k. Where no
source has an effect, that gain is as often above 0 as below: the share of wins is 1/2.

Counts are proportions of few seeds, so that families may agree by chance. The variance over
families is therefore at least that of independent even coins, one for each target and seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from headwater.leaderboard.findings.families import (
    EVEN_CHANCE,
    FamilyMean,
    families_of,
    family_means,
)
from headwater.leaderboard.statistics.board import CONFIDENCE

if TYPE_CHECKING:
    import pandas as pd


def cross_fitted(rows: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """Return one row a setting and left-out seed: the ``gain`` of the source that the others chose.

    Args:
        rows: ``gain`` and ``validation`` (higher is better) by setting, ``seed`` and ``source``.
        settings: Columns that name what sources are compared under, seeds apart.

    Returns:
        The settings, family, seed, gain and ``won``: 1 above 0, one half at 0, else 0.
    """
    import pandas as pd

    told = rows.dropna(subset=["gain", "validation", "seed"])
    told = told.assign(family=families_of(told))
    keys = list(dict.fromkeys(["family", *settings]))
    places = told.groupby(keys, dropna=False).ngroup().to_numpy()
    seed_places, seeds = pd.factorize(told["seed"], sort=True)
    source_places, sources = pd.factorize(told["source"])
    count = int(places.max()) + 1 if len(told) else 0
    gains, seen = np.full((2, count, len(seeds), len(sources)), np.nan)
    at = places, seed_places, source_places
    gains[at], seen[at] = told["gain"], told["validation"]
    chosen = left_out_gains(gains, seen)
    setting, seed = np.nonzero(~np.isnan(chosen))
    first = told.groupby(places)[keys].first() if len(told) else told[keys]
    found = first.iloc[setting].reset_index(drop=True)
    gain = chosen[setting, seed]
    return found.assign(seed=np.asarray(seeds)[seed], gain=gain, won=(np.sign(gain) + 1) / 2)


def left_out_gains(gains: np.ndarray, validation: np.ndarray) -> np.ndarray:
    """Return (..., K), the gain on each seed of the source that the other seeds' validation chose.

    Args:
        gains: (..., K, S) of seeds and sources; NaN is not measured.
        validation: (..., K, S), higher is better.

    Returns:
        The mean gain of sources that tie; NaN where no other seed has a value.
    """
    known = ~np.isnan(validation)
    counts = known.sum(axis=-2, keepdims=True) - known
    sums = np.nansum(validation, axis=-2, keepdims=True) - np.where(known, validation, 0)
    elsewhere = np.divide(sums, counts, out=np.full(sums.shape, -np.inf), where=counts > 0)
    elsewhere[np.isnan(gains)] = -np.inf
    best = elsewhere.max(axis=-1, keepdims=True, initial=-np.inf)
    # Sums are taken by subtraction, so that equal means may differ by rounding.
    chosen = np.isclose(elsewhere, best, rtol=1e-12, atol=1e-12) & np.isfinite(elsewhere)
    total = np.where(chosen, gains, 0).sum(axis=-1)
    held = chosen.sum(axis=-1)
    return np.divide(total, held, out=np.full(held.shape, np.nan), where=held > 0)


def share_of_wins(counted: pd.DataFrame) -> FamilyMean:
    """Bound the share of wins over families."""
    by_family = family_means(counted, counted["won"])
    coins = counted.drop_duplicates(["family", "task", "seed"]).groupby("family").size()
    least = np.sqrt((EVEN_CHANCE**2 / coins).mean() / len(coins))
    return FamilyMean.of(by_family.to_numpy(), float(least))


def gaining_targets(counted: pd.DataFrame) -> float | None:
    """Return the share of targets whose gain is told from 0 by a one-sided t test over seeds at 5 %.

    The variance over seeds is that of all targets together; None where no target has two seeds.
    """
    by_seed = counted.groupby(["task", "seed"])["gain"].mean()
    seeds = by_seed.groupby(level="task").agg(["mean", "size", "var"])
    degrees = int((seeds["size"] - 1).sum())
    if degrees == 0:
        return None
    pooled = float(((seeds["size"] - 1) * seeds["var"].fillna(0)).sum()) / degrees
    least = stdtrit(degrees, CONFIDENCE) * np.sqrt(pooled / seeds["size"])
    return float((seeds["mean"] > least).mean())
