"""A share of targets with its exact interval: targets are the units, once their seeds and settings
are averaged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headwater.leaderboard.findings._base import FindingPart, Verdict
from headwater.leaderboard.findings.means import more_targets, settle
from headwater.leaderboard.statistics.bootstrap import more_to_settle, share_interval

if TYPE_CHECKING:
    import pandas as pd

EVEN_CHANCE = 0.5


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
) -> FindingPart:
    """The share of targets whose value is more than ``above``, against one half. ``lacking``: what
    to add where there are none.
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
    hits, targets = int((values > above).sum()), len(values)
    part = replace(part, value=hits / targets, targets=targets, by_target=values.to_dict())
    more = more_to_settle(hits, targets)
    remedy = (
        f"about {more_targets(more)} would tell, if the share stays"
        if more
        else "too close to one half to tell"
    )
    return settle(part, *share_interval(hits, targets), 1 if judged else 0, remedy, EVEN_CHANCE)
