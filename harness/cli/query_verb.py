"""``headwater query``: ask the store in SQL."""

from __future__ import annotations

from pathlib import Path

import click

from headwater.harness.cli.options import format_option
from headwater.harness.cli.store_option import store_option, store_to_read
from headwater.harness.cli.verb import option, verb


@verb(
    help="Ask the store in SQL, read-only. DESCRIBE gains lists the columns of a table or view.",
    examples=[
        'headwater query "SELECT source, avg(gain_abs) AS gain FROM gains GROUP BY ALL"',
        'headwater query "DESCRIBE gains"',
    ],
)
@click.argument("sql")
@store_option
@option("--limit", type=click.IntRange(min=1), default=1000, help="Rows at most.")
@option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    help="Seconds at most.",
)
@format_option
def command(sql: str, store: Path | None, limit: int, timeout: float, format_: str) -> None:
    from headwater.leaderboard.show.tables import Table
    from headwater.leaderboard.store.store import Store

    answer = Store(store_to_read(store)).sql(sql, seconds=timeout, rows=limit)
    notes = [f"only the first {limit:,} rows; --limit gives more"] if answer.truncated else []
    Table("", answer.columns, answer.rows, notes).print(format_)
