"""Export the store's tables and views as files that need no Headwater to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import duckdb

from headwater.leaderboard.store.file import StoreFile
from headwater.leaderboard.store.store import Store
from headwater.registry.cache import write_atomically
from headwater.registry.errors import QueryError, StoreUnwritable
from headwater.registry.names import did_you_mean

Format = Literal["parquet", "csv", "json"]

COPY_OPTIONS = {
    "parquet": "FORMAT parquet",
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json, ARRAY true",
}
"""The options of DuckDB's COPY for each format."""

_ALL_TABLES = "SELECT table_name FROM information_schema.tables ORDER BY ALL"


def export(
    store: Store, folder: Path, format_: Format, tables: Sequence[str] = (), *, force: bool = False
) -> dict[Path, int]:
    """Write one file a table, each whole or not at all.

    Args:
        store: The store.
        folder: Where the files go.
        format_: The format of all of them.
        tables: Names of tables and views; all by default.
        force: Replace files that are there.

    Returns:
        The number of rows in each file.

    Raises:
        QueryError: A table does not exist.
        StoreUnwritable: A file is in the way, or cannot be written.
    """
    with StoreFile(store.path).reading() as connection:
        every_table = [name for (name,) in connection.execute(_ALL_TABLES).fetchall()]
        _check_tables(tables, every_table, store.path)
        files = {table: folder / f"{table}.{format_}" for table in tables or every_table}
        if not force:
            _check_free(files.values())
        rows = {}
        for table, file in files.items():
            rows[file] = _copy(connection, table, file, COPY_OPTIONS[format_])
    return rows


def _check_tables(tables: Sequence[str], every_table: Sequence[str], path: Path) -> None:
    """Raise QueryError for a table that does not exist."""
    for table in tables:
        if table not in every_table:
            suggestion = did_you_mean(table, every_table)
            raise QueryError(
                f"{table!r} is not a table or view of {path}.{suggestion}",
                subject=table,
                hint=f"There are {', '.join(every_table)}.",
            )


def _check_free(files: Iterable[Path]) -> None:
    """Raise StoreUnwritable for a file that exists, before any is written."""
    for file in files:
        if file.exists():
            raise StoreUnwritable(
                f"{file} is there already",
                subject=str(file),
                hint="Name another folder, or add --force.",
            )


def _copy(connection: duckdb.DuckDBPyConnection, table: str, file: Path, options: str) -> int:
    """Copy a table into a file, and return the number of rows."""
    counts: list[int] = []

    def copy(path: Path) -> None:
        quoted_path = str(path).replace("'", "''")
        answer = connection.execute(f"COPY (FROM {table}) TO '{quoted_path}' ({options})")
        ((count,),) = answer.fetchall()
        counts.append(count)

    try:
        write_atomically(file, copy)
    except OSError as error:
        raise StoreUnwritable(
            f"{file} could not be written: {error}",
            subject=str(file),
            hint="Free some space, or name a folder that can be written to.",
        ) from error
    return counts[-1]
