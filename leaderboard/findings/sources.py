"""F5 and F7: many sources at once, and how large the source is beside the target."""

from __future__ import annotations

from headwater.leaderboard.findings._base import MENSINK, Finding, FindingPart, FindingRows
from headwater.leaderboard.findings.domains import PAIRED_RULE
from headwater.leaderboard.findings.means import absent, mean_part


def _f5(evidence: FindingRows) -> list[FindingPart]:
    gains, rows = evidence.rows("step_gains"), evidence.rows("f05_multi")
    multi = gains["multi_source"].astype(bool)
    lacking = absent(
        gains, [("multi-source", multi, "chains.joint = true, or chain[base=…,on=TASK+TASK]")], ""
    )
    without = (
        lacking
        or "no within-domain source of one task beside them: add one of the target's domain, on the same base"
    )
    return [
        mean_part(
            rows, "gain", "multi-source transfer is good", "gain, multi-source", lacking=lacking
        ),
        mean_part(
            rows,
            "difference",
            "yet below the largest within-domain source",
            "multi − largest within-domain",
            wants=-1,
            lacking=without,
        ),
    ]


def _f7(evidence: FindingRows) -> list[FindingPart]:
    gains, rows = evidence.rows("step_gains"), evidence.rows("f07_direction")
    single = gains[~gains["multi_source"].astype(bool)]
    lacking = absent(
        single,
        [
            (
                "larger-to-smaller",
                single["direction"] == "larger-to-smaller",
                "add a source task with more images than the target",
            ),
            (
                "smaller-to-larger",
                single["direction"] == "smaller-to-larger",
                "add a source task with fewer images than the target",
            ),
        ],
        "no target has larger and smaller sources at one adaptation, size, seed, architecture and base: add a source task between",
    )
    return [
        mean_part(
            rows,
            "difference",
            "transfer flows from larger to smaller data sets",
            "larger − smaller sources",
            lacking=lacking,
        ),
        mean_part(rows, "larger", "larger-to-smaller", "gain of larger sources", judged=False),
        mean_part(rows, "smaller", "smaller-to-larger", "gain of smaller sources", judged=False),
    ]


F5 = Finding(
    id="F5",
    claim="multi-source is good, yet below the largest within-domain source",
    paper=MENSINK,
    definition="Mean gain of the multi-source chain of most tasks; and that less the gain of the within-domain source of one task with the "
    "most images, paired by target, adaptation, size, seed, architecture and base.",
    rule="supported where the gain's interval lies above 0 and the difference's below 0; contradicted where either lies on the other side",
    views=("f05_multi", "step_gains"),
    examine=_f5,
)

F7 = Finding(
    id="F7",
    claim="transfer flows from larger to smaller data sets",
    paper=MENSINK,
    definition="Mean gain of sources with more training images than the target less that of sources with fewer, paired by target, "
    "adaptation, size, seed, architecture and base. Sources of one task only.",
    rule=PAIRED_RULE,
    views=("f07_direction", "step_gains"),
    examine=_f7,
)
