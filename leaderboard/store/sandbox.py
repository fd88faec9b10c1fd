"""A question in SQL from someone we need not trust: read-only, no files, bounded in time, rows and
memory.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from headwater.leaderboard.store.connection import Settings
from headwater.registry.errors import QueryError

if TYPE_CHECKING:
    import pandas as pd

_READS = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


@dataclass(frozen=True)
class QueryResult:
    """An answer: column names, rows of plain Python values, and whether there were more rows than
    asked for.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool = False

    def df(self) -> pd.DataFrame:
        """The same as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=list(self.columns))


def settings(memory: str) -> Settings:
    """Return what a connection is opened with: no files but the store, nothing to change
    afterwards, no spilling to disk.
    """
    return {
        "enable_external_access": "false",
        "lock_configuration": "true",
        "memory_limit": memory,
        "temp_directory": "",
    }


def ask(
    connection: duckdb.DuckDBPyConnection, query: str, *, seconds: float, rows: int | None
) -> QueryResult:
    """Run one reading statement for at most ``seconds``; raises QueryError with DuckDB's own
    explanation.
    """
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    try:
        _check(connection, query)
        timer.start()
        answer = connection.execute(query)
        found = answer.fetchall() if rows is None else answer.fetchmany(rows + 1)
        columns = tuple(column[0] for column in answer.description or ())
    except duckdb.Error as error:
        if expired.is_set():
            raise QueryError(
                f"the query ran past {seconds:g} s",
                subject=query,
                hint="Allow more with --timeout.",
            ) from None
        raise QueryError(str(error), subject=query, hint=_what_there_is(connection)) from None
    finally:
        timer.cancel()
    return QueryResult(
        columns, found if rows is None else found[:rows], rows is not None and len(found) > rows
    )


def _check(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Raise QueryError unless the query is one statement that only reads."""
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise QueryError(
            f"one statement at a time, not {len(statements)}",
            subject=query,
            hint="Write one SELECT, without a second after ';'.",
        )
    kind = statements[0].type
    # DuckDB expands a PIVOT without IN into several statements: it first looks up the values that
    # become columns. Whatever contains such a PIVOT is MULTI, an INSERT or COPY too.
    if kind == duckdb.StatementType.MULTI and _is_subquery(connection, query):
        return
    if kind not in _READS:
        what = kind.name if kind != duckdb.StatementType.MULTI else "a statement over a PIVOT"
        raise QueryError(
            f"a query may only read; this is {what}",
            subject=query,
            hint="Start with SELECT, FROM, WITH, PIVOT, DESCRIBE or SUMMARIZE.",
        )


def _is_subquery(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Return whether one statement can stand in brackets after FROM: whatever can, only reads."""
    (statement,) = connection.extract_statements(query)
    text = statement.query.strip().removesuffix(";")
    try:
        return len(connection.extract_statements(f"FROM (\n{text}\n)")) == 1
    except duckdb.ParserException:
        return False


def _what_there_is(connection: duckdb.DuckDBPyConnection) -> str:
    names = connection.execute(
        """
        SELECT view_name FROM duckdb_views() WHERE NOT internal
        UNION ALL
        SELECT table_name FROM duckdb_tables() WHERE NOT internal AND table_name <> 'schema_version'
        """
    ).fetchall()
    listed = ", ".join(name for (name,) in names)
    return f"Views and tables: {listed}. Columns: DESCRIBE gains"
