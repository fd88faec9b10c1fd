"""Regress a target's gains on what its sources are: of its domain or not, and how large.

Within one target, gains y are explained by a = 1 for sources of its domain, else 0, and b = log of
the source's number of images, all less their mean over the rows that differ in the source alone and
scaled to unit variance. With correlations r,

    beta_a = (r_ya - r_yb r_ab) / (1 - r_ab^2),     R^2 = beta_a r_ya + beta_b r_yb,

and what a predictor brings (dominance analysis, Budescu 1993) is the mean of its R^2 alone and of
what it adds to the other:

    D_a = (r_ya^2 + R^2 - r_yb^2) / 2.

D_a - D_b = r_ya^2 - r_yb^2 has mean 0 where neither has an effect, as chance explains as much by one
as by the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.findings.families import families_of
from headwater.leaderboard.statistics.correlation import COLLINEAR

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ["task", "family", "beta_within", "beta_size", "d_within", "d_size", "difference"]


def by_target(rows: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Return one row a target in which domain and size vary apart.

    Args:
        rows: ``gain``, ``match`` (2 is within-domain) and ``source_images``.
        groups: Columns that rows share which differ in the source alone.

    Returns:
        Standardised coefficients ``beta_``, what each predictor brings ``d_``, and the
        ``difference`` of these, domain less size.
    """
    import pandas as pd

    told = rows.dropna(subset=["gain"])
    told = told.assign(
        family=families_of(told),
        within=(told["match"] == 2).astype(float),
        log_size=np.log(told["source_images"].astype(float).clip(lower=1)),
    )
    columns = ["gain", "within", "log_size"]
    means = told.groupby(groups, dropna=False)[columns].transform("mean")
    centred = told[columns].astype(float) - means
    found = []
    for (task, family), part in centred.groupby([told["task"], told["family"]]):
        explained = explain(part.to_numpy())
        if explained is not None:
            found.append((task, family, *explained))
    return pd.DataFrame(found, columns=_COLUMNS)


def explain(centred: np.ndarray) -> tuple[float, float, float, float, float] | None:
    """Return both coefficients, what each predictor brings, and the difference of these.

    Args:
        centred: (N, 3) gain, within and log size, each less its mean.

    Returns:
        None where one of the three never varies, or the predictors never apart.
    """
    norms = np.sqrt((centred**2).sum(axis=0))
    if (norms < 1e-12).any():
        return None
    scaled = centred / norms
    with_within, with_size, between = (
        float(scaled[:, one] @ scaled[:, other]) for one, other in ((0, 1), (0, 2), (1, 2))
    )
    if abs(between) >= COLLINEAR:
        return None
    rest = 1 - between**2
    beta_within = (with_within - with_size * between) / rest
    beta_size = (with_size - with_within * between) / rest
    explained = beta_within * with_within + beta_size * with_size
    of_within = (with_within**2 + explained - with_size**2) / 2
    of_size = explained - of_within
    return beta_within, beta_size, of_within, of_size, of_within - of_size
