"""``headwater export``: write the store's tables and views to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headwater.harness.cli.options import store_option


@click.command(help="Write the store's tables and views to FOLDER, one file each.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@store_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["parquet", "csv", "json"]),
    default="parquet",
    show_default=True,
)
@click.option(
    "--table", "tables", multiple=True, help="A table or view; may repeat. All of them by default."
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
def command(folder: Path, store: Path, format_: Any, tables: tuple[str, ...], force: bool) -> None:
    from headwater.leaderboard.show.tables import Table
    from headwater.leaderboard.store.export import export
    from headwater.leaderboard.store.store import Store

    written = export(Store(store), folder, format_, tables, force=force)
    Table("", ["file", "rows"], [(str(path), rows) for path, rows in written.items()]).print()
