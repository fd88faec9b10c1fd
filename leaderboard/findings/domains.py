"""F3, F4 and F6: what a source's appearance domain brings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headwater.leaderboard.findings._base import MENSINK, Finding, FindingPart, FindingRows, Verdict
from headwater.leaderboard.findings.families import FamilyMean, families_by_task, family_means
from headwater.leaderboard.findings.means import (
    CORRELATION,
    absent,
    gains_of,
    mean_part,
    own_gains,
)
from headwater.leaderboard.findings.shares import share_part
from headwater.leaderboard.findings.source_regression import by_target

if TYPE_CHECKING:
    import pandas as pd

_GROUP = ["task", "adaptation", "size", "seed", "protocol", "metric", "architecture", "base"]
"""Rows that share these differ in the source step alone."""
LITTLE = 0.02
"""A cost below two points of the metric, or of the target's scale, is little."""
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
    """Compare what domain and size explain of the gains in each target."""
    lacking = (
        "no gains with the source's domain and number of images known" if rows.empty else _TOGETHER
    )
    found = by_target(rows.assign(gain=own_gains(rows, "gain")), _GROUP)
    return [
        mean_part(
            found,
            "difference",
            "domain matters more than source size",
            "ΔR² of domain − ΔR² of size",
            lacking=lacking,
            within=CORRELATION,
        ),
        mean_part(found, "d_within", "what domain explains", "ΔR² of domain", judged=False),
        mean_part(found, "d_size", "what source size explains", "ΔR² of size", judged=False),
        mean_part(
            found,
            "beta_within",
            "gain follows domain, size held",
            "standardised coefficient of within-domain",
            judged=False,
        ),
        mean_part(
            found,
            "beta_size",
            "gain follows source size, domain held",
            "standardised coefficient of log size",
            judged=False,
        ),
    ]


_TOGETHER = "domain and source size never vary apart: add a larger cross-domain source, or a second size within the target's domain"


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
        _cost_part(rows, without),
    ]


def _cost_part(rows: pd.DataFrame, lacking: str) -> FindingPart:
    """Ask whether a broader source costs less than two points."""
    part = mean_part(
        rows,
        "cost",
        "a broader source costs little",
        "within − including",
        decides=False,
        lacking=lacking,
    )
    values = gains_of(rows, "cost")
    means = family_means(rows, values)
    if means.empty:
        return part
    verdict = FamilyMean.of(means.to_numpy()).within(LITTLE)
    more = part.missing if verdict is Verdict.NOT_ENOUGH else ""
    if verdict is Verdict.CANNOT_TELL:
        more = f"too few families to tell whether the cost is below {LITTLE}"
    return replace(part, verdict=verdict, missing=more)


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
    target_gains = own_gains(rows, "gain").groupby(rows["task"]).mean()
    claim, meaning = (
        "within a domain, transfer across task types helps",
        "of targets whose mean gain is positive",
    )
    return [
        share_part(
            target_gains,
            len(rows),
            claim,
            meaning,
            lacking=lacking,
            families=families_by_task(rows),
        ),
        mean_part(
            rows, "gain", "by how much", "gain, across types within the domain", judged=False
        ),
    ]


F3 = Finding(
    id="F3",
    claim="within-domain gain is largest, and domain matters more than source size",
    paper=MENSINK,
    definition="Mean gain of within-domain less that of cross-domain sources, paired by target, adaptation, size, seed, architecture and "
    "base; and what being within-domain and the log of the source's number of images explain of the gains in each target (ΔR², the mean of "
    "alone and on top of the other, dominance analysis). Sources of one task only.",
    rule=f"{PAIRED_RULE}; both differences decide",
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
