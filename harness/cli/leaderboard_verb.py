"""``headwater leaderboard``: rank the sources by measured gain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.options import format_option, store_option


def _size(context: click.Context, option: click.Parameter, value: str) -> str:
    if value and value not in ("small", "full") and not value.isdigit():
        raise click.BadParameter(f"{value!r} is neither small, full nor a number of images")
    return value


@click.command(help="Rank the sources by measured gain, with intervals, and say what cannot be told apart.")
@store_option
@click.option("--task", default="", help="Target tasks: names and globs, with commas.")
@click.option("--adaptation", default="", help="Adaptations: names and globs, with commas.")
@click.option("--size", default="", callback=_size, metavar="small|full|N", help="Training images as asked for; small: at most 150.")
@click.option("--domain", default="", help="Appearance domain of the target.")
@click.option("--reference", type=click.Choice(["scratch", "base"]), default="scratch", show_default=True, help="What gains are over.")
@click.option("--sort", type=click.Choice(["rank", "gain", "name", "failed", "seconds"]), default="rank", show_default=True)
@format_option
def command(store: Path, reference: Any, sort: str, format_: str, **wanted: str) -> None:
    from leaderboard.standings import Filter, standings
    from leaderboard.standings_table import standings_table
    from leaderboard.store import Store

    standings_table(standings(Store(store), Filter(**wanted), reference), sort).print(format_)
