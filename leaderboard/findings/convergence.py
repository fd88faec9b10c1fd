"""F9: do pre-trained networks get there sooner?"""

from __future__ import annotations

from headwater.leaderboard.findings._base import NEYSHABUR, Finding, FindingPart, FindingRows
from headwater.leaderboard.findings.domains import PAIRED_RULE
from headwater.leaderboard.findings.means import mean_part
from headwater.leaderboard.findings.shares import share_part


def _f9(evidence: FindingRows) -> list[FindingPart]:
    rows = evidence.rows("f09_convergence")
    lacking = 'no learning curves of a network and its scratch reference: run fine_tune, with references = ["scratch"]'
    to_best, own = (
        "to scratch's best validation metric, scratch − pre-trained",
        "to 95 % of own best, scratch − pre-trained",
    )
    reached = rows["reached"].astype(float).groupby(rows["task"]).mean()
    return [
        mean_part(
            rows,
            "difference_own_epochs",
            "pre-trained models converge faster",
            f"epochs {own}",
            unit="epochs",
            lacking=lacking,
        ),
        mean_part(
            rows,
            "difference_epochs",
            "and get as far as scratch sooner",
            f"epochs {to_best}",
            unit="epochs",
            decides=False,
            lacking=lacking,
        ),
        mean_part(
            rows,
            "difference_seconds",
            "in seconds of training",
            f"seconds {to_best}",
            unit="s",
            decides=False,
            lacking=lacking,
        ),
        mean_part(
            rows, "epochs", "pre-trained", "epochs to scratch's best", unit="epochs", judged=False
        ),
        mean_part(
            rows,
            "scratch_epochs",
            "scratch",
            "epochs to scratch's best",
            unit="epochs",
            judged=False,
        ),
        share_part(
            reached,
            len(rows),
            "whether they get there",
            "of targets where most networks reach scratch's best",
            judged=False,
            above=0.5,
        ),
    ]


F9 = Finding(
    id="F9",
    claim="pre-trained models converge faster",
    paper=NEYSHABUR,
    definition="Epochs until the validation metric is within 5 % of the network's own best, scratch's less the pre-trained network's: two "
    "networks that learn alike differ by 0 on average. Beside it epochs, and seconds of training, until as good as the best that scratch "
    "reached, which scratch always reaches: one that never gets there counts as one epoch more than it ran.",
    rule=f"{PAIRED_RULE}; the epochs to the own best decide",
    views=("f09_convergence",),
    examine=_f9,
)
