"""Show what ``headwater import`` did: counts, what is flagged, and every row that did not go in."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.leaderboard.imports import cards
from headwater.leaderboard.imports.record import ImportResult
from headwater.leaderboard.show.tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd

MAX_SHOWN_ROWS = 20
"""Rows left out that people are shown; programs get all of them."""

MAX_SHOWN_NAMES = 6
"""Names that a note on cards gives one by one."""

_NOUNS = {"adapt": "results", "estimate": "scores"}
"""What people call the values of each kind."""


def tables(found: ImportResult, store: Path, *, people: bool) -> Iterator[Table]:
    """Yield the tables of an import.

    Args:
        found: The import.
        store: The store's file.
        people: Whether people read them: counts, flags by estimator and task, and rows left out.
            Programs get one table with a row a doubtful value.
    """
    if not people:
        yield _doubtful(found, store)
        return
    yield _counts(found, store)
    if not found.incoming.flagged.empty:
        yield _flags(found)
    if not found.incoming.problems.empty:
        yield _left_out(found)


def _counts(found: ImportResult, store: Path) -> Table:
    """Return the counts of new, changed, equal and flagged values of each kind."""
    incoming = found.incoming
    values = incoming.values
    rows: list[list[Any]] = []
    for kind, noun in _NOUNS.items():
        of_kind = values[values["kind"] == kind]
        if of_kind.empty:
            continue
        named = of_kind["metric" if kind == "adapt" else "adaptation"].unique()
        sources = of_kind["source"].nunique()
        tasks = of_kind["task"].nunique()
        counts = [found.standing[kind][standing] for standing in ("new", "changed", "same")]
        flagged = int((of_kind["note"] != "").sum())
        rows.append([noun, ", ".join(named), sources, tasks, *counts, flagged])
    columns = [Column("what", rank=0), Column("of", rank=2), Column("sources"), Column("tasks")]
    columns += [Column(name, show=",d", rank=0) for name in ("new", "changed", "same", "flagged")]
    title = f"{incoming.table.path.name} as {incoming.mapping.name}"
    return Table(title, columns, rows, list(_notes(found, store)))


def _notes(found: ImportResult, store: Path) -> Iterator[str]:
    incoming = found.incoming
    counts = found.counts
    if incoming.unknown:
        yield (
            f"no range is known for {', '.join(incoming.unknown)}: "
            "their values were held against none"
        )
    if counts["kept"]:
        yield (
            f"{counts['kept']:,} values of an earlier import of this name are not in the table "
            "now: kept"
        )
    for table, names in found.cards_kept.items():
        if names:
            others = len(names) - MAX_SHOWN_NAMES
            more = f" and {others} more" if others > 0 else ""
            listed = ", ".join(names[:MAX_SHOWN_NAMES]) + more
            yield f"cards that were there already stay as they are ({table}): {listed}"
    yield from cards.unused(incoming.mapping, incoming.values)
    if found.run:
        query = "SELECT * FROM cells WHERE origin = 'imported'"
        yield f'taken in as run {found.run}; see headwater query "{query}"{_store_option(store)}'
    elif counts["new"] or counts["changed"]:
        yield "dry run: nothing was changed"
    else:
        yield f"all of it is in {store} already: nothing was changed"


def _store_option(store: Path) -> str:
    """Return the option that names a store; nothing for the default one."""
    if store == Path("headwater.duckdb"):
        return ""
    return f" --store {shlex.quote(str(store))}"


def _flags(found: ImportResult) -> Table:
    """Return a row for each estimator, task and note, with the range of the flagged scores."""
    values = found.incoming.values
    scores = values[values["kind"] == "estimate"]
    totals = scores.groupby(["adaptation", "task"]).size()
    groups = found.incoming.flagged.groupby(["adaptation", "task", "note"], sort=True)
    rows = []
    for (estimator, task, note), flagged in groups["value"]:
        total = int(totals[estimator, task])
        rows.append([estimator, task, len(flagged), total, flagged.min(), flagged.max(), note])
    columns = [
        Column("estimator", rank=0),
        Column("task", rank=0),
        Column("flagged", show=",d", rank=0),
        Column("of", show=",d", rank=2),
        Column("lowest", show=".4g"),
        Column("highest", show=".4g"),
        Column("why", rank=0),
    ]
    note = (
        "flagged values are in the store as they were published, "
        "with why in the column note of estimates"
    )
    return Table("doubtful scores", columns, rows, [note])


def _left_out(found: ImportResult) -> Table:
    """Return the first rows and cells that did not go in."""
    problems = found.incoming.problems
    rows = [_row(row) for row in problems.head(MAX_SHOWN_ROWS).itertuples()]
    others = len(problems) - len(rows)
    notes = [f"{others:,} more: --format json lists all of them"] if others > 0 else []
    columns = [
        Column("row", rank=0),
        Column("source", rank=1),
        Column("task", rank=1),
        Column("column", rank=0),
        Column("value", rank=1),
        Column("why", rank=0),
    ]
    return Table("left out", columns, rows, notes)


def _row(row: Any) -> list[Any]:
    """Return a problem's values in the order of the columns."""
    texts = (row.source, row.task, row.column, row.value, row.problem)
    return [int(row.row), *map(_text, texts)]


def _text(value: Any) -> str:
    """Return a text; "" for pandas' missing values."""
    return value if isinstance(value, str) else ""


def _doubtful(found: ImportResult, store: Path) -> Table:
    """Return one row for each value that is flagged, or that did not go in."""
    columns = ["what", "row", "source", "task", "column", "value", "why"]
    problems = found.incoming.problems
    flagged = _as_problems(found.incoming.flagged)
    rows = [["left out", *_row(row)] for row in problems.itertuples()]
    rows += [["flagged", *_row(row)] for row in flagged.itertuples()]
    counted = ", ".join(f"{count:,} {standing}" for standing, count in found.counts.items())
    return Table("", columns, rows, [f"values: {counted}", *_notes(found, store)])


def _as_problems(flagged: pd.DataFrame) -> pd.DataFrame:
    """Return flagged values with the columns of problems: what was written, and why it is flagged."""
    return flagged.drop(columns="value").rename(columns={"text": "value", "note": "problem"})
