"""What ``headwater import`` says: counts, what is flagged, and every row that did not go in."""

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

_MAX_SHOWN = 20
"""Rows left out that people are shown; programs get all of them."""
_WHAT = {"adapt": "results", "estimate": "scores"}


def tables(found: ImportResult, store: Path, *, people: bool) -> Iterator[Table]:
    """For people counts, flags by estimator and task, and rows left out; for programs one row a
    doubtful value.
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
    incoming = found.incoming
    values = incoming.values
    rows: list[list[Any]] = []
    for kind, what in _WHAT.items():
        own = values[values["kind"] == kind]
        if own.empty:
            continue
        named = ", ".join(own["metric" if kind == "adapt" else "adaptation"].unique())
        counted = [found.standing[kind][standing] for standing in ("new", "changed", "same")]
        rows.append(
            [
                what,
                named,
                own["source"].nunique(),
                own["task"].nunique(),
                *counted,
                int((own["note"] != "").sum()),
            ]
        )
    columns = [Column("what", rank=0), Column("of", rank=2), Column("sources"), Column("tasks")]
    columns += [Column(name, show=",d", rank=0) for name in ("new", "changed", "same", "flagged")]
    return Table(
        f"{incoming.table.path.name} as {incoming.mapping.name}",
        columns,
        rows,
        list(_notes(found, store)),
    )


def _notes(found: ImportResult, store: Path) -> Iterator[str]:
    incoming, counts = found.incoming, found.counts
    if incoming.unknown:
        yield f"no range is known for {', '.join(incoming.unknown)}: their values were held against none"
    if counts["kept"]:
        yield f"{counts['kept']:,} values of an earlier import of this name are not in the table now: kept"
    for table, names in found.cards_kept.items():
        if names:
            listed = ", ".join(names[:6]) + (
                f" and {len(names) - 6} more" if len(names) > 6 else ""
            )
            yield f"cards that were there already stay as they are ({table}): {listed}"
    yield from cards.unused(incoming.mapping, incoming.values)
    if found.run:
        yield f"taken in as run {found.run}; see headwater query \"SELECT * FROM cells WHERE origin = 'imported'\"{_of(store)}"
    elif counts["new"] or counts["changed"]:
        yield "dry run: nothing was changed"
    else:
        yield f"all of it is in {store} already: nothing was changed"


def _of(store: Path) -> str:
    return "" if store == Path("headwater.duckdb") else f" --store {shlex.quote(str(store))}"


def _flags(found: ImportResult) -> Table:
    values = found.incoming.values
    totals = values[values["kind"] == "estimate"].groupby(["adaptation", "task"]).size()
    flagged = (
        found.incoming.flagged.groupby(["adaptation", "task", "note"], sort=True)["value"]
        .agg(["size", "min", "max"])
        .reset_index()
    )
    rows = [
        [
            row.adaptation,
            row.task,
            row.size_,
            totals[row.adaptation, row.task],
            row.min,
            row.max,
            row.note,
        ]
        for row in flagged.rename(columns={"size": "size_"}).itertuples()
    ]
    columns = [
        Column("estimator", rank=0),
        Column("task", rank=0),
        Column("flagged", show=",d", rank=0),
        Column("of", show=",d", rank=2),
        Column("lowest", show=".4g"),
        Column("highest", show=".4g"),
        Column("why", rank=0),
    ]
    notes = [
        "flagged values are in the store as they were published, with why in the column note of estimates"
    ]
    return Table("doubtful scores", columns, rows, notes)


def _left_out(found: ImportResult) -> Table:
    problems = found.incoming.problems
    rows = [_row(row) for row in problems.head(_MAX_SHOWN).itertuples()]
    more = len(problems) - len(rows)
    notes = [f"{more:,} more: --format json lists all of them"] if more > 0 else []
    columns = [
        Column(name, rank=rank)
        for name, rank in (
            ("row", 0),
            ("source", 1),
            ("task", 1),
            ("column", 0),
            ("value", 1),
            ("why", 0),
        )
    ]
    return Table("left out", columns, rows, notes)


def _row(row: Any) -> list[Any]:
    return [
        int(row.row),
        *(_text(value) for value in (row.source, row.task, row.column, row.value, row.problem)),
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _doubtful(found: ImportResult, store: Path) -> Table:
    """Return one row for each value that is flagged, or that did not go in."""
    columns = ["what", "row", "source", "task", "column", "value", "why"]
    rows = [["left out", *_row(row)] for row in found.incoming.problems.itertuples()]
    rows += [["flagged", *_row(row)] for row in _as_problems(found.incoming.flagged).itertuples()]
    counted = ", ".join(f"{count:,} {standing}" for standing, count in found.counts.items())
    return Table("", columns, rows, [f"values: {counted}", *_notes(found, store)])


def _as_problems(flagged: pd.DataFrame) -> pd.DataFrame:
    return flagged.drop(columns="value").rename(columns={"text": "value", "note": "problem"})
