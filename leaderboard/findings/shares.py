"""A share of families with its exact interval: each is a hit or not, once its targets are averaged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headwater.leaderboard.findings._base import FindingPart, Verdict
from headwater.leaderboard.findings.families import (
    EVEN_CHANCE,
    more_families_for_share,
    smallest_share,
)
from headwater.leaderboard.findings.means import more_words, settle
from headwater.leaderboard.statistics.precision import share_interval

if TYPE_CHECKING:
    import pandas as pd


def share_part(
    by_target: pd.Series,
    cells: int,
    claim: str,
    meaning: str,
    *,
    published: float | None = None,
    judged: bool = True,
    lacking: str = "",
    above: float = 0.0,
    families: pd.Series | None = None,
) -> FindingPart:
    """The share of targets whose value is more than ``above``, against one half. ``lacking``: what
    to add where there are none; ``families``: the family of each target, by target.
    """
    values = by_target.dropna()
    part = FindingPart(
        claim, meaning, unit="share", published=published, decides=judged, cells=cells
    )
    if values.empty:
        return replace(
            part,
            cells=0,
            verdict=Verdict.NOT_ENOUGH if judged else None,
            missing=lacking if judged else "",
        )
    by_family = values if families is None else values.groupby(families).mean()
    hits, count = int((by_family > above).sum()), len(by_family)
    part = replace(
        part,
        value=hits / count,
        targets=len(values),
        families=count,
        smallest_effect=smallest_share(count, EVEN_CHANCE),
        by_target=values.to_dict(),
    )
    more = more_families_for_share(hits, count, EVEN_CHANCE)
    wants = 1 if judged else 0
    return settle(part, *share_interval(hits, count), wants, more_words(more), EVEN_CHANCE)
