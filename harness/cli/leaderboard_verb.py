"""``headwater leaderboard``: rank the sources by measured gain, or average gains by scenario, adaptation, domain or source task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.options import format_option, plugin_option, size_option, store_option

if TYPE_CHECKING:
    from headwater.leaderboard.gains.standings import Filter
    from headwater.leaderboard.store.store import Store


@click.command(
    help="Rank the sources by measured gain, with intervals, and say what cannot be told apart."
)
@store_option
@click.option("--task", default="", help="Target tasks: names and globs, with commas.")
@click.option("--adaptation", default="", help="Adaptations: names and globs, with commas.")
@size_option("Training images as asked for; small: as the run says.")
@click.option("--domain", default="", help="Appearance domain of the target.")
@click.option(
    "--scenario",
    default="",
    metavar="NAMES",
    help="within-domain, multi-source, small-target, …; of several, all must hold.",
)
@click.option(
    "--by",
    type=click.Choice(["source", "scenario", "adaptation", "domain"]),
    default="source",
    show_default=True,
    help="A row each.",
)
@click.option(
    "--attribution",
    is_flag=True,
    help="Which source task carried the multi-source chains: what leaving it out costs, and its share.",
)
@click.option(
    "--selectors",
    is_flag=False,
    flag_value="*",
    default="",
    metavar="[NAMES]",
    help="Judge selectors instead: what each would have chosen, against what was measured; all, or names and globs.",
)
@click.option(
    "--budget",
    type=click.FloatRange(0, 1),
    help="With --selectors: what a search may spend, of fine-tuning every source once [0.1].",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --selectors: draw regret against cost, PNG, SVG or PDF.",
)
@plugin_option
@click.option(
    "--reference",
    type=click.Choice(["scratch", "base"]),
    default="scratch",
    show_default=True,
    help="What gains are over.",
)
@click.option(
    "--sort",
    type=click.Choice(["rank", "gain", "name", "failed", "seconds"]),
    default="rank",
    show_default=True,
)
@format_option
def command(
    store: Path,
    by: Any,
    attribution: bool,
    selectors: str,
    budget: float | None,
    plot: Path | None,
    plugins: tuple[Path, ...],
    reference: Any,
    sort: str,
    format_: str,
    **wanted: str,
) -> None:
    from headwater.leaderboard.gains.standings import Filter, standings
    from headwater.leaderboard.show.standings_table import standings_table
    from headwater.leaderboard.store.store import Store

    opened, kept = Store(store), Filter(**wanted)
    if selectors:
        if attribution or by != "source" or wanted["scenario"]:
            raise click.UsageError(
                "--selectors has a row for each selector: leave out --attribution, --by and --scenario"
            )
        _judge(opened, selectors, kept, budget, plot, plugins, format_)
        return
    if budget is not None or plot:
        raise click.UsageError("--budget and --plot go with --selectors")
    if attribution:
        if by != "source":
            raise click.UsageError("--attribution has a row for each source task: leave out --by")
        from headwater.leaderboard.gains.attribution import attribute
        from headwater.leaderboard.show.attribution_table import attribution_table

        attribution_table(attribute(opened, kept)).print(format_)
    elif by == "source":
        standings_table(standings(opened, kept, reference), sort).print(format_)
    else:
        from headwater.leaderboard.gains.groups import groups
        from headwater.leaderboard.show.groups_table import groups_table

        groups_table(groups(opened, by, kept, reference), sort).print(format_)


def _judge(
    store: Store,
    names: str,
    wanted: Filter,
    budget: float | None,
    plot: Path | None,
    plugins: tuple[Path, ...],
    format_: str,
) -> None:
    from dataclasses import replace

    from headwater.leaderboard.selectors.choice import selectors_to_judge
    from headwater.leaderboard.selectors.judging import BUDGET, judge
    from headwater.leaderboard.show.judged_table import judged_table
    from headwater.registry import Registry

    if plot:
        from headwater.leaderboard.show.plots.selectors import check_plot

        check_plot(plot)
    asked = selectors_to_judge(Registry.discover(plugins), store, names)
    share = BUDGET if budget is None else budget
    found = judge(
        store, asked, replace(wanted, adaptation=""), wanted.adaptation or "fine_tune", share
    )
    judged_table(found).print(format_)
    if plot:
        from headwater.leaderboard.show.plots.selectors import save_plot

        save_plot(found, plot)
        click.echo(f" wrote {plot}", err=True)
