"""From a table's rows to values, one row each, and to the rows that hold none: nothing is dropped
without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headwater.leaderboard.imports.mapping import TableMapping
from headwater.leaderboard.imports.table import PublishedTable

if TYPE_CHECKING:
    import pandas as pd

COORDINATES = ["kind", "source", "task", "adaptation", "size", "seed", "metric"]
"""What a value is of. An estimate's adaptation is its estimator, as everywhere in the store."""
PROBLEM = ["row", "source", "task", "column", "value", "problem"]
_SPLITS = {"adapt": "test", "estimate": "train"}


@dataclass(frozen=True)
class TableValues:
    """``values``: COORDINATES, split, sign, value, and row, column and text that it came from.
    ``problems``: PROBLEM, a row each.
    """

    values: pd.DataFrame
    problems: pd.DataFrame


def values_of(table: PublishedTable, mapping: TableMapping) -> TableValues:
    """All values of a table, and what was left out and why."""
    import pandas as pd

    rows, problems = _located(table.rows, mapping)
    parts = []
    for part in _columns(rows, mapping):
        good, bad = _numbers(part, mapping.decimal)
        parts.append(good)
        problems.append(bad)
    values, repeated = _once(pd.concat(parts, ignore_index=True), mapping)
    left_out = pd.concat([*problems, repeated], ignore_index=True)[PROBLEM]
    return TableValues(
        values, left_out.sort_values(["row", "column"], kind="stable", ignore_index=True)
    )


def _located(table: pd.DataFrame, mapping: TableMapping) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Rows with source, task, size and seed; those without a source or task, or with a seed that is
    no number, are problems.
    """
    import pandas as pd

    columns = mapping.columns
    rows = table.copy(deep=False)
    rows["row"] = np.arange(1, len(rows) + 1)
    rows["source"] = _named(table[columns.source], mapping.rename.sources)
    rows["task"] = _named(table[columns.task], mapping.rename.tasks)
    rows["size"] = (
        _named(table[columns.size], {}).fillna(mapping.size) if columns.size else mapping.size
    )
    rows["seed"] = pd.to_numeric(table[columns.seed], errors="coerce") if columns.seed else np.nan
    wrong = []
    for key, column in (("source", columns.source), ("task", columns.task)):
        wrong.append((rows[key].isna(), column, f"no {key}"))
    if columns.seed:
        seed = rows["seed"]
        whole = (seed % 1 == 0) & seed.between(-(2**31), 2**31 - 1)
        wrong.append(
            (table[columns.seed].notna() & ~whole, columns.seed, "the seed is no whole number")
        )
    problems, bad = [], np.zeros(len(rows), bool)
    for mask, column, problem in wrong:
        mask = mask.to_numpy() & ~bad
        problems.append(
            rows[mask].assign(
                column=column, value=table[column][mask], problem=f"{problem}: the row is left out"
            )
        )
        bad |= mask
    return rows[~bad], problems


def _named(column: pd.Series, renamed: Mapping[str, str]) -> pd.Series:
    """Names without blanks around them; an empty one is missing."""
    import pandas as pd

    names = {text: str(text).strip() for text in column.dropna().unique()}
    return (
        column.map({text: renamed.get(name, name) for text, name in names.items() if name})
        .where(column.notna(), None)
        .astype(pd.StringDtype())
    )


def _columns(rows: pd.DataFrame, mapping: TableMapping) -> Iterator[pd.DataFrame]:
    """Each column of values beside its coordinates."""
    base = rows[["row", "source", "task", "size", "seed"]]
    long = mapping.columns.estimator
    for name, metric in mapping.metrics.items():
        yield base.assign(
            kind="adapt", adaptation=mapping.adaptation, metric=name, sign=1 if metric.direction == "higher" else -1,
            column=metric.column, text=rows[metric.column], scale=metric.scale, beside=rows[long] if long else None,
        )  # fmt: skip
    for name, column in mapping.estimators.items():
        yield _scores(
            base.assign(adaptation=mapping.rename.estimators.get(name, name)), column, rows[column]
        )
    if long and mapping.columns.score:
        names = _named(rows[long], mapping.rename.estimators)
        yield _scores(
            base.assign(adaptation=names), mapping.columns.score, rows[mapping.columns.score]
        )


def _scores(base: pd.DataFrame, column: str, text: pd.Series) -> pd.DataFrame:
    return base.assign(
        kind="estimate", metric="score", sign=1, column=column, text=text, scale=1.0, beside=None
    )


def _numbers(part: pd.DataFrame, decimal: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values that are numbers, and cells that are not, each with its problem."""
    import pandas as pd

    text = part["text"].str.strip()
    if decimal == ",":
        text = text.str.replace(",", ".", regex=False)
    scale = part["scale"].to_numpy(float)
    number = pd.to_numeric(text, errors="coerce").to_numpy(float) / (
        1 / scale
    )  # 82.5 / 100 is 0.825, 82.5 * 0.01 is not
    finite = np.isfinite(number)
    nameless = part["adaptation"].isna().to_numpy()
    lacking = (text.isna() | text.str.lower().isin(("", "nan", "none", "null", "na"))).to_numpy(
        bool
    )
    problem = np.select(
        [nameless, lacking, np.isinf(number), ~finite],
        ["no estimator's name", "no value", "infinite", "not a number"],
        default="",
    )
    good = part.assign(value=number, split=part["kind"].map(_SPLITS))[(problem == "")]
    bad = part.assign(value=part["text"], problem=problem)[problem != ""]
    return good, bad


def _once(values: pd.DataFrame, mapping: TableMapping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each value once: the first of several counts, the others are problems.

    A long table repeats its metrics for every estimator: that is no problem as long as they agree.
    """
    first = values.groupby(COORDINATES, sort=False, dropna=False)[["value", "row"]].transform(
        "first"
    )
    again = values.duplicated(COORDINATES)
    differs = values["value"] != first["value"]
    expected = (
        (values["kind"] == "adapt")
        & ~differs
        & ~values.duplicated([*COORDINATES, "beside"])
        & bool(mapping.columns.estimator)
    )
    said = values[again & ~expected]
    problem = [
        f"row {row:.0f} has {value:g} for the same: this one is left out"
        if other
        else f"says again what row {row:.0f} says"
        for row, value, other in zip(
            first.loc[said.index, "row"],
            first.loc[said.index, "value"],
            differs[said.index],
            strict=True,
        )
    ]
    repeated = said.assign(value=said["text"], problem=problem)
    return values[~again].drop(columns=["scale", "beside"]).reset_index(drop=True), repeated
