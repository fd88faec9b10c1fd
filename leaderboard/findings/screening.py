"""F8: are effects larger for small targets, and can sources be screened on a small subset?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.findings._base import MENSINK, Finding, FindingPart, FindingRows
from headwater.leaderboard.findings.domains import PAIRED_RULE
from headwater.leaderboard.findings.families import families_of
from headwater.leaderboard.findings.means import CORRELATION, mean_part
from headwater.leaderboard.gains.scale import is_mixed
from headwater.leaderboard.statistics.correlation import kendall

if TYPE_CHECKING:
    import pandas as pd

_MIN_SOURCES = 3
"""Two sources are in the same order or not; an order wants three."""


@dataclass(frozen=True)
class _Setting:
    """A target under one adaptation: (K, S) values of seeds and sources, test at both sizes and
    validation at the small one.
    """

    task: str
    family: str
    seeds: list[int]
    small: np.ndarray
    full: np.ndarray
    validation: np.ndarray

    @cached_property
    def regret(self) -> tuple[float, float]:
        """What is lost on the best source at full size by the choice on small validation (the mean
        of those that tie), and by a random choice.
        """
        full, seen = self.full.mean(axis=0), self.validation.mean(axis=0)
        chosen = full[seen == seen.max()].mean() if not np.isnan(seen).any() else np.nan
        return float(full.max() - chosen), float(full.max() - full.mean())


def complete_settings(rows: pd.DataFrame) -> list[_Setting]:
    """Return those with three sources or more that have every seed."""
    found = []
    told = rows.assign(seed=rows["seed"].fillna(-1).astype(int), family=families_of(rows))
    for (task, family, *_), part in told.groupby(
        ["task", "family", "adaptation", "protocol", "metric"]
    ):
        small, full, seen = (
            part.pivot(index="seed", columns="source", values=column).to_numpy(float)
            for column in ("small_score", "full_score", "small_validation")
        )
        complete = ~(np.isnan(small) | np.isnan(full)).any(axis=0)
        if complete.sum() >= _MIN_SOURCES:
            seeds = sorted(part["seed"].unique())
            found.append(
                _Setting(
                    str(task),
                    str(family),
                    [int(s) for s in seeds],
                    small[:, complete],
                    full[:, complete],
                    seen[:, complete],
                )
            )
    return found


def _own_tau(setting: _Setting) -> float:
    """Tau-b of the sources' means over seeds at both sizes."""
    return float(kendall(setting.small.mean(axis=0)[None], setting.full.mean(axis=0)[None])[0])


def _f8(evidence: FindingRows) -> list[FindingPart]:
    rows = evidence.rows("f08_small")
    lacking = 'no target with both a small and a larger size: sizes = [50, "full"], say'
    few = (
        lacking
        if rows.empty
        else f"needs {_MIN_SOURCES} sources with the same seeds at both sizes of a target"
    )
    return [
        mean_part(
            rows,
            "difference",
            "effects are larger for small target sets",
            "gain(small) − gain(full)",
            lacking=lacking,
        ),
        *screening_parts(rows, complete_settings(rows), few),
    ]


def screening_parts(rows: pd.DataFrame, settings: list[_Setting], few: str) -> list[FindingPart]:
    claim, meaning = (
        "sources keep their order, so a small subset screens them",
        "τ of source order, small and full",
    )
    gained, lost = (
        "a choice at the small size beats a random one",
        "what that choice loses on the best source",
    )
    if not settings:
        return [
            FindingPart(claim, meaning, missing=few),
            FindingPart(gained, "choice − mean source, at full size", missing=few, decides=False),
        ]
    import pandas as pd

    kept = pd.DataFrame(
        {
            "task": [s.task for s in settings],
            "family": [s.family for s in settings],
            "tau": [_own_tau(s) for s in settings],
        }
    )
    constant = "every source does equally well at one of the sizes"
    order = mean_part(kept, "tau", claim, meaning, lacking=constant, within=CORRELATION)
    order = replace(order, cells=sum(s.small.size for s in settings))
    if is_mixed(rows):
        settings = complete_settings(rows.assign(full_score=rows["full_norm_value"]))
    losses = pd.DataFrame(
        {
            "task": [s.task for s in settings],
            "family": [s.family for s in settings],
            "regret": [s.regret[0] for s in settings],
            "gained": [s.regret[1] - s.regret[0] for s in settings],
        }
    ).assign(metric="")
    return [
        order,
        mean_part(
            losses,
            "gained",
            gained,
            "choice − mean source, at full size",
            decides=False,
            lacking=few,
        ),
        mean_part(
            losses,
            "regret",
            lost,
            "regret of choosing at the small size",
            judged=False,
            within=(0, np.inf),
        ),
    ]


F8 = Finding(
    id="F8",
    claim="effects are larger for small target sets, so sources can be screened on a small subset",
    paper=MENSINK,
    definition="Gain at the smallest small-target size less gain at the largest size, paired by source, target, adaptation and seed. "
    "Kendall's τ_b between the sources' test values at both, seeds averaged, mean over targets. Regret: the best test value at full size "
    "less that of the source that is best on validation at the small size (never negative).",
    rule=f"{PAIRED_RULE}; the difference and τ decide",
    views=("f08_small",),
    examine=_f8,
)
