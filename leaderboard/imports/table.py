"""Published tables as they lie in files: CSV, Parquet or JSON lines, every value still as it was written."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from headwater.leaderboard.imports.mapping import TableMapping
from headwater.registry.errors import BadSpec, DataError
from headwater.registry.names import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

_READERS = {
    ".parquet": "read_parquet(?)",
    ".jsonl": "read_json(?, format = 'newline_delimited')",
    ".ndjson": "read_json(?, format = 'newline_delimited')",
    ".json": "read_json(?, format = 'auto')",
}
_CSV = """read_csv(?, auto_detect = false, header = true, columns = {columns}, delim = '{delimiter}', quote = '"', escape = '"')"""
"""DuckDB finds a file's form by itself, but leaves out rows that do not fit the form it finds: here the header decides."""
_SUFFIXES = (".csv", ".tsv", ".txt", *_READERS)


@dataclass(frozen=True)
class PublishedTable:
    """A table's rows as text, the index counting them from 1 (the header is none), and the file's SHA-256."""

    path: Path
    rows: pd.DataFrame
    sha256: str

    @classmethod
    def read(cls, path: Path | str, mapping: TableMapping) -> PublishedTable:
        """Read the columns that a mapping asks for; raises DataError for a file that cannot be read, BadSpec for a column it lacks."""
        path = Path(path)
        try:
            reader = _reader(path)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
                described = connection.execute(f"SELECT * FROM {reader} LIMIT 0", [str(path)])
                there = [column[0] for column in described.description or ()]
                _check(path, there, mapping)
                wanted = ", ".join(
                    f"CAST({_quoted(column)} AS VARCHAR) AS {_quoted(column)}"
                    for column in {*mapping.asked.values()}
                )
                rows = connection.execute(f"SELECT {wanted} FROM {reader}", [str(path)]).df()
        except FileNotFoundError:
            raise DataError(f"there is no table at {path}", subject=str(path)) from None
        except (duckdb.Error, csv.Error, OSError) as error:
            hint = "CSV wants UTF-8, one header row and the same number of columns in every row."
            raise DataError(
                f"{path} could not be read: {_first_lines(error)}", subject=str(path), hint=hint
            ) from None
        rows.index = range(1, len(rows) + 1)
        return cls(path, rows, sha256)


def _reader(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        raise DataError(
            f"{path} is no table that can be read: {suffix or 'no suffix'}",
            subject=str(path),
            hint=f"Known are {known}.",
        )
    if suffix in _READERS:
        return _READERS[suffix]
    delimiter, names = _header(path)
    columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in names)
    return _CSV.format(columns=f"{{{columns}}}", delimiter=delimiter)


def _header(path: Path) -> tuple[str, list[str]]:
    """The delimiter, which is what splits the header into most columns, and their names, each once."""
    found = {}
    for delimiter in (",", ";", "\t", "|"):
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            found[delimiter] = next(csv.reader(file, delimiter=delimiter), [""])
    delimiter = max(found, key=lambda delimiter: len(found[delimiter]))
    names: list[str] = []
    for place, name in enumerate(found[delimiter]):
        name = name.strip() or f"column{place}"
        names.append(name if name not in names else f"{name}_{place}")
    return delimiter, names


def _check(path: Path, there: list[str], mapping: TableMapping) -> None:
    for key, column in mapping.asked.items():
        if column not in there:
            message = (
                f"{key} = {column!r}: {path.name} has no such column.{did_you_mean(column, there)}"
            )
            raise BadSpec(
                message, subject=column, hint=f"Its columns are {', '.join(map(repr, there))}."
            )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def _first_lines(error: Exception) -> str:
    """DuckDB explains a CSV at length; what went wrong comes first, or after the line that it quotes."""
    lines = [
        line.strip()
        for line in str(error).splitlines()
        if line.strip() and not line.startswith("Original Line")
    ]
    return " ".join(lines[:2])
