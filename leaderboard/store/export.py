"""Export: the store's tables and views as files that need no Headwater to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from headwater.leaderboard.store.file import StoreFile
from headwater.leaderboard.store.store import Store
from headwater.registry.cache import write_atomically
from headwater.registry.errors import QueryError, StoreUnwritable
from headwater.registry.names import did_you_mean

Format = Literal["parquet", "csv", "json"]
_HOW = {"parquet": "FORMAT parquet", "csv": "FORMAT csv, HEADER", "json": "FORMAT json, ARRAY true"}


def export(
    store: Store, folder: Path, format_: Format, tables: Sequence[str] = (), *, force: bool = False
) -> dict[Path, int]:
    """Write one file a table, each whole or not at all; returns how many rows each got.

    Raises QueryError for a table that does not exist and StoreUnwritable where a file is in the way
    or cannot be written.
    """
    with StoreFile(store.path).reading() as connection:
        there = [
            name
            for (name,) in connection.execute(
                "SELECT table_name FROM information_schema.tables ORDER BY ALL"
            ).fetchall()
        ]
        for table in tables:
            if table not in there:
                message = (
                    f"{table!r} is not a table or view of {store.path}.{did_you_mean(table, there)}"
                )
                raise QueryError(message, subject=table, hint=f"There are {', '.join(there)}.")
        files = {table: folder / f"{table}.{format_}" for table in tables or there}
        if not force and (found := [file for file in files.values() if file.exists()]):
            raise StoreUnwritable(
                f"{found[0]} is there already",
                subject=str(found[0]),
                hint="Name another folder, or add --force.",
            )
        written = {}
        for table, file in files.items():

            def copy(path: Path, table: str = table) -> None:
                quoted = str(path).replace("'", "''")
                (written[files[table]],) = connection.execute(
                    f"COPY (FROM {table}) TO '{quoted}' ({_HOW[format_]})"
                ).fetchall()[0]

            try:
                write_atomically(file, copy)
            except OSError as error:
                hint = "Free some space, or name a folder that can be written to."
                raise StoreUnwritable(
                    f"{file} could not be written: {error}", subject=str(file), hint=hint
                ) from error
    return written
