"""F1 and F2: does some source beat training from scratch, and plain base pre-training?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.findings._base import MENSINK, Finding, FindingPart, FindingRows
from headwater.leaderboard.findings.cross_fit import (
    EVEN_CHANCE,
    cross_fitted,
    gaining_targets,
    share_of_wins,
)
from headwater.leaderboard.findings.families import families_by_task
from headwater.leaderboard.findings.means import SETTING, more_words, own_gains, settle
from headwater.leaderboard.findings.shares import share_part

if TYPE_CHECKING:
    import pandas as pd

_RULE = "supported where the interval of the deciding share lies above 50 %, contradicted where it lies below"


def source_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a source and setting, seeds averaged: ``gain`` and ``validation`` (higher is
    better).
    """
    gains = rows.assign(gain=own_gains(rows, "gain"))
    keys = SETTING + (["base"] if "base" in rows.columns else [])
    return (
        gains.groupby([*keys, "source"], dropna=False)[["gain", "validation"]].mean().reset_index()
    )


def chosen_gain(means: pd.DataFrame) -> pd.Series:
    """Each target's gain by the source that is best on validation (the mean over those that tie),
    averaged over its settings.
    """
    told = means.dropna(subset=["validation", "gain"])
    settings = [key for key in told.columns if key not in ("source", "gain", "validation")]
    best = told.groupby(settings, dropna=False)["validation"].transform("max")
    return _by_target(told[told["validation"] == best], settings, "mean")


def _by_target(means: pd.DataFrame, settings: list[str], how: str) -> pd.Series:
    return means.groupby(settings, dropna=False)["gain"].agg(how).groupby(level="task").mean()


def _spread(means: pd.DataFrame, how: str) -> pd.Series:
    settings = [key for key in means.columns if key not in ("source", "gain", "validation")]
    return _by_target(means.dropna(subset=["gain"]), settings, how)


def _f1(evidence: FindingRows) -> list[FindingPart]:
    rows = evidence.rows("f01_scratch")
    means, cells = source_means(rows), len(rows)
    families = families_by_task(rows)
    lacking = 'no gains over scratch: headwater run, with references = ["scratch"]'
    of = "of targets where the source {} beats scratch"
    return [
        share_part(
            chosen_gain(means),
            cells,
            "transfer beats training from scratch",
            of.format("best on validation"),
            lacking=lacking,
            families=families,
        ),
        share_part(
            _spread(means, "median"),
            cells,
            "so does a middling source",
            of.format("of median gain"),
            judged=False,
            families=families,
        ),
        share_part(
            _spread(means, "max"),
            cells,
            "as published: best on test itself",
            of.format("best on test"),
            judged=False,
            families=families,
        ),
    ]


def _f2(evidence: FindingRows) -> list[FindingPart]:
    rows = evidence.rows("f02_base")
    rows = rows.assign(gain=own_gains(rows, "gain"))
    counted = cross_fitted(rows, [*SETTING, "base"])
    claim = "some source beats plain base pre-training"
    part = FindingPart(claim, "of wins of the chain that other seeds chose", unit="share")
    if counted.empty:
        none = 'no chains over a pre-trained base: add chain[base=…,on=TASK] sources, with references = ["base"]'
        one = "needs 2 seeds, one to choose the chain on and one to count it on: seeds = [0, 1]"
        part = replace(part, missing=none if rows.empty else one)
    else:
        part = _cross_fit_part(part, counted)
    published = share_part(
        _spread(source_means(rows), "max"),
        len(rows),
        "as published: best on test itself",
        "of targets where the chain best on test beats its base",
        published=0.85,
        judged=False,
    )
    return [part, _tested_part(counted), published]


def _cross_fit_part(part: FindingPart, counted: pd.DataFrame) -> FindingPart:
    """Fill in the share of wins on seeds that had no say in the choice."""
    found = share_of_wins(counted)
    low, high = (float(bound) for bound in np.clip(found.bounds(), 0, 1))
    part = replace(
        part,
        value=found.mean,
        targets=int(counted["task"].nunique()),
        families=found.families,
        cells=len(counted),
        smallest_effect=found.smallest_effect,
        by_target=counted.groupby("task")["won"].mean().to_dict(),
    )
    remedy = more_words(found.more_families(EVEN_CHANCE))
    return settle(part, low, high, 1, remedy, EVEN_CHANCE)


def _tested_part(counted: pd.DataFrame) -> FindingPart:
    """Return the share of targets in which that gain is told from 0."""
    return FindingPart(
        "each target by itself",
        "of targets where that chain's gain is told from 0",
        value=None if counted.empty else gaining_targets(counted),
        targets=int(counted["task"].nunique()),
        cells=len(counted),
        verdict=None,
        decides=False,
        unit="share",
    )


F1 = Finding(
    id="F1",
    claim="transfer beats training from scratch",
    paper=MENSINK,
    definition="For each target, the mean gain over scratch of the source that is best on validation, chosen anew for each adaptation and "
    "size, seeds averaged; the share of targets where it is above 0. A source chosen on the test split would look better than it is.",
    rule=_RULE,
    views=("f01_scratch",),
    examine=_f1,
)

F2 = Finding(
    id="F2",
    claim="for most targets some source beats plain base pre-training",
    paper=MENSINK,
    definition="For each target and seed, the chain over a pre-trained base that is best on the other seeds' validation; the share of "
    "seeds where it beats its base on test, averaged over seeds, targets and families. Without any effect that is 50 %. The published "
    "85 % chose the source on the test split; that share is shown beside it.",
    rule=_RULE,
    views=("f02_base",),
    examine=_f2,
)
