"""Flag doubtful published scores: outside the estimator's range, the same as another estimator's,
or known to be at fault.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.leaderboard.imports.mapping import TableMapping
from headwater.registry import Estimator, Shape
from headwater.registry.cards.estimator import SLACK

if TYPE_CHECKING:
    import pandas as pd

MIN_REPEATED_SOURCES = 3
"""Sources that two estimators must agree on, to the last digit, before one is taken to repeat the
other.
"""

COLUMN_KEYS = ["task", "size", "seed"]
"""What the scores of one column of one task share, beside their estimator."""


def notes(
    values: pd.DataFrame, mapping: TableMapping, estimators: Mapping[str, Estimator]
) -> pd.Series:
    """Return a note for every value, "" for most.

    Args:
        values: The values, as ``values_of`` returns them.
        mapping: What the table's columns are.
        estimators: The cards, which declare the ranges of scores.
    """
    outside = _outside(values, mapping, estimators)
    repeats = _repeats(values, outside != "")
    faults = _faults(values, mapping)
    reasons = zip(outside, repeats, faults, strict=True)
    joined = ["; ".join(filter(None, of_value)) for of_value in reasons]
    return _series(joined, values)


def stem(estimator: str) -> str:
    """Return an estimator's name without options: ``nleep`` for ``nleep[components=2]``."""
    return estimator.partition("[")[0].strip()


def _outside(
    values: pd.DataFrame, mapping: TableMapping, estimators: Mapping[str, Estimator]
) -> pd.Series:
    """Return a note for every score that lies outside its estimator's range."""
    flags = _blank(values)
    is_score = values["kind"] == "estimate"
    has_range = values["adaptation"].map(stem).isin(list(estimators))
    scores = values[is_score & has_range]
    # A range may depend on the task's classes and images: one range for each task and size.
    for (name, task, size), group in scores.groupby(["adaptation", "task", "size"], sort=False):
        images = int(size) if size.isdecimal() else None
        shape = Shape(images=images, classes=mapping.task(task).classes)
        low, high = estimators[stem(name)].range(shape)
        excess = np.maximum(low - group["value"], group["value"] - high).to_numpy(float)
        beyond = group[excess > _slack(low, high)]
        excess = excess[excess > _slack(low, high)]
        roundings = np.array([_rounding(text) for text in beyond["text"]], float)
        outside = beyond[excess > roundings]
        flags[outside.index] = f"outside {_interval(low, high)}"
    return flags


def _slack(low: float, high: float) -> float:
    """Return by how much computing, rather than printing, may carry a score over a bound."""
    finite = [abs(bound) for bound in (low, high) if math.isfinite(bound)]
    return SLACK * max(1.0, *finite, 0.0)


def _rounding(text: str) -> float:
    """Return half a unit of the last digit written: a bound of −2.3026 may be published as −2.303."""
    digits, _, exponent = text.strip().lower().replace(",", ".").partition("e")
    if "." not in digits:
        return 0.0
    decimals = len(digits.partition(".")[2])
    return 0.5 * 10.0 ** (int(exponent or 0) - decimals)


def _interval(low: float, high: float) -> str:
    left = f"[{low:g}" if math.isfinite(low) else "(−∞"
    right = f"{high:g}]" if math.isfinite(high) else "∞)"
    return f"{left}, {right}".replace("-", "−")


def _repeats(values: pd.DataFrame, is_outside: pd.Series) -> pd.Series:
    """Return a note for every score whose column is another estimator's for a whole task.

    Which of the two was copied shows only where one is outside its range.
    """
    flags = _blank(values)
    scores = values[values["kind"] == "estimate"]
    if scores["adaptation"].nunique() < 2:
        return flags
    columns = _score_columns(scores, is_outside)
    # Few sources may agree by chance, and columns of one value all agree.
    is_telling = (columns["sources"] >= MIN_REPEATED_SOURCES) & (columns["distinct"] > 1)
    columns = columns[is_telling]
    alike_keys = [*COLUMN_KEYS, "mark"]
    alike = columns[columns.duplicated(alike_keys, keep=False)]
    for _, group in alike.groupby(alike_keys, sort=False, dropna=False):
        is_told_apart = group["outside"].nunique() > 1
        blamed = group[group["outside"]] if is_told_apart else group
        for column in blamed.itertuples():
            others = sorted(set(group["adaptation"]) - {column.adaptation})
            note = f"the same as {' and '.join(others)} for every source of this task"
            flags[scores.index[_is_of_column(scores, column)]] = note
    return flags


def _score_columns(scores: pd.DataFrame, is_outside: pd.Series) -> pd.DataFrame:
    """Return a row for each estimator, task, size and seed.

    The column ``mark`` is a hash of its sources and their scores, equal for equal columns.
    """
    import pandas as pd

    pairs = scores[["source", "value"]].astype({"source": object})
    # A sum of row hashes does not depend on the order of the rows.
    marks = pd.util.hash_pandas_object(pairs, index=False)
    marked = scores.assign(mark=marks, outside=is_outside[scores.index])
    groups = marked.groupby([*COLUMN_KEYS, "adaptation"], sort=False, dropna=False)
    columns = groups.agg(
        mark=("mark", "sum"),
        sources=("source", "nunique"),
        distinct=("value", "nunique"),
        outside=("outside", "any"),
    )
    return columns.reset_index()


def _is_of_column(scores: pd.DataFrame, column: Any) -> pd.Series:
    """Return which scores belong to a row of ``_score_columns``."""
    import pandas as pd

    is_of_column = scores["task"] == column.task
    is_of_column &= scores["adaptation"] == column.adaptation
    is_of_column &= scores["size"] == column.size
    if pd.isna(column.seed):
        return is_of_column & scores["seed"].isna()
    return is_of_column & (scores["seed"] == column.seed)


def _faults(values: pd.DataFrame, mapping: TableMapping) -> pd.Series:
    """Return the mapping's notes on columns that are known to be at fault."""
    flags = _blank(values)
    faulty = [fault.estimator for fault in mapping.faults]
    is_score = values["kind"] == "estimate"
    scores = values[is_score & values["adaptation"].isin(faulty)]
    for (name, task), group in scores.groupby(["adaptation", "task"], sort=False):
        reasons = [fault.note for fault in mapping.faults if fault.holds(name, task)]
        flags[group.index] = "; ".join(reasons)
    return flags


def _blank(values: pd.DataFrame) -> pd.Series:
    return _series("", values)


def _series(notes: str | list[str], values: pd.DataFrame) -> pd.Series:
    import pandas as pd

    return pd.Series(notes, index=values.index, dtype=object)
