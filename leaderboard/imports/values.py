"""Turn a table's rows into values, one row each, and into the rows that hold none: nothing is
dropped without a word.
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

PROBLEM_COLUMNS = ["row", "source", "task", "column", "value", "problem"]
"""A row left out, or a cell: where it stands, what it holds, and what is wrong with it."""

SPLITS = {"adapt": "test", "estimate": "train"}
"""The split that a value of each kind is measured on."""

MISSING_TEXTS = ("", "nan", "none", "null", "na")
"""What tables write, in lower case, where they have no value."""


@dataclass(frozen=True)
class TableValues:
    """Hold the values of a table.

    Attributes:
        values: ``COORDINATES``, split, sign, value, and the row, column and text that it came from.
        problems: ``PROBLEM_COLUMNS``, a row for each row or cell without a value.
    """

    values: pd.DataFrame
    problems: pd.DataFrame


def values_of(table: PublishedTable, mapping: TableMapping) -> TableValues:
    """Return all values of a table, and what was left out and why."""
    import pandas as pd

    rows, problems = _located(table.rows, mapping)
    parts = []
    for part in _columns(rows, mapping):
        numbers, unreadable = _numbers(part, mapping.decimal)
        parts.append(numbers)
        problems.append(unreadable)
    values, repeated = _once(pd.concat(parts, ignore_index=True), mapping)
    left_out = pd.concat([*problems, repeated], ignore_index=True)[PROBLEM_COLUMNS]
    in_order = left_out.sort_values(["row", "column"], kind="stable", ignore_index=True)
    return TableValues(values, in_order)


# -- rows ------------------------------------------------------------------------------------------


def _located(table: pd.DataFrame, mapping: TableMapping) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Return the rows with their source, task, size and seed, and the rows without as problems.

    Those are rows without a source or task, or with a seed that is no number.
    """
    columns = mapping.columns
    rows = table.copy(deep=False)
    rows["row"] = np.arange(1, len(rows) + 1)
    rows["source"] = _named(table[columns.source], mapping.rename.sources)
    rows["task"] = _named(table[columns.task], mapping.rename.tasks)
    rows["size"] = mapping.size
    if columns.size:
        rows["size"] = _named(table[columns.size], {}).fillna(mapping.size)
    checks = [
        (rows["source"].isna(), columns.source, "no source"),
        (rows["task"].isna(), columns.task, "no task"),
    ]
    rows["seed"] = np.nan
    if columns.seed:
        rows["seed"] = _seeds(table[columns.seed])
        is_lost = table[columns.seed].notna() & rows["seed"].isna()
        checks.append((is_lost, columns.seed, "the seed is no whole number"))
    problems = []
    is_bad = np.zeros(len(rows), bool)
    for is_wrong, column, problem in checks:
        # A row is told once, for the first thing that is wrong with it.
        is_new = is_wrong.to_numpy() & ~is_bad
        text = f"{problem}: the row is left out"
        wrong = rows[is_new].assign(column=column, value=table[column][is_new], problem=text)
        problems.append(wrong)
        is_bad |= is_new
    return rows[~is_bad], problems


def _seeds(texts: pd.Series) -> pd.Series:
    """Return seeds as numbers; NaN for what is no whole number that the store can hold."""
    import pandas as pd

    numbers = pd.to_numeric(texts, errors="coerce")
    is_whole = numbers % 1 == 0
    fits_column = numbers.between(-(2**31), 2**31 - 1)
    return numbers.where(is_whole & fits_column)


def _named(column: pd.Series, renamed: Mapping[str, str]) -> pd.Series:
    """Return names without blanks around them; an empty one is missing."""
    import pandas as pd

    # Each distinct text once: a table of a million rows names a few hundred things.
    names = {}
    for text in column.dropna().unique():
        name = str(text).strip()
        if name:
            names[text] = renamed.get(name, name)
    return column.map(names).where(column.notna(), None).astype(pd.StringDtype())


# -- columns ---------------------------------------------------------------------------------------


def _columns(rows: pd.DataFrame, mapping: TableMapping) -> Iterator[pd.DataFrame]:
    """Yield each column of values beside its coordinates."""
    base = rows[["row", "source", "task", "size", "seed"]]
    columns = mapping.columns
    for name, metric in mapping.metrics.items():
        yield base.assign(
            kind="adapt",
            adaptation=mapping.adaptation,
            metric=name,
            sign=1 if metric.direction == "higher" else -1,
            column=metric.column,
            text=rows[metric.column],
            scale=metric.scale,
            beside=rows[columns.estimator] if columns.estimator else None,
        )
    for name, column in mapping.estimators.items():
        renamed = mapping.rename.estimators.get(name, name)
        yield _scores(base, renamed, column=column, text=rows[column])
    if columns.estimator and columns.score:
        names = _named(rows[columns.estimator], mapping.rename.estimators)
        yield _scores(base, names, column=columns.score, text=rows[columns.score])


def _scores(
    base: pd.DataFrame, estimator: str | pd.Series, *, column: str, text: pd.Series
) -> pd.DataFrame:
    """Return a column of scores beside its coordinates."""
    return base.assign(
        kind="estimate",
        adaptation=estimator,
        metric="score",
        sign=1,
        column=column,
        text=text,
        scale=1.0,
        beside=None,
    )


def _numbers(part: pd.DataFrame, decimal: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the values that are numbers, and the cells that are not, each with its problem."""
    import pandas as pd

    text = part["text"].str.strip()
    if decimal == ",":
        text = text.str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(float)
    # Divided, since 82.5 / 100 is 0.825 and 82.5 * 0.01 is not.
    divisors = 1 / part["scale"].to_numpy(float)
    values = numbers / divisors
    is_nameless = part["adaptation"].isna().to_numpy()
    is_missing = (text.isna() | text.str.lower().isin(MISSING_TEXTS)).to_numpy(bool)
    problem = np.select(
        [is_nameless, is_missing, np.isinf(values), np.isnan(values)],
        ["no estimator's name", "no value", "infinite", "not a number"],
        default="",
    )
    is_number = problem == ""
    measured = part.assign(value=values, split=part["kind"].map(SPLITS))
    unreadable = part.assign(value=part["text"], problem=problem)
    return measured[is_number], unreadable[~is_number]


# -- repetitions -----------------------------------------------------------------------------------


def _once(values: pd.DataFrame, mapping: TableMapping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return each value once: the first of several counts, the others are problems.

    A long table repeats its metrics for every estimator: that is no problem as long as they agree.
    """
    groups = values.groupby(COORDINATES, sort=False, dropna=False)
    first = groups[["value", "row"]].transform("first")
    is_repeated = values.duplicated(COORDINATES)
    is_different = values["value"] != first["value"]
    is_expected = (values["kind"] == "adapt") & ~is_different
    is_expected &= ~values.duplicated([*COORDINATES, "beside"])
    is_expected &= bool(mapping.columns.estimator)
    is_problem = is_repeated & ~is_expected
    problems = []
    for row, value, differs in zip(
        first.loc[is_problem, "row"],
        first.loc[is_problem, "value"],
        is_different[is_problem],
        strict=True,
    ):
        if differs:
            problems.append(f"row {row:.0f} has {value:g} for the same: this one is left out")
        else:
            problems.append(f"says again what row {row:.0f} says")
    told = values[is_problem]
    repeated = told.assign(value=told["text"], problem=problems)
    counted = values[~is_repeated].drop(columns=["scale", "beside"])
    return counted.reset_index(drop=True), repeated
