"""Bringing a store's file to this version: numbered schema files, then the views."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import duckdb

from headwater.leaderboard.store.connection import missing, not_a_store, transaction
from headwater.leaderboard.store.statements import HOME, VIEWS, statements
from headwater.registry.errors import NewerStore
from headwater.registry.identity import digest


@cache
def schema() -> dict[int, str]:
    """The schema files by the version each leads to."""
    return {
        int(file.stem): file.read_text(encoding="utf-8")
        for file in sorted((HOME / "schema").glob("*.sql"))
    }


@cache
def views_fingerprint() -> str:
    return digest([statements(f"views/{view}") for view in VIEWS])


def is_current(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Return whether tables and views are this version's; raises StoreMissing, NotAStore or
    NewerStore.
    """
    version, views = _found(connection, path)
    if version == 0:
        raise missing(path)
    return (version, views) == (max(schema()), views_fingerprint())


def bring_up_to_date(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Apply what is missing in one transaction; raises NotAStore or NewerStore, and then touches
    nothing.
    """
    version, views = _found(connection, path)
    newest = max(schema())
    if (version, views) == (newest, views_fingerprint()):
        return
    with transaction(connection):
        for number in range(version + 1, newest + 1):
            connection.execute(schema()[number])
        for view in VIEWS:
            connection.execute(statements(f"views/{view}"))
        connection.execute("DELETE FROM schema_version")
        connection.execute(
            "INSERT INTO schema_version VALUES (?, ?)", [newest, views_fingerprint()]
        )


def _found(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[int, str]:
    """The file's version and views; version 0 is an empty file."""
    try:
        version, views = connection.execute("SELECT version, views FROM schema_version").fetchall()[
            0
        ]
    except (duckdb.CatalogException, duckdb.BinderException, IndexError):
        if connection.execute("SELECT 1 FROM duckdb_tables() LIMIT 1").fetchall():
            raise not_a_store(path) from None
        return 0, ""
    if version > max(schema()):
        raise NewerStore(
            f"{path} was written by a newer Headwater (its version {version}, ours {max(schema())})",
            subject=str(path),
            hint="Upgrade it: pip install --upgrade headwater",
        )
    return version, views
