"""``headwater export``: write the store's tables and views to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headwater.harness.cli.store_option import store_option, store_to_read
from headwater.harness.cli.verb import option, verb


@verb(
    help="Write the store's tables and views to FOLDER, one file each.",
    examples=["headwater export tables --format csv --table gains --table leaderboard"],
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@store_option
@option(
    "--format",
    "format_",
    type=click.Choice(["parquet", "csv", "json"]),
    default="parquet",
    help="The form of the files.",
)
@option(
    "--table", "tables", multiple=True, help="A table or view; may repeat. All of them by default."
)
@option("--force", is_flag=True, help="Replace files that exist.")
def command(
    folder: Path, store: Path | None, format_: Any, tables: tuple[str, ...], force: bool
) -> None:
    from headwater.leaderboard.show.tables import Table
    from headwater.leaderboard.store.export import export
    from headwater.leaderboard.store.store import Store

    written = export(Store(store_to_read(store)), folder, format_, tables, force=force)
    Table("", ["file", "rows"], [(str(path), rows) for path, rows in written.items()]).print()
