"""Read tables in files (CSV, Parquet, JSON) by DuckDB, with every value as the text that was
written.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from headwater.registry.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_READERS = {
    ".parquet": "read_parquet({path})",
    ".jsonl": "read_json({path}, format = 'newline_delimited')",
    ".ndjson": "read_json({path}, format = 'newline_delimited')",
    ".json": "read_json({path}, format = 'auto')",
}
# DuckDB detects a CSV's form by itself, but leaves out rows that do not fit the form it detects:
# here the header decides.
_CSV_READER = (
    "read_csv({path}, auto_detect = false, header = true, columns = {columns}, "
    "delim = '{delimiter}', quote = '\"', escape = '\"')"
)
_SUFFIXES = (".csv", ".tsv", ".txt", *_READERS)
_DELIMITERS = (",", ";", "\t", "|")


class OpenTable:
    """A table in a file, while it is open: its columns, and some of them as text."""

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self._relation = relation

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return self._relation.columns

    def text(self, columns: Collection[str]) -> pd.DataFrame:
        """Return these columns, each value as text and NULL where there is none."""
        casts = [f"CAST({_quoted(name)} AS VARCHAR) AS {_quoted(name)}" for name in columns]
        return self._relation.select(", ".join(casts)).df()


@contextmanager
def open_table(path: Path) -> Iterator[OpenTable]:
    """Open a table: DuckDB looks at its columns once, and reads its rows when they are asked for.

    Raises:
        DataError: The file is missing, broken or of no known form, here or in the block.
    """
    try:
        reader = _reader(path)
        # Never fetch an extension for a file of a form that DuckDB does not know.
        with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
            yield OpenTable(connection.sql(f"FROM {reader}"))
    except FileNotFoundError:
        raise DataError(f"there is no table at {path}", subject=str(path)) from None
    except (duckdb.Error, csv.Error, OSError) as error:
        raise DataError(
            f"{path} could not be read: {_first_lines(error)}",
            subject=str(path),
            hint="CSV wants UTF-8, one header row and the same number of columns in every row.",
        ) from None


def _reader(path: Path) -> str:
    """Return the call of the table function that reads a file."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise DataError(
            f"{path} is no table that can be read: {suffix or 'no suffix'}",
            subject=str(path),
            hint=f"Known are {', '.join(_SUFFIXES)}.",
        )
    if not path.exists():
        raise FileNotFoundError(path)
    quoted_path = _literal(str(path))
    if suffix in _READERS:
        return _READERS[suffix].format(path=quoted_path)
    delimiter, names = _header(path)
    columns = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in names)
    return _CSV_READER.format(path=quoted_path, columns=f"{{{columns}}}", delimiter=delimiter)


def _header(path: Path) -> tuple[str, list[str]]:
    """Return the delimiter that splits a CSV's header into most columns, and their names, each
    once.
    """
    headers = {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for delimiter in _DELIMITERS:
            # From the start, since a quoted name may hold line ends for one delimiter only.
            file.seek(0)
            headers[delimiter] = next(csv.reader(file, delimiter=delimiter), [""])
    delimiter = max(headers, key=lambda mark: len(headers[mark]))
    names: list[str] = []
    for place, text in enumerate(headers[delimiter]):
        name = text.strip() or f"column{place}"
        names.append(f"{name}_{place}" if name in names else name)
    return delimiter, names


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_lines(error: Exception) -> str:
    """Return what went wrong; DuckDB says it first, or after the line that it quotes, and then
    explains.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Original Line")]
    return " ".join(lines[:2])
