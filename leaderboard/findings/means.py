"""A mean of paired rows with its interval: cells are averaged by target, targets by family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.findings._base import FindingPart, Verdict
from headwater.leaderboard.findings.families import FamilyMean, family_means
from headwater.leaderboard.gains.scale import gain_column, is_mixed
from headwater.leaderboard.statistics.board import MIN_FAMILIES

if TYPE_CHECKING:
    import pandas as pd

SETTING = ["task", "adaptation", "size", "protocol", "metric"]
"""What sources are compared under, seeds apart."""

CORRELATION = (-1.0, 1.0)
"""What a correlation cannot leave."""


def gains_of(rows: pd.DataFrame, stem: str) -> pd.Series:
    """The column ``STEM_abs``, or ``STEM_norm`` where metrics or units differ, or ``STEM`` itself
    where the view has but that.
    """
    column = stem if stem in rows.columns else gain_column(rows, stem)
    return rows[column].astype(float)


def own_gains(rows: pd.DataFrame, stem: str) -> pd.Series:
    """Gains that are averaged within their target only: absolute where it has one metric, whatever
    other targets have.

    So a target without a scale counts too.
    """
    if stem in rows.columns or not is_mixed(rows):
        return gains_of(rows, stem)
    alike = rows.groupby("task")["metric"].transform("nunique") == 1
    return rows[f"{stem}_abs"].where(alike, rows[f"{stem}_norm"]).astype(float)


def mean_part(
    rows: pd.DataFrame,
    stem: str,
    claim: str,
    meaning: str,
    *,
    wants: int = 1,
    unit: str = "",
    decides: bool = True,
    judged: bool = True,
    lacking: str = "",
    within: tuple[float, float] = (-np.inf, np.inf),
) -> FindingPart:
    """The mean of a column of paired rows; every family counts the same. ``wants``: the sign that the
    claim says it has.

    ``lacking``: what to add where there are no rows; ``within``: what the mean cannot leave.
        Without ``judged`` it has no verdict and decides nothing.
    """
    values = gains_of(rows, stem)
    kept = rows[values.notna()]
    values = values[values.notna()]
    if f"{stem}_norm" in rows.columns and is_mixed(rows):
        meaning += " (normalised)"
    decides = decides and judged
    if kept.empty:
        verdict = Verdict.NOT_ENOUGH if judged else None
        return FindingPart(
            claim,
            meaning,
            verdict=verdict,
            decides=decides,
            unit=unit,
            missing=lacking if judged else "",
        )
    by_family = family_means(kept, values)
    found = FamilyMean.of(by_family.to_numpy())
    low, high = (float(bound) for bound in np.clip(found.bounds(), *within))
    part = FindingPart(
        claim,
        meaning,
        value=found.mean,
        targets=int(kept["task"].nunique()),
        families=found.families,
        cells=len(kept),
        decides=decides,
        unit=unit,
        smallest_effect=found.smallest_effect,
        by_target=values.groupby(kept["task"]).mean().to_dict(),
    )
    wanted = wants if judged else 0
    return settle(part, low, high, wanted, more_words(found.more_families()))


def settle(
    part: FindingPart, low: float, high: float, wants: int, remedy: str = "", against: float = 0.0
) -> FindingPart:
    """The part with its bounds, verdict and what is missing; ``wants`` 0 gives no verdict."""
    if part.families < MIN_FAMILIES or np.isnan(low):
        verdict = Verdict.NOT_ENOUGH if wants else None
        lacks = f"needs {more_targets(max(1, MIN_FAMILIES - part.families))}" if wants else ""
        return replace(part, verdict=verdict, missing=lacks)
    verdict = Verdict.of(low, high, against, wants) if wants else None
    return replace(
        part,
        low=low,
        high=high,
        verdict=verdict,
        missing=remedy if verdict is Verdict.CANNOT_TELL else "",
    )


def more_targets(count: int) -> str:
    return f"{count} more {'target' if count == 1 else 'targets'}"


def more_words(count: int | None) -> str:
    """Say what would tell, from how many more families it takes."""
    if count is None:
        return "too close to tell, however many targets are added"
    return f"about {more_targets(count)} of other families would tell, if the values stay"


def absent(rows: pd.DataFrame, needed: Sequence[tuple[str, pd.Series, str]], paired: str) -> str:
    """Return what to add so that there are pairs: for each kind of cell (name, which rows are of
    it, remedy) that there is none of; else that they are there, but never ``paired``.
    """
    if rows.empty:
        return 'no gains to look at: headwater run, with references = ["scratch", "base"]'
    lacks = [f"no {kind} cells: {remedy}" for kind, present, remedy in needed if not present.any()]
    return "; ".join(lacks) or paired
