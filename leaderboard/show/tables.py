"""Hold a table of values, and print or render it as a terminal table, JSON, CSV, Markdown, LaTeX or
HTML.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headwater.leaderboard.show.table_formats import WRITERS, RenderedTable, ShownColumn
from headwater.leaderboard.show.values import as_text, is_nan, is_number, plain, printable
from headwater.registry.errors import BadSpec

DETAIL = 3
"""Rank from which a column is a detail: a name that reads whole is worth more."""

MIN_TEXT_WIDTH = 24
"""Width down to which a text column may be folded before a column is left out."""

MIN_MAIN_WIDTH = 30
"""The same for a column that is never left out."""

GAP = 2
"""Spaces between columns."""

MAX_LEFT_OUT = 6
"""Columns that the note on what was left out names one by one."""


@dataclass(frozen=True)
class Column:
    """Say how a column of values is called and shown.

    Attributes:
        name: Its key in JSON and CSV.
        heading: What people read; the name by default.
        show: How a value is written for people: a format such as ``+.3f``, or a function of the
            value.
        rank: What a narrow terminal leaves out first: the highest, and never 0.
        only: "data" keeps it from people, "text" from JSON and CSV.
    """

    name: str
    heading: str = ""
    show: str | Callable[[Any], str] = ""
    rank: int = 1
    only: Literal["", "text", "data"] = ""

    def text(self, value: Any) -> str:
        """Write a value for people, without control characters."""
        if callable(self.show):
            return printable(self.show(value))
        if is_nan(value):
            return "—"
        if self.show and is_number(value):
            return printable(format(value, self.show))
        return printable(as_text(value))


class Table:
    """A title, columns, rows of plain values, and notes. Tables go to stdout, notes to stderr."""

    def __init__(
        self,
        title: str,
        columns: Sequence[str | Column],
        rows: Sequence[Sequence[Any]],
        notes: Sequence[str] = (),
    ) -> None:
        """Keep the values.

        Args:
            title: What people read above the table.
            columns: The columns, or their names; the first of these is never left out.
            rows: The values, in the order of the columns.
            notes: What is to be known of the table, one sentence each.
        """
        self.title = title
        self.columns = [
            column if isinstance(column, Column) else Column(column, rank=min(place, 1))
            for place, column in enumerate(columns)
        ]
        self.rows = [tuple(row) for row in rows]
        self.notes = list(notes)

    def print(self, format_: str = "table") -> None:
        """Print the table to stdout as ``table`` or as ``render`` does, and the notes to stderr."""
        notes = list(self.notes)
        if format_ == "table":
            left_out = self._print_table()
            if left_out:
                notes.append(_width_note(left_out))
        else:
            sys.stdout.write(self.render(format_))
        for note in notes:
            sys.stderr.write(f" {printable(note)}\n")

    def render(self, format_: str) -> str:
        """Return the ``json``, ``csv``, ``md``, ``latex`` or ``html`` form.

        JSON and CSV hold values as they are; the others hold what people read, escaped.

        Raises:
            BadSpec: There is no such form.
        """
        if format_ not in WRITERS:
            formats = ", ".join(WRITERS)
            raise BadSpec(
                f"a table cannot be rendered as {format_!r}",
                subject=format_,
                hint=f"Name one of {formats}; Table.print() writes for a terminal.",
            )
        return WRITERS[format_](self.rendered())

    def rendered(self) -> RenderedTable:
        """Return the table as writers take it: values for programs, text for people."""
        data = [at for at, column in enumerate(self.columns) if column.only != "text"]
        return RenderedTable(
            title=self.title,
            names=[self.columns[at].name for at in data],
            values=[[plain(row[at]) for at in data] for row in self.rows],
            shown=self._shown(),
        )

    def _shown(self) -> list[ShownColumn]:
        """Return the columns that people read, with their cells as text."""
        shown = []
        for at, column in enumerate(self.columns):
            if column.only == "data":
                continue
            values = [row[at] for row in self.rows]
            present = [value for value in values if value is not None]
            shown.append(
                ShownColumn(
                    heading=column.heading or column.name,
                    cells=[column.text(value) for value in values],
                    numeric=bool(present) and all(map(is_number, present)),
                    rank=column.rank,
                )
            )
        return shown

    def _print_table(self) -> list[str]:
        """Print the columns that fit; return the headings of those that do not."""
        import rich.box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = self._shown()
        console = Console(highlight=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:  # a file or a pipe has no width
            whole = sum(_width(column) + GAP for column in shown)
            console = Console(highlight=False, width=max(80, whole))
        fitting = _fit(shown, console.width)
        table = RichTable(
            box=rich.box.SIMPLE_HEAD,
            title=Text(self.title),
            title_justify="left",
            title_style="bold",
            pad_edge=False,
        )
        table.padding = (0, GAP - 1, 0, 0)
        for column in fitting:
            table.add_column(
                Text(column.heading),
                justify="right" if column.numeric else "left",
                overflow="fold",
                no_wrap=column.numeric or _width(column) <= MIN_TEXT_WIDTH,
            )
        for row in zip(*(column.cells for column in fitting), strict=True):
            table.add_row(*map(Text, row))
        console.print(table)
        return [column.heading for column in shown if column not in fitting]


def _width_note(left_out: Sequence[str]) -> str:
    """Say which columns a narrow terminal left out."""
    others = len(left_out) - MAX_LEFT_OUT
    more = f" and {others} more" if others > 0 else ""
    names = ", ".join(left_out[:MAX_LEFT_OUT])
    return f"left out for width: {names}{more} (a wider terminal or --format json shows them)"


def _fit(shown: Sequence[ShownColumn], width: int) -> list[ShownColumn]:
    """Leave out columns until the rest fits into a width.

    The highest rank goes first, and of equal ranks the rightmost column. Details are left out
    before a name is folded, other columns only where folding is not enough.
    """
    fitting = list(shown)
    while len(fitting) > 1:
        last = max(reversed(fitting), key=lambda column: column.rank)
        measure = _width if last.rank >= DETAIL else _min_width
        if last.rank == 0 or sum(measure(column) + GAP for column in fitting) <= width:
            break
        fitting.remove(last)
    return fitting


def _width(column: ShownColumn) -> int:
    """Return the width of a column's longest line, in terminal cells."""
    from rich.cells import cell_len

    texts = [column.heading, *column.cells]
    return max(cell_len(line) for text in texts for line in text.split("\n"))


def _min_width(column: ShownColumn) -> int:
    """Return the width that a column can be folded to; numbers are never folded."""
    width = _width(column)
    if column.numeric:
        return width
    folded = MIN_TEXT_WIDTH if column.rank else MIN_MAIN_WIDTH
    return min(width, max(folded, len(column.heading)))
