"""F3, F4 and F6: what a source's appearance domain brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.findings._base import MENSINK, Finding, FindingPart, FindingRows, Verdict
from headwater.leaderboard.findings.means import (
    CORRELATION,
    absent,
    comparison,
    gains_of,
    mean_part,
    own_gains,
    settle,
)
from headwater.leaderboard.findings.shares import share_part
from headwater.leaderboard.statistics.bootstrap import interval_of
from headwater.leaderboard.statistics.correlation import PartialRanks

if TYPE_CHECKING:
    import pandas as pd

_GROUP = ["task", "adaptation", "size", "seed", "protocol", "metric", "architecture", "base"]
"""Rows that share these differ in the source step alone."""
PAIRED_RULE = (
    "supported where the interval of the mean lies above 0, contradicted where it lies below"
)
_NEVER_TOGETHER = "{} cells never share a target, adaptation, size, seed, architecture and base"


def _f3(evidence: FindingRows) -> list[FindingPart]:
    gains = evidence.rows("step_gains")
    single = gains[~gains["multi_source"].astype(bool)]
    relation = single["domain_relation"]
    lacking = absent(
        single,
        [
            (
                "within-domain",
                relation == "within-domain",
                "add a source task of the target's domain",
            ),
            ("cross-domain", relation == "cross-domain", "add a source task of another domain"),
        ],
        _NEVER_TOGETHER.format("within- and cross-domain"),
    )
    pairs = evidence.rows("f03_domain")
    return [
        mean_part(
            pairs, "difference", "within-domain gain is largest", "within − cross", lacking=lacking
        ),
        *_domain_against_size(evidence.rows("f03_size")),
    ]


def _domain_against_size(rows: pd.DataFrame) -> list[FindingPart]:
    """Partial rank correlations of gain with domain match and with source size, and the first less
    the size of the second.
    """
    claims = (
        ("domain matters more than source size", "ρ(domain) − |ρ(size)|"),
        ("gain follows domain, size held", "partial ρ of gain and domain match"),
        ("gain follows source size, domain held", "partial ρ of gain and source size"),
    )
    lacking = (
        "no gains with the source's domain and number of images known" if rows.empty else _TOGETHER
    )
    rows = rows[gains_of(rows, "gain").notna()]
    estimates = drawn = None
    if not rows.empty:
        ranks = PartialRanks(
            gains_of(rows, "gain").to_numpy(),
            rows["match"].to_numpy(float),
            rows["source_images"].to_numpy(float),
            rows.groupby(_GROUP, dropna=False).ngroup().to_numpy(),
        )
        estimates = [float(found[0]) for found in _with_difference(ranks, np.ones((1, len(rows))))]
        drawn = _with_difference(ranks, comparison(rows, np.zeros((1, len(rows)))).weights)
    parts = []
    for place, (claim, meaning) in enumerate(claims):
        decides = place == 0
        if estimates is None or drawn is None or np.isnan(estimates[place]):
            parts.append(
                FindingPart(
                    claim,
                    meaning,
                    verdict=Verdict.NOT_ENOUGH if decides else None,
                    decides=decides,
                    missing=lacking * decides,
                )
            )
            continue
        targets = int(rows["task"].nunique())
        low, high = np.clip(
            interval_of(estimates[place], drawn[place], targets),
            *((-2, 1) if decides else CORRELATION),
        )
        part = FindingPart(
            claim,
            meaning,
            value=estimates[place],
            targets=targets,
            cells=len(rows),
            decides=decides,
        )
        parts.append(
            settle(
                part,
                float(low),
                float(high),
                int(decides),
                "more targets, or sources of more sizes in each domain, would tell",
            )
        )
    return parts


_TOGETHER = "domain and source size never vary apart: add a larger cross-domain source, or a second size within the target's domain"


def _with_difference(
    ranks: PartialRanks, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    domain, size = ranks.correlations(weights)
    return domain - np.abs(size), domain, size


def _f4(evidence: FindingRows) -> list[FindingPart]:
    gains, rows = evidence.rows("step_gains"), evidence.rows("f04_including")
    including = gains["domain_relation"] == "including"
    remedy = "add a source task whose domain contains the target's (headwater list domains)"
    lacking = absent(
        gains,
        [("including", including, remedy)],
        "including cells are multi-source only: add one of a single task",
    )
    without = (
        lacking
        if rows.empty
        else "no within-domain cells beside them: add a source task of the target's domain"
    )
    return [
        mean_part(
            rows,
            "gain",
            "transfer is positive where the source's domain includes the target's",
            "gain, including",
            lacking=lacking,
        ),
        mean_part(
            rows,
            "cost",
            "a broader source costs",
            "within − including",
            decides=False,
            lacking=without,
        ),
    ]


def _f6(evidence: FindingRows) -> list[FindingPart]:
    gains, rows = evidence.rows("step_gains"), evidence.rows("f06_types")
    lacking = absent(
        gains,
        [
            (
                "cross-task-type",
                gains["cross_task_type"].astype(bool),
                "add a source task of another type (headwater list task-types)",
            ),
            (
                "within-domain",
                gains["domain_relation"] == "within-domain",
                "add a source task of the target's domain",
            ),
        ],
        "no source task is of the target's domain and of another type",
    )
    by_target = own_gains(rows, "gain").groupby(rows["task"]).mean()
    claim, meaning = (
        "within a domain, transfer across task types helps",
        "of targets whose mean gain is positive",
    )
    return [
        share_part(by_target, len(rows), claim, meaning, published=0.65, lacking=lacking),
        mean_part(
            rows, "gain", "by how much", "gain, across types within the domain", judged=False
        ),
    ]


F3 = Finding(
    id="F3",
    claim="within-domain gain is largest, and domain matters more than source size",
    paper=MENSINK,
    definition="Mean gain of within-domain less that of cross-domain sources, paired by target, adaptation, size, seed, architecture and "
    "base; and partial Spearman correlations of gain with domain match (2 within, 1 including, 0 cross) and with the source's number of "
    "images, each holding the other, on ranks within those groups. Sources of one task only.",
    rule=f"{PAIRED_RULE}; both the difference and ρ(domain) − |ρ(size)| decide",
    views=("f03_domain", "f03_size", "step_gains"),
    examine=_f3,
)

F4 = Finding(
    id="F4",
    claim="transfer is positive where the source's domain includes the target's",
    paper=MENSINK,
    definition="Mean gain of sources of one task whose domain contains the target's; beside it what a broader source costs: the gain of "
    "within-domain sources less that, where both exist.",
    rule=f"{PAIRED_RULE}; the gain decides",
    views=("f04_including", "step_gains"),
    examine=_f4,
)

F6 = Finding(
    id="F6",
    claim="within a domain, transfer across task types helps",
    paper=MENSINK,
    definition="For each target, the mean gain of within-domain sources of one task whose type is not the target's; the share of targets "
    "where it is above 0.",
    rule="supported where the interval of the share lies above 50 %, contradicted where it lies below",
    views=("f06_types", "step_gains"),
    examine=_f6,
)
