"""``headwater leaderboard``: rank the sources by measured gain, or average gains by scenario, adaptation, domain or source task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.options import format_option, size_option, store_option


@click.command(help="Rank the sources by measured gain, with intervals, and say what cannot be told apart.")
@store_option
@click.option("--task", default="", help="Target tasks: names and globs, with commas.")
@click.option("--adaptation", default="", help="Adaptations: names and globs, with commas.")
@size_option("Training images as asked for; small: as the run says.")
@click.option("--domain", default="", help="Appearance domain of the target.")
@click.option("--scenario", default="", metavar="NAMES", help="within-domain, multi-source, small-target, …; of several, all must hold.")
@click.option(
    "--by", type=click.Choice(["source", "scenario", "adaptation", "domain"]), default="source", show_default=True, help="A row each."
)
@click.option(
    "--attribution", is_flag=True, help="Which source task carried the multi-source chains: what leaving it out costs, and its share."
)
@click.option("--reference", type=click.Choice(["scratch", "base"]), default="scratch", show_default=True, help="What gains are over.")
@click.option("--sort", type=click.Choice(["rank", "gain", "name", "failed", "seconds"]), default="rank", show_default=True)
@format_option
def command(store: Path, by: Any, attribution: bool, reference: Any, sort: str, format_: str, **wanted: str) -> None:
    from leaderboard.standings import Filter, standings
    from leaderboard.standings_table import standings_table
    from leaderboard.store import Store

    opened, kept = Store(store), Filter(**wanted)
    if attribution:
        if by != "source":
            raise click.UsageError("--attribution has a row for each source task: leave out --by")
        from leaderboard.attribution import attribute
        from leaderboard.attribution_table import attribution_table

        attribution_table(attribute(opened, kept)).print(format_)
    elif by == "source":
        standings_table(standings(opened, kept, reference), sort).print(format_)
    else:
        from leaderboard.groups import groups
        from leaderboard.groups_table import groups_table

        groups_table(groups(opened, by, kept, reference), sort).print(format_)
