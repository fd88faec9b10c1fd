"""Read published tables as they lie in files: CSV, Parquet or JSON lines, every value still as it
was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.leaderboard.imports.mapping import TableMapping
from headwater.leaderboard.store.table_file import open_table
from headwater.registry.errors import BadSpec
from headwater.registry.names import did_you_mean

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PublishedTable:
    """The columns of a published table that its mapping names.

    Attributes:
        path: The file.
        rows: The values as text; the index counts rows from 1, the header not among them.
        sha256: The file's SHA-256, in hex digits.
    """

    path: Path
    rows: pd.DataFrame
    sha256: str

    @classmethod
    def read(cls, path: Path | str, mapping: TableMapping) -> PublishedTable:
        """Read the columns that a mapping names.

        Raises:
            DataError: The file cannot be read.
            BadSpec: The file lacks a column.
        """
        path = Path(path)
        with open_table(path) as table:
            _check_columns(path, table.columns, mapping)
            rows = table.text(set(mapping.column_names.values()))
        rows.index = range(1, len(rows) + 1)
        with path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        return cls(path, rows, sha256)


def _check_columns(path: Path, columns: Sequence[str], mapping: TableMapping) -> None:
    """Raise BadSpec for a column that the mapping names and the file lacks."""
    for key, column in mapping.column_names.items():
        if column not in columns:
            suggestion = did_you_mean(column, columns)
            raise BadSpec(
                f"{key} = {column!r}: {path.name} has no such column.{suggestion}",
                subject=column,
                hint=f"Its columns are {', '.join(map(repr, columns))}.",
            )
