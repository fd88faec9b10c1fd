"""``headwater leaderboard``: rank the sources by measured gain, average gains, or judge selectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.options import format_option, plugin_option, size_option
from headwater.harness.cli.store_option import store_option, store_to_read
from headwater.harness.cli.verb import option, verb
from headwater.registry.defaults import DEFAULT_ADAPTATION

if TYPE_CHECKING:
    from headwater.leaderboard.gains.gain_rows import Filter
    from headwater.leaderboard.store.store import Store

_CELLS = "Which cells"
_ROWS = "Rows"
_JUDGING = "Judging selectors"


@verb(
    help="Rank the sources by measured gain, with intervals, and say which cannot be told apart; or "
    "average gains by scenario, adaptation or domain; or judge selectors.",
    examples=[
        "headwater leaderboard --adaptation fine_tune --size small",
        "headwater leaderboard --by scenario --format csv",
        "headwater leaderboard --selectors --plot regret.svg",
    ],
)
@store_option
@option("--task", default="", section=_CELLS, help="Target tasks: names and globs, with commas.")
@option(
    "--adaptation", default="", section=_CELLS, help="Adaptations: names and globs, with commas."
)
@size_option("Training images as asked for; small: as the run says.", section=_CELLS)
@option("--domain", default="", section=_CELLS, help="Appearance domain of the target.")
@option(
    "--scenario",
    default="",
    metavar="NAMES",
    section=_CELLS,
    help="within-domain, multi-source, small-target, …; of several, all must hold.",
)
@option(
    "--by",
    type=click.Choice(["source", "scenario", "adaptation", "domain"]),
    default="source",
    section=_ROWS,
    help="What has a row.",
)
@option(
    "--attribution",
    is_flag=True,
    section=_ROWS,
    help="Which source task carried the multi-source chains: what leaving it out costs, and its "
    "share.",
)
@option(
    "--reference",
    type=click.Choice(["converged", "scratch", "base"]),
    section=_ROWS,
    help="What gains are measured against: scratch until it has converged (how good), scratch at "
    "equal budget (how fast), a chain's base.  [default: converged where every cell has it]",
)
@option(
    "--sort",
    type=click.Choice(["rank", "gain", "name", "failed", "seconds"]),
    default="rank",
    section=_ROWS,
    help="Order of the rows.",
)
@option(
    "--selectors",
    is_flag=False,
    flag_value="*",
    default="",
    metavar="[NAMES]",
    section=_JUDGING,
    help="Judge selectors instead: what each would have chosen, against what was measured; all, or "
    "names and globs.",
)
@option(
    "--budget",
    type=click.FloatRange(0, 1),
    section=_JUDGING,
    help="What a search may spend, as a share of fine-tuning every source once.  [default: 0.1]",
)
@option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    section=_JUDGING,
    help="Draw regret against cost: PNG, SVG or PDF.",
)
@plugin_option(section=_JUDGING)
@format_option
def command(
    store: Path | None,
    by: Any,
    attribution: bool,
    selectors: str,
    budget: float | None,
    plot: Path | None,
    plugins: tuple[Path, ...],
    reference: Any,
    sort: str,
    format_: str,
    **filters: str,
) -> None:
    from headwater.leaderboard.gains.gain_rows import Filter
    from headwater.leaderboard.gains.standings import standings
    from headwater.leaderboard.show.standings_table import standings_table
    from headwater.leaderboard.store.store import Store

    opened = Store(store_to_read(store))
    cells = Filter(**filters)
    if selectors:
        if attribution or by != "source" or cells.scenario:
            raise click.UsageError(
                "--selectors has a row for each selector: leave out --attribution, --by, --scenario"
            )
        _judge(
            opened,
            selectors,
            cells,
            budget=budget,
            plot=plot,
            plugins=plugins,
            format_=format_,
        )
        return
    if budget is not None or plot:
        raise click.UsageError("--budget and --plot go with --selectors")
    if attribution:
        if by != "source":
            raise click.UsageError("--attribution has a row for each source task: leave out --by")
        from headwater.leaderboard.gains.attribution import attribute
        from headwater.leaderboard.show.attribution_table import attribution_table

        attribution_table(attribute(opened, cells)).print(format_)
    elif by == "source":
        standings_table(standings(opened, cells, reference), sort).print(format_)
    else:
        from headwater.leaderboard.gains.groups import groups
        from headwater.leaderboard.show.groups_table import groups_table

        groups_table(groups(opened, by, cells, reference), sort).print(format_)


def _judge(
    store: Store,
    names: str,
    cells: Filter,
    *,
    budget: float | None,
    plot: Path | None,
    plugins: tuple[Path, ...],
    format_: str,
) -> None:
    """Print what each selector would have chosen, and draw it where a file is named."""
    from headwater.leaderboard.selectors.choice import selectors_to_judge
    from headwater.leaderboard.selectors.judging import BUDGET, judge
    from headwater.leaderboard.show.judged_table import judged_table
    from headwater.registry import Registry

    if plot:
        from headwater.leaderboard.show.plots.selectors import check_plot

        check_plot(plot)
    selectors = selectors_to_judge(Registry.discover(plugins), store, names)
    adaptation = cells.adaptation or DEFAULT_ADAPTATION
    share = BUDGET if budget is None else budget
    judged = judge(store, selectors, replace(cells, adaptation=""), adaptation, budget=share)
    judged_table(judged).print(format_)
    if plot:
        from headwater.leaderboard.show.plots.selectors import save_plot

        save_plot(judged, plot)
        click.echo(f" wrote {plot}", err=True)
