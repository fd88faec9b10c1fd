"""Average what a finding counts over cells, targets and families, and bound it over families.

Cells of a target share its images, and targets of a family share their data set: only families are
independent. Each family counts once, as the mean of its targets. A mean of F families has

    mean +- t_{F-1} sqrt(s^2 / F),     s^2 the variance over families,

and the smallest effect that would have been seen with 80 % is n sqrt(s^2 / F) / c. With that effect
the t value is a noncentral one of F - 1 degrees, and n is the noncentrality at which it exceeds
t_{F-1, 97.5 %} with 80 %; c = E[s] / sigma takes out that s is too small on average (0.92 of four
families). Shares of families that count as hits have the exact interval of Clopper and Pearson.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv, gammaln, nctdtrinc, stdtrit

from headwater.leaderboard.findings._base import Verdict
from headwater.leaderboard.statistics.board import CONFIDENCE, MIN_FAMILIES
from headwater.leaderboard.statistics.precision import share_interval

if TYPE_CHECKING:
    import pandas as pd

EVEN_CHANCE = 0.5
"""The share of hits that holds where nothing has an effect."""

POWER = 0.8
"""Probability with which the smallest effect that is printed would have been seen."""

MAX_NEW_FAMILIES = 60
"""Families beyond which nobody measures more to settle a claim."""

_UPPER = (1 + CONFIDENCE) / 2


def families_of(rows: pd.DataFrame) -> pd.Series:
    """Return the family of each row's target; a target without one is a family by itself."""
    return rows["family"].fillna(rows["task"]) if "family" in rows.columns else rows["task"]


def families_by_task(rows: pd.DataFrame) -> pd.Series:
    """Return the family of each target, by target."""
    return families_of(rows).groupby(rows["task"]).first()


def family_means(rows: pd.DataFrame, values: pd.Series) -> pd.Series:
    """Average values of rows within targets, then targets within families; NaN is left out."""
    keys = [families_of(rows).rename("family"), rows["task"].rename("target")]
    by_target = values.astype(float).dropna().groupby(keys).mean()
    return by_target.groupby(level="family").mean()


@dataclass(frozen=True)
class FamilyMean:
    """Hold a mean over families, its standard error and how many families there are."""

    mean: float
    error: float
    families: int

    @classmethod
    def of(cls, values: np.ndarray, least_error: float = 0.0) -> FamilyMean:
        """Take the mean of one value a family; the error is at least ``least_error``."""
        count = len(values)
        spread = float(np.std(values, ddof=1)) if count > 1 else np.nan
        error = spread / np.sqrt(count) if count else np.nan
        return cls(float(np.mean(values)), max(error, least_error), count)

    def bounds(self) -> tuple[float, float]:
        """Return Student's interval; NaN below three families."""
        if self.families < MIN_FAMILIES:
            return np.nan, np.nan
        width = float(stdtrit(self.families - 1, _UPPER)) * self.error
        return self.mean - width, self.mean + width

    @property
    def smallest_effect(self) -> float | None:
        """The distance from the null that would have been seen with 80 %."""
        if self.families < MIN_FAMILIES:
            return None
        degrees = self.families - 1
        needed = nctdtrinc(degrees, 1 - POWER, stdtrit(degrees, _UPPER))
        logs = gammaln((degrees + 1) / 2) - gammaln(degrees / 2)
        shrink = np.sqrt(2 / degrees) * np.exp(logs)
        return float(needed * self.error / shrink)

    def within(self, margin: float) -> Verdict:
        """Say whether a cost is shown to be less than a margin, or more, each at 5 %.

        It is the upper of the two one-sided tests of equivalence: a negative cost is a gain.
        """
        width = float(stdtrit(self.families - 1, CONFIDENCE)) * self.error
        if self.families < MIN_FAMILIES:
            return Verdict.NOT_ENOUGH
        if self.mean + width < margin:
            return Verdict.SUPPORTED
        return Verdict.CONTRADICTED if self.mean - width > margin else Verdict.CANNOT_TELL

    def more_families(self, against: float = 0.0) -> int | None:
        """Say how many more families would tell the mean from a value, if both stay."""
        spread = self.error * np.sqrt(self.families)
        counts = self.families + np.arange(1, MAX_NEW_FAMILIES + 1)
        widths = stdtrit(counts - 1, _UPPER) * spread / np.sqrt(counts)
        enough = np.flatnonzero(abs(self.mean - against) > widths)
        return int(enough[0]) + 1 if len(enough) else None


def smallest_share(families: int, against: float) -> float | None:
    """Return how far above a value a share must lie to be told from it with 80 %.

    None where even a hit in every family would not tell.
    """
    lows = [share_interval(hits, families)[0] for hits in range(families + 1)]
    needed = next((hits for hits, low in enumerate(lows) if low > against), None)
    if needed is None:
        return None
    return float(betaincinv(needed, families - needed + 1, POWER)) - against


def more_families_for_share(hits: int, families: int, against: float) -> int | None:
    """Say how many more families would tell a share from a value, if it stays."""
    for more in range(1, MAX_NEW_FAMILIES + 1):
        total = families + more
        expected = round(hits / families * total)
        low, high = share_interval(expected, total)
        if low > against or high < against:
            return more
    return None
