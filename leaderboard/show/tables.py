"""One small table for everything the command line prints: on a terminal, as JSON, CSV, Markdown or LaTeX."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

_TEXT_WIDTH, _MAIN_WIDTH = 24, 30
"""A text column may be folded down to this width before a column is left out; one that is never left out, to the second."""
_GAP = 2


@dataclass(frozen=True)
class Column:
    """A column: ``name`` is its key in JSON and CSV, ``heading`` what people read.

    ``show`` writes a value for people, a format such as ``+.3f`` or a function of it. ``rank`` orders what a narrow
    terminal leaves out: highest first, and never 0. ``only`` keeps it from people (``data``) or from JSON and CSV (``text``).
    """

    name: str
    heading: str = ""
    show: str | Callable[[Any], str] = ""
    rank: int = 1
    only: Literal["", "text", "data"] = ""

    def text(self, value: Any) -> str:
        if callable(self.show):
            return _printable(self.show(value))
        return _printable(
            format(value, self.show) if self.show and _is_number(value) else _text(value)
        )


class Table:
    """A title, columns, rows of plain values, and notes. Tables go to stdout, notes to stderr."""

    def __init__(
        self,
        title: str,
        columns: Sequence[str | Column],
        rows: Sequence[Sequence[Any]],
        notes: Sequence[str] = (),
    ) -> None:
        first = columns[0] if columns else None
        self.title = title
        self.columns = [
            column
            if isinstance(column, Column)
            else Column(column, rank=0 if column is first else 1)
            for column in columns
        ]
        self.rows = [tuple(row) for row in rows]
        self.notes = list(notes)

    def print(self, format_: str = "table") -> None:
        """Print as ``table``, ``json``, ``csv``, ``md`` or ``latex``."""
        notes = list(self.notes)
        if format_ == "table":
            left_out = self._print_table()
            if left_out:
                names = ", ".join(left_out[:6]) + (
                    f" and {len(left_out) - 6} more" if len(left_out) > 6 else ""
                )
                notes.append(
                    f"left out for width: {names} (a wider terminal or --format json shows them)"
                )
        else:
            sys.stdout.write(self.render(format_))
        for note in notes:
            sys.stderr.write(f" {_printable(note)}\n")

    def render(self, format_: str) -> str:
        """The text of the ``json``, ``csv``, ``md`` or ``latex`` form."""
        return {"json": self._json, "csv": self._csv, "md": self._markdown, "latex": self._latex}[
            format_
        ]()

    # -- for programs: values as they are -----------------------------------------------------------------

    def _data(self) -> tuple[list[str], list[list[Any]]]:
        kept = [index for index, column in enumerate(self.columns) if column.only != "text"]
        return [self.columns[index].name for index in kept], [
            [_plain(row[index]) for index in kept] for row in self.rows
        ]

    def _json(self) -> str:
        names, rows = self._data()
        return (
            json.dumps(
                [dict(zip(names, row, strict=True)) for row in rows], indent=1, ensure_ascii=False
            )
            + "\n"
        )

    def _csv(self) -> str:
        names, rows = self._data()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(
            [json.dumps(v) if isinstance(v, list | dict | bool) else v for v in row] for row in rows
        )
        return text.getvalue()

    # -- for people ---------------------------------------------------------------------------------------

    def _shown(self) -> list[tuple[Column, list[str], bool]]:
        """Columns with their cells as text and whether they are numbers."""
        shown = []
        for index, column in enumerate(self.columns):
            if column.only == "data":
                continue
            values = [row[index] for row in self.rows]
            numeric = any(_is_number(value) for value in values) and all(
                value is None or _is_number(value) for value in values
            )
            shown.append((column, [column.text(value) for value in values], numeric))
        return shown

    def _markdown(self) -> str:
        shown = self._shown()
        lines = [
            [_markdown(column.heading or column.name) for column, _, _ in shown],
            ["---:" if numeric else "---" for _, _, numeric in shown],
            *(
                [_markdown(cell) for cell in row]
                for row in zip(*(cells for _, cells, _ in shown), strict=True)
            ),
        ]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def _latex(self) -> str:
        shown = self._shown()
        rows = [[_latex(column.heading or column.name) for column, _, _ in shown]]
        rows += [
            [_latex(cell) for cell in row]
            for row in zip(*(cells for _, cells, _ in shown), strict=True)
        ]
        head, *body = [" & ".join(row) + " \\\\\n" for row in rows]
        columns = "".join("r" if numeric else "l" for _, _, numeric in shown)
        return f"\\begin{{tabular}}{{{columns}}}\n\\hline\n{head}\\hline\n{''.join(body)}\\hline\n\\end{{tabular}}\n"

    def _print_table(self) -> list[str]:
        """Print what fits and return the headings of what does not."""
        import rich.box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = self._shown()
        console = Console(highlight=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:  # a file or a pipe has no width
            console = Console(
                highlight=False,
                width=max(80, sum(_width(*column) for column in shown) + _GAP * len(shown)),
            )
        kept, left_out = _fit(shown, console.width)
        table = RichTable(
            box=rich.box.SIMPLE_HEAD,
            title=Text(self.title),
            title_justify="left",
            title_style="bold",
            pad_edge=False,
        )
        table.padding = (0, _GAP - 1, 0, 0)
        for column, cells, numeric in kept:
            folds = (
                not numeric and _width(column, cells, numeric) > _TEXT_WIDTH
            )  # short cells stay whole
            heading, side = Text(column.heading or column.name), "right" if numeric else "left"
            table.add_column(heading, justify=side, overflow="fold", no_wrap=not folds)  # type: ignore[arg-type]
        for row in zip(*(cells for _, cells, _ in kept), strict=True):
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        return left_out


def _fit(
    shown: list[tuple[Column, list[str], bool]], width: int
) -> tuple[list[tuple[Column, list[str], bool]], list[str]]:
    """Leave out columns, the least important first and of equals the rightmost, until the rest can be folded into width."""
    kept = list(shown)
    while len(kept) > 1 and sum(_least_width(*column) + _GAP for column in kept) > width:
        rank = max(column.rank for column, _, _ in kept)
        if rank == 0:
            break
        del kept[max(index for index, (column, _, _) in enumerate(kept) if column.rank == rank)]
    return kept, [
        column.heading or column.name
        for column, cells, numeric in shown
        if (column, cells, numeric) not in kept
    ]


def _width(column: Column, cells: list[str], numeric: bool) -> int:
    from rich.cells import cell_len

    return max(
        cell_len(line)
        for cell in [column.heading or column.name, *cells]
        for line in cell.split("\n")
    )


def _least_width(column: Column, cells: list[str], numeric: bool) -> int:
    width = _width(column, cells, numeric)
    return (
        width
        if numeric
        else min(
            width,
            max(_TEXT_WIDTH if column.rank else _MAIN_WIDTH, len(column.heading or column.name)),
        )
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case datetime():
            return value.isoformat(" ", "seconds")
        case list() | dict() | tuple():
            return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def _plain(value: Any) -> Any:
    """As JSON can hold it: what is not a number is null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case date():
            return value.isoformat()
    return str(value)


def _printable(text: str) -> str:
    """Without control characters: a plugin's message must not steer the terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else "�" for character in text
    )


def _markdown(text: str) -> str:
    for mark in "\\|`*_[]<":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", "<br>")


_LATEX = {
    **{mark: "\\" + mark for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "\n": " ",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "−": "$-$",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "κ": r"$\kappa$",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
