"""The SQL files of this package, and how they are run over Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa

HOME = Path(__file__).parent
VIEWS = (
    *("cells", "relations", "scales", "gains", "scenarios", "leaderboard"),
    *("failures", "unpaired", "estimates", "predictions", "work"),
    *("step_gains", "paired_gains", "analysed", "paired_readings"),
    *("f01_scratch", "f02_base", "f03_domain", "f03_size", "f04_including"),
    *("f05_multi", "f06_types", "f07_direction", "f08_small", "f09_convergence"),
    *("f10_distant", "f10_shuffle", "f11_mistakes", "f12_modules"),
)
"""The files of ``views/``, each after those that it reads."""


@cache
def statements(name: str) -> str:
    """Return the text of ``NAME.sql``, relative to this package."""
    return (HOME / f"{name}.sql").read_text(encoding="utf-8")


def query_text(name: str) -> str:
    """Return the query of ``sql/NAME.sql``, or one for all rows of the view NAME in a fixed order."""
    return f"FROM {name} ORDER BY ALL" if name in VIEWS else statements(f"sql/{name}")


def run_over(
    connection: duckdb.DuckDBPyConnection, name: str, tables: Mapping[str, pa.Table]
) -> None:
    """Run ``sql/NAME.sql`` over Arrow tables, which the statements know by their keys in
    ``tables``.
    """
    for table, rows in tables.items():
        connection.register(table, rows)
    connection.execute(statements(f"sql/{name}"))
    for table in tables:
        connection.unregister(table)
