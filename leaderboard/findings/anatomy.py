"""Findings F10 to F12, on the analyses of trained networks (``headwater analyse``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.findings._base import NEYSHABUR, Finding, FindingPart, FindingRows
from headwater.leaderboard.findings.domains import PAIRED_RULE
from headwater.leaderboard.findings.families import families_by_task
from headwater.leaderboard.findings.means import CORRELATION, SETTING, mean_part
from headwater.leaderboard.findings.shares import EVEN_CHANCE, share_part

if TYPE_CHECKING:
    import pandas as pd

_COORDINATES = [*SETTING, "seed", "job"]
_MIN_POINTS = 3
"""A rank correlation of two points is 1 or -1 whatever they are."""
LARGEST_BLOCK = 4
"""Pixels up to which no part of an object survives in a block: larger ones leave what to reuse."""


def _f10(evidence: FindingRows) -> list[FindingPart]:
    shuffle = evidence.rows("f10_shuffle")
    lacking = 'no shuffled images: anatomy.analyses = ["block_shuffle"], then headwater analyse'
    jobs = _by_job(shuffle)
    distant = "no cross-domain gains over scratch: add a source of another domain than the target's"
    return [
        mean_part(
            evidence.rows("f10_distant"),
            "gain",
            "even distant targets gain",
            "gain over scratch, cross-domain",
            lacking=distant,
        ),
        mean_part(
            jobs,
            "shuffled",
            "feature reuse is not the only cause",
            "advantage on shuffled images",
            lacking=lacking,
        ),
        mean_part(
            jobs,
            "shrinkage",
            "though it is one",
            "advantage on intact − on shuffled images",
            decides=False,
            lacking=lacking,
        ),
        mean_part(
            _rank_correlations(shuffle, "block", "advantage_abs"),
            "rho",
            "the coarser, the larger",
            "ρ(block size, advantage)",
            judged=False,
            within=CORRELATION,
        ),
    ]


def _by_job(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row an analysis: its mean advantage on shuffled images, and what goes with shape.

    ``shuffled`` is the mean over block sizes of 1 to 4 pixels, ``shrinkage`` the advantage on
    the intact image less that.
    """
    intact = rows["intact"].astype(bool)
    key, advantages = [*_COORDINATES, "unit"], ["advantage_abs", "advantage_norm"]
    apart = ~intact & (rows["block"] <= LARGEST_BLOCK)
    shuffled = rows[apart].groupby(key, dropna=False)[advantages].mean()
    whole = rows[intact].groupby(key, dropna=False)[advantages].mean()
    both = shuffled.join(whole, how="inner", rsuffix="_whole").reset_index()
    return both.rename(
        columns={"advantage_abs": "shuffled_abs", "advantage_norm": "shuffled_norm"}
    ).assign(
        shrinkage_abs=both["advantage_abs_whole"] - both["advantage_abs"],
        shrinkage_norm=both["advantage_norm_whole"] - both["advantage_norm"],
    )


def _rank_correlations(rows: pd.DataFrame, along: str, value: str) -> pd.DataFrame:
    """Return one row an analysis: Spearman's ``rho`` of a value with a coordinate.

    NaN for fewer than three points, or where either is constant.
    """
    import pandas as pd
    from scipy.stats import spearmanr

    correlations = []
    for key, part in rows.groupby(_COORDINATES, dropna=False):
        places, values = part[along], part[value]
        varies = places.nunique() > 1 and values.nunique() > 1
        rho = np.nan
        if varies and len(part) >= _MIN_POINTS:
            rho = float(spearmanr(places, values).statistic)
        correlations.append([*key, rho])
    return pd.DataFrame(correlations, columns=[*_COORDINATES, "rho"])


def _f11(evidence: FindingRows) -> list[FindingPart]:
    rows = evidence.rows("f11_mistakes")
    lacking = 'no comparison of mistakes: anatomy.analyses = ["mistakes"], then headwater analyse'
    return [
        mean_part(
            rows,
            "difference",
            "errors only the transferred model makes are on more ambiguous samples than those only scratch makes",
            "ambiguity, only P-T wrong − only RI-T wrong",
            unit="nats",
            lacking=lacking,
        ),
        mean_part(
            rows,
            "transferred_ambiguity",
            "only P-T wrong",
            "ambiguity of those samples",
            unit="nats",
            judged=False,
        ),
        mean_part(
            rows,
            "scratch_ambiguity",
            "only RI-T wrong",
            "ambiguity of those samples",
            unit="nats",
            judged=False,
        ),
        mean_part(
            rows,
            "kappa",
            "agreement of the two",
            "Cohen's κ of P-T and RI-T",
            judged=False,
            within=CORRELATION,
        ),
    ]


def _f12(evidence: FindingRows) -> list[FindingPart]:
    rows = evidence.rows("f12_modules")
    transferred, scratch = rows[rows["subject"] == "P-T"], rows[rows["subject"] == "RI-T"]
    lacking = 'no modules set back: anatomy.analyses = ["criticality"], then headwater analyse'
    depth = "ρ(depth, drop) in {}"
    return [
        mean_part(
            _rank_correlations(transferred, "depth", "drop"),
            "rho",
            "the later the module, the more critical",
            depth.format("P-T"),
            within=CORRELATION,
            lacking=lacking,
        ),
        share_part(
            _head_first(transferred),
            len(transferred),
            "the classifier is the most critical",
            "of targets where it drops most in P-T",
            lacking=lacking,
            above=EVEN_CHANCE,
            families=families_by_task(transferred),
        ),
        mean_part(
            _rank_correlations(scratch, "depth", "drop"),
            "rho",
            "in the scratch network",
            depth.format("RI-T"),
            judged=False,
            within=CORRELATION,
        ),
    ]


def _head_first(rows: pd.DataFrame) -> pd.Series:
    """Return for each target the share of its settings in which the head is the most critical.

    Drops are averaged over seeds first.
    """
    keys = [*SETTING, "source"]
    drops = rows.groupby([*keys, "module", "head"], dropna=False)["drop"].mean().reset_index()
    head = drops[drops["head"].astype(bool)].groupby(keys, dropna=False)["drop"].max()
    others = drops[~drops["head"].astype(bool)].groupby(keys, dropna=False)["drop"].max()
    both = head.to_frame("head").join(others.to_frame("others"), how="inner")
    return (both["head"] > both["others"]).astype(float).groupby(level="task").mean()


F10 = Finding(
    id="F10",
    claim="even distant targets gain; feature reuse is not the only cause",
    paper=NEYSHABUR,
    definition="Mean gain over scratch of cross-domain sources; and the advantage of the transferred network (P-T) over the scratch one "
    "(RI-T) on images cut into blocks and shuffled, averaged over block sizes of 1 to 4 pixels, where no part survives. "
    "Beside them: how much of the advantage goes with the shapes, and Spearman's ρ of advantage with block size.",
    rule=f"{PAIRED_RULE}; the gain and the advantage on shuffled images decide",
    views=("f10_distant", "f10_shuffle"),
    examine=_f10,
)

F11 = Finding(
    id="F11",
    claim="errors only the transferred model makes fall on ambiguous samples, those only scratch makes on clear ones",
    paper=NEYSHABUR,
    definition="Ambiguity of a sample: entropy (nats) of an ensemble that excludes the two networks compared. Its mean over test images "
    "that only P-T gets wrong less that over images only RI-T gets wrong, for each analysis in which both have some.",
    rule=PAIRED_RULE,
    views=("f11_mistakes",),
    examine=_f11,
)

F12 = Finding(
    id="F12",
    claim="the later the module, the more critical; the classifier most",
    paper=NEYSHABUR,
    definition="Each module of P-T set back to its initial values, the rest kept: Spearman's ρ of the drop with relative depth in each "
    "analysis, averaged; and the share of targets where, in most settings, the head drops more than any other module, seeds averaged.",
    rule="supported where ρ's interval lies above 0 and the share's above 50 %, contradicted where either lies below",
    views=("f12_modules",),
    examine=_f12,
)
