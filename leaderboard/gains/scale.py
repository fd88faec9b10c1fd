"""Which gains are averaged: differences of one metric in one unit, else gains on each target's own
scale (the view ``scales``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ABSOLUTE, NORMALISED = "abs", "norm"
"""What the columns of both kinds end with: ``gain_abs``, ``gain_norm``."""


def is_mixed(rows: pd.DataFrame) -> bool:
    """Return whether rows have several metrics or units, whose differences do not average."""
    return len(rows[["metric", "unit"]].drop_duplicates()) > 1


def gain_column(rows: pd.DataFrame, stem: str = "gain") -> str:
    """Return the column of the values that average over these rows."""
    return f"{stem}_{NORMALISED if is_mixed(rows) else ABSOLUTE}"


def unscaled_tasks(rows: pd.DataFrame) -> list[str]:
    """Return the targets that are left out of a mean over mixed rows, as they have no scale."""
    has_value = rows[gain_column(rows)].notna().groupby(rows["task"]).any()
    return [str(task) for task in has_value.index[~has_value]]
