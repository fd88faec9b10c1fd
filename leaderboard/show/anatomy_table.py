"""Tables of an anatomy: for people one an analysis, networks side by side; for programs all rows."""

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

_MAX_ROWS = 8
"""A longer axis of an abridged table is shown at its ends and quarters."""

_COORDINATES = ("source", "adaptation", "size", "metric")
_READING = ("subject", "quantity", "module", "x", "mean", "low", "high", "tasks", "seeds")


def readings_table(anatomies: Sequence[AnatomyReadings]) -> Table:
    """Return every reading with its mean, interval and counts, one a row."""
    rows = []
    for anatomy in anatomies:
        coordinates = [getattr(anatomy, name) for name in _COORDINATES]
        for name, readings in anatomy.analyses.items():
            for line in readings.lines.itertuples(index=False):
                values = (_value(getattr(line, column)) for column in _READING)
                rows.append([*coordinates, name, *values])
    return Table("anatomy", [*_COORDINATES, "analysis", *_READING], rows)


def summary_tables(anatomy: AnatomyReadings, registry: Registry) -> list[Table]:
    """Return the tables of each analysis, networks side by side; ± is half of a 95 % interval."""
    tables = [
        table for analysis in shown_analyses(anatomy, registry) for table in _tables_of(analysis)
    ]
    if tables:
        tables[-1].notes += _notes(anatomy)
    return tables


def heading(anatomy: AnatomyReadings) -> str:
    """Return ``chain(…→letters) · fine_tune · size full · 1 task · 3 seeds``."""
    tasks, seeds = anatomy.rows["task"].nunique(), anatomy.rows["seed"].nunique()
    counts = f"{tasks} task{'s' * (tasks > 1)} · {seeds} seed{'s' * (seeds > 1)}"
    source = shortened([anatomy.source])[anatomy.source]
    return f"{source} · {anatomy.adaptation} · size {anatomy.size} · {counts}"


def _tables_of(analysis: ShownAnalysis) -> Iterator[Table]:
    metric, sign = analysis.readings.metric, analysis.readings.sign
    for table in analysis.tables:
        lines = analysis.readings.of(table.quantity)
        if len(lines):
            title = table.title.format(metric=metric, directed=directed(metric, sign))
            yield _side_by_side(lines, table, title)


def _side_by_side(lines: pd.DataFrame, table: SummaryTable, title: str) -> Table:
    """Return one row for each module or place, one column for each network or pair."""
    subjects = _ordered(lines["subject"])
    digits = 3 if lines["mean"].abs().max() < 10 else 1
    cells = {(_row_of(line), line.subject): _mean(line, digits) for line in lines.itertuples()}
    names = list(dict.fromkeys(row for row, _ in cells))
    if table.abridged and len(names) > _MAX_ROWS:
        chosen = np.unique(np.linspace(0, len(names) - 1, 5).round().astype(int))
        names = [names[index] for index in chosen]
    columns = [Column(subject, rank=0) for subject in subjects]
    rows = [[cells.get((name, subject), "") for subject in subjects] for name in names]
    if table.rows:
        columns = [Column(table.rows, rank=0), *columns]
        rows = [[name, *row] for name, row in zip(names, rows, strict=True)]
    return Table(title, columns, rows)


def _ordered(subjects: pd.Series) -> list[str]:
    """Return the networks, then the pairs, then what only a plugin knows."""
    present = list(dict.fromkeys(subjects))
    known = ("P-T", "RI-T", *PAIRS)
    return [name for name in known if name in present] + [
        name for name in present if name not in known
    ]


def _row_of(line: Any) -> str:
    return line.module or ("whole" if np.isnan(line.x) else f"{line.x:g}")


def _mean(line: Any, digits: int) -> str:
    half = (line.high - line.low) / 2
    return f"{line.mean:.{digits}f}" + ("" if np.isnan(half) else f" ± {half:.{digits}f}")


def _notes(anatomy: AnatomyReadings) -> Iterator[str]:
    protocols = int(anatomy.rows.groupby("task")["protocol"].nunique().max())
    if protocols > 1:
        yield (
            f"{protocols} protocols of one task are mixed: "
            "other budgets, image sizes or data are averaged here"
        )
    if anatomy.rows["seed"].nunique() < 2 and anatomy.rows["task"].nunique() < 2:
        yield (
            "one task and one seed: no interval, and no pair of two seeds "
            "(headwater analyse … --seeds 3)"
        )
    elif any(readings.lines["low"].isna().any() for readings in anatomy.analyses.values()):
        yield "where there is no ±, only one cell or one pair of seeds was read"


def _value(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain
