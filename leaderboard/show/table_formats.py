"""Write a table as JSON, CSV, Markdown, LaTeX or HTML, every name escaped."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ShownColumn:
    """Hold a column as people read it.

    Attributes:
        heading: Its heading.
        cells: Its cells as text.
        numeric: Whether its values are numbers.
        rank: What a narrow terminal leaves out first: the highest, and never 0.
    """

    heading: str
    cells: Sequence[str]
    numeric: bool
    rank: int = 1


@dataclass(frozen=True)
class RenderedTable:
    """Hold a table as writers take it.

    Attributes:
        title: The title.
        names: The keys of the columns for programs.
        values: The rows for programs.
        shown: The columns for people.
    """

    title: str
    names: Sequence[str]
    values: Sequence[Sequence[Any]]
    shown: Sequence[ShownColumn]

    @property
    def headings(self) -> list[str]:
        """The headings for people."""
        return [column.heading for column in self.shown]

    def lines(self) -> Iterator[tuple[str, ...]]:
        """Yield the rows for people."""
        return zip(*(column.cells for column in self.shown), strict=True)


def write_json(table: RenderedTable) -> str:
    """Return a list of objects, one a row."""
    rows = [dict(zip(table.names, row, strict=True)) for row in table.values]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def write_csv(table: RenderedTable) -> str:
    """Return the values as CSV with a header; lists, objects and truth values are JSON in their
    cell.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.names)
    for row in table.values:
        writer.writerow(
            json.dumps(value) if isinstance(value, list | dict | bool) else value for value in row
        )
    return text.getvalue()


def write_markdown(table: RenderedTable) -> str:
    """Return a table in the Markdown of GitHub."""
    lines = [
        [_markdown(heading) for heading in table.headings],
        ["---:" if column.numeric else "---" for column in table.shown],
    ]
    lines += [[_markdown(cell) for cell in row] for row in table.lines()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_latex(table: RenderedTable) -> str:
    """Return a tabular for LaTeX, with its title as the caption of a table where there is one.

    It needs the package booktabs.
    """
    columns = "".join("r" if column.numeric else "l" for column in table.shown)
    head = _latex_row(table.headings)
    body = "".join(_latex_row(row) for row in table.lines())
    tabular = (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head}\\midrule\n"
        f"{body}\\bottomrule\n\\end{{tabular}}\n"
    )
    if not table.title:
        return tabular
    caption = f"\\caption{{{_latex(table.title)}}}\n"
    return f"\\begin{{table}}\n\\centering\n{caption}{tabular}\\end{{table}}\n"


def write_html(table: RenderedTable) -> str:
    """Return a ``table`` element with a caption; cells of numbers have the class ``number``."""
    lines = ["<table>"]
    if table.title:
        lines.append(f"<caption>{_html(table.title)}</caption>")
    heads = [_html_cell("th", column, column.heading) for column in table.shown]
    lines.append(f"<thead><tr>{''.join(heads)}</tr></thead>")
    lines.append("<tbody>")
    for row in table.lines():
        cells = [
            _html_cell("td", column, cell) for column, cell in zip(table.shown, row, strict=True)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines += ["</tbody>", "</table>"]
    return "\n".join(lines) + "\n"


WRITERS: Mapping[str, Callable[[RenderedTable], str]] = {
    "json": write_json,
    "csv": write_csv,
    "md": write_markdown,
    "latex": write_latex,
    "html": write_html,
}
"""The writers by the name of their format."""


def _html(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _html_cell(tag: str, column: ShownColumn, text: str) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    kind = ' class="number"' if column.numeric else ""
    return f"<{tag}{scope}{kind}>{_html(text)}</{tag}>"


def _latex_row(cells: Sequence[str]) -> str:
    row = " & ".join(map(_latex, cells)) + " \\\\\n"
    # What follows \\, \toprule or \midrule would be read as their * or [length].
    return "{}" + row if row.lstrip().startswith(("*", "[")) else row


def _markdown(text: str) -> str:
    for mark in "\\|`*_[]<":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", "<br>")


_LATEX = {
    **{mark: "\\" + mark for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\n": " ",
    "`": r"\textasciigrave{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "−": "$-$",
    "–": r"\textendash{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "∞": r"$\infty$",
    "λ": r"$\lambda$",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "κ": r"$\kappa$",
}


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return re.sub("-(?=-)", "-{}", escaped)  # two hyphens in a row would be set as a dash
