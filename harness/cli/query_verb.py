"""``headwater query``: ask the store in SQL."""

from __future__ import annotations

from pathlib import Path

import click

from headwater.harness.cli.options import format_option, store_option


@click.command(
    help='Ask the store in SQL, read-only: headwater query "SELECT * FROM gains". DESCRIBE gains lists columns.'
)
@click.argument("sql")
@store_option
@click.option(
    "--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Rows at most."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds at most.",
)
@format_option
def command(sql: str, store: Path, limit: int, timeout: float, format_: str) -> None:
    from headwater.leaderboard.show.tables import Table
    from headwater.leaderboard.store.store import Store

    found = Store(store).sql(sql, seconds=timeout, rows=limit)
    notes = [f"only the first {limit:,} rows; --limit gives more"] if found.truncated else []
    Table("", found.columns, found.rows, notes).print(format_)
