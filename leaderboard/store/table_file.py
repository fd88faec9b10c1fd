"""Tables in files (CSV, Parquet, JSON), read by DuckDB with every value as the text that was
written.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from headwater.registry.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_READERS = {
    ".parquet": "read_parquet(?)",
    ".jsonl": "read_json(?, format = 'newline_delimited')",
    ".ndjson": "read_json(?, format = 'newline_delimited')",
    ".json": "read_json(?, format = 'auto')",
}
# DuckDB detects a CSV's form by itself, but leaves out rows that do not fit the form it detects:
# here the header decides.
_CSV_READER = (
    "read_csv(?, auto_detect = false, header = true, columns = {columns}, "
    "delim = '{delimiter}', quote = '\"', escape = '\"')"
)
_SUFFIXES = (".csv", ".tsv", ".txt", *_READERS)
_DELIMITERS = (",", ";", "\t", "|")


class TableFile:
    """A table in a file: its columns, and some of them as text.

    Every method raises DataError where the file is missing, broken or of no known form.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return self._read("*", limit=0)[0]

    def text(self, columns: Collection[str]) -> pd.DataFrame:
        """Return these columns, each value as text and NULL where there is none."""
        casts = [f"CAST({_quoted(name)} AS VARCHAR) AS {_quoted(name)}" for name in columns]
        return self._read(", ".join(casts))[1]

    def _read(self, selected: str, limit: int | None = None) -> tuple[list[str], pd.DataFrame]:
        bound = "" if limit is None else f" LIMIT {limit}"
        try:
            query = f"SELECT {selected} FROM {_reader(self.path)}{bound}"
            if not self.path.exists():
                raise FileNotFoundError(self.path)
            with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
                answer = connection.execute(query, [str(self.path)])
                names = [column[0] for column in answer.description or ()]
                return names, answer.df()
        except FileNotFoundError:
            message = f"there is no table at {self.path}"
            raise DataError(message, subject=str(self.path)) from None
        except (duckdb.Error, csv.Error, OSError) as error:
            raise DataError(
                f"{self.path} could not be read: {_first_lines(error)}",
                subject=str(self.path),
                hint="CSV wants UTF-8, one header row and the same number of columns in every row.",
            ) from None


def _reader(path: Path) -> str:
    """Return the table function that reads a file, with ``?`` for its path."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise DataError(
            f"{path} is no table that can be read: {suffix or 'no suffix'}",
            subject=str(path),
            hint=f"Known are {', '.join(_SUFFIXES)}.",
        )
    if suffix in _READERS:
        return _READERS[suffix]
    delimiter, names = _header(path)
    columns = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in names)
    return _CSV_READER.format(columns=f"{{{columns}}}", delimiter=delimiter)


def _header(path: Path) -> tuple[str, list[str]]:
    """Return the delimiter that splits a CSV's header into most columns, and their names, each
    once.
    """
    headers = {}
    for delimiter in _DELIMITERS:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
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
