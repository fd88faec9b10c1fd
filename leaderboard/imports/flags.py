"""What is doubtful in published scores: outside the estimator's range, the same as another
estimator's, or known to be at fault.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.imports.mapping import TableMapping
from headwater.registry import Estimator, Shape
from headwater.registry.cards.estimator import SLACK

if TYPE_CHECKING:
    import pandas as pd

_ENOUGH = 3
"""Sources that two estimators must agree on, to the last digit, before one is taken to repeat the
other.
"""


def notes(
    values: pd.DataFrame, mapping: TableMapping, estimators: Mapping[str, Estimator]
) -> pd.Series:
    """A note for every value, "" for most."""
    outside = _outside(values, mapping, estimators)
    said = [outside, _repeats(values, outside != ""), _faults(values, mapping)]
    found = _blank(values)
    flagged = np.logical_or.reduce([(part != "").to_numpy(bool) for part in said])
    found[flagged] = [
        "; ".join(filter(None, parts))
        for parts in zip(*(part[flagged] for part in said), strict=True)
    ]
    return found


def stem(estimator: str) -> str:
    """``nleep`` of ``nleep[components=2]``."""
    return estimator.partition("[")[0].strip()


def _outside(
    values: pd.DataFrame, mapping: TableMapping, estimators: Mapping[str, Estimator]
) -> pd.Series:
    found = _blank(values)
    scores = values[
        (values["kind"] == "estimate") & values["adaptation"].map(stem).isin(list(estimators))
    ]
    for (name, task, size), group in scores.groupby(["adaptation", "task", "size"], sort=False):
        low, high = estimators[stem(name)].range(
            Shape(
                images=int(size) if size.isdecimal() else None, classes=mapping.task(task).classes
            )
        )
        slack = SLACK * max(
            1.0, *(abs(bound) for bound in (low, high) if math.isfinite(bound)), 0.0
        )
        out = group[(group["value"] < low - slack) | (group["value"] > high + slack)]
        beyond = np.maximum(low - out["value"], out["value"] - high).to_numpy(float)
        out = out[beyond > np.array([_rounding(text) for text in out["text"]], float)]
        found[out.index] = f"outside {_interval(low, high)}"
    return found


def _rounding(text: str) -> float:
    """Half a unit of the last digit written: a bound of −2.3026 may be published as −2.303."""
    digits, _, exponent = text.strip().lower().replace(",", ".").partition("e")
    return (
        0.5 * 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2])) if "." in digits else 0.0
    )


def _interval(low: float, high: float) -> str:
    left = f"[{low:g}" if math.isfinite(low) else "(−∞"
    right = f"{high:g}]" if math.isfinite(high) else "∞)"
    return f"{left}, {right}".replace("-", "−")


def _repeats(values: pd.DataFrame, outside: pd.Series) -> pd.Series:
    """Columns that are another estimator's for a whole task. Which of the two was copied shows only
    where one is outside its range.
    """
    import pandas as pd

    found = _blank(values)
    scores = values[values["kind"] == "estimate"]
    if scores["adaptation"].nunique() < 2:
        return found
    where = ["task", "size", "seed"]
    marks = pd.util.hash_pandas_object(
        scores[["source", "value"]].astype({"source": object}), index=False
    )
    columns = (
        scores.assign(mark=marks, outside=outside[scores.index])
        .groupby([*where, "adaptation"], sort=False, dropna=False)
        .agg(
            mark=("mark", "sum"),
            sources=("source", "nunique"),
            distinct=("value", "nunique"),
            outside=("outside", "any"),
        )
        .reset_index()
    )
    columns = columns[(columns["sources"] >= _ENOUGH) & (columns["distinct"] > 1)]
    alike = columns[columns.duplicated([*where, "mark"], keep=False)]
    for _, group in alike.groupby([*where, "mark"], sort=False, dropna=False):
        blamed = group[group["outside"]] if group["outside"].nunique() > 1 else group
        for row in blamed.itertuples():
            others = " and ".join(sorted(set(group["adaptation"]) - {row.adaptation}))
            mine = (
                (scores["task"] == row.task)
                & (scores["adaptation"] == row.adaptation)
                & (scores["size"] == row.size)
            )
            mine &= scores["seed"].isna() if pd.isna(row.seed) else scores["seed"] == row.seed
            found[scores.index[mine]] = f"the same as {others} for every source of this task"
    return found


def _faults(values: pd.DataFrame, mapping: TableMapping) -> pd.Series:
    found = _blank(values)
    scores = values[
        (values["kind"] == "estimate")
        & values["adaptation"].isin([fault.estimator for fault in mapping.faults])
    ]
    for (name, task), group in scores.groupby(["adaptation", "task"], sort=False):
        found[group.index] = "; ".join(
            fault.note for fault in mapping.faults if fault.holds(name, task)
        )
    return found


def _blank(values: pd.DataFrame) -> pd.Series:
    import pandas as pd

    return pd.Series("", index=values.index, dtype=object)
