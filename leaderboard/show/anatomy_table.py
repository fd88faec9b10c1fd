"""Show an anatomy as tables: for people one an analysis, networks side by side; for programs all
rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.leaderboard.anatomy.readings import AnatomyReadings
from headwater.leaderboard.show.anatomy_views import ShownAnalysis, shown_analyses
from headwater.leaderboard.show.short_names import shortened
from headwater.leaderboard.show.tables import Column, Table
from headwater.registry import Registry, directed
from headwater.registry.cards.analysis import PAIRS, SummaryTable

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 8
"""A longer axis of an abridged table is shown at its ends and quarters."""

ABRIDGED_ROWS = 5
"""Rows of such an axis that are shown."""

_COORDINATES = ("source", "adaptation", "size", "metric")
_READING = ("subject", "quantity", "module", "x", "mean", "low", "high", "tasks", "seeds")


def readings_table(anatomies: Sequence[AnatomyReadings]) -> Table:
    """Return every reading with its mean, interval and counts, one a row."""
    rows = []
    for anatomy in anatomies:
        coordinates = [getattr(anatomy, name) for name in _COORDINATES]
        for analysis, readings in anatomy.analyses.items():
            for line in readings.lines.itertuples(index=False):
                values = [_value(getattr(line, column)) for column in _READING]
                rows.append([*coordinates, analysis, *values])
    columns = [*_COORDINATES, "analysis", *_READING]
    return Table("anatomy", columns, rows)


def summary_tables(anatomy: AnatomyReadings, registry: Registry) -> list[Table]:
    """Return the tables of each analysis, networks side by side; ± is half of a 95 % interval."""
    tables: list[Table] = []
    for analysis in shown_analyses(anatomy, registry):
        tables += _tables_of(analysis)
    if tables:
        tables[-1].notes += _notes(anatomy)
    return tables


def heading(anatomy: AnatomyReadings) -> str:
    """Return ``chain(…→letters) · fine_tune · size full · 1 task · 3 seeds``."""
    source = shortened([anatomy.source])[anatomy.source]
    tasks = _count(anatomy.rows["task"].nunique(), "task")
    seeds = _count(anatomy.rows["seed"].nunique(), "seed")
    return f"{source} · {anatomy.adaptation} · size {anatomy.size} · {tasks} · {seeds}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}"


def _tables_of(analysis: ShownAnalysis) -> Iterator[Table]:
    """Yield the tables of an analysis whose quantity was read."""
    readings = analysis.readings
    metric = readings.metric
    arrow = directed(metric, readings.sign)
    for table in analysis.tables:
        lines = readings.of(table.quantity)
        if len(lines):
            title = table.title.format(metric=metric, directed=arrow)
            yield _side_by_side(lines, table, title)


def _side_by_side(lines: pd.DataFrame, table: SummaryTable, title: str) -> Table:
    """Return one row for each module or place, one column for each network or pair."""
    subjects = _ordered(lines["subject"])
    # Distances reach hundreds, where further decimals are noise.
    decimals = 3 if lines["mean"].abs().max() < 10 else 1
    cells = {}
    for line in lines.itertuples():
        cells[_row_of(line), line.subject] = _mean(line, decimals)
    names = list(dict.fromkeys(row for row, _ in cells))
    if table.abridged and len(names) > MAX_ROWS:
        names = _abridged(names)
    columns = [Column(subject, rank=0) for subject in subjects]
    if table.rows:
        columns.insert(0, Column(table.rows, rank=0))
    rows = []
    for name in names:
        values = [cells.get((name, subject), "") for subject in subjects]
        rows.append([name, *values] if table.rows else values)
    return Table(title, columns, rows)


def _abridged(names: Sequence[str]) -> list[str]:
    """Return the names at the ends and quarters of an axis."""
    places = np.linspace(0, len(names) - 1, ABRIDGED_ROWS).round().astype(int)
    return [names[place] for place in np.unique(places)]


def _ordered(subjects: pd.Series) -> list[str]:
    """Return the networks, then the pairs, then what only a plugin knows."""
    present = list(dict.fromkeys(subjects))
    usual = ("P-T", "RI-T", *PAIRS)
    first = [name for name in usual if name in present]
    return first + [name for name in present if name not in usual]


def _row_of(line: Any) -> str:
    """Return the name of a line's row: its module, its place on x, or the whole network."""
    if line.module:
        return str(line.module)
    return "whole" if np.isnan(line.x) else f"{line.x:g}"


def _mean(line: Any, decimals: int) -> str:
    mean = f"{line.mean:.{decimals}f}"
    half_width = (line.high - line.low) / 2
    if np.isnan(half_width):
        return mean
    return f"{mean} ± {half_width:.{decimals}f}"


def _notes(anatomy: AnatomyReadings) -> Iterator[str]:
    """Yield what the tables cannot tell."""
    rows = anatomy.rows
    protocols = int(rows.groupby("task")["protocol"].nunique().max())
    if protocols > 1:
        yield (
            f"{protocols} protocols of one task are mixed: "
            "other budgets, image sizes or data are averaged here"
        )
    if rows["seed"].nunique() < 2 and rows["task"].nunique() < 2:
        yield (
            "one task and one seed: no interval, and no pair of two seeds "
            "(headwater analyse … --seeds 3)"
        )
    elif any(readings.lines["low"].isna().any() for readings in anatomy.analyses.values()):
        yield "where there is no ±, only one cell or one pair of seeds was read"


def _value(value: Any) -> Any:
    """Return a plain value; None for what is not a number."""
    plain = value.item() if isinstance(value, np.generic) else value
    is_missing = isinstance(plain, float) and np.isnan(plain)
    return None if is_missing else plain
