"""``headwater select``: which source for my task."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.options import format_option, plugin_option
from headwater.harness.cli.run_verb import Duration
from headwater.harness.cli.spec_options import chosen_options, overrides_of

if TYPE_CHECKING:
    from headwater.harness.selecting.select import Prepared, Selection

KEYS = ("seeds", "image_size", "validation", "store")
SECTIONS = ("training", "pretraining", "resources")


@click.command(
    help="Which of these sources should TASK start from? Estimates and fine-tunes within a budget, and says how sure the answer is."
)
@click.argument("task")
@click.option(
    "--sources", required=True, metavar="NAMES", help="Source models: names and globs, with commas."
)
@click.option(
    "--budget",
    type=Duration(),
    default="10m",
    show_default=True,
    help="Wall time to spend: 90s, 10m, 2h.",
)
@click.option(
    "--selector",
    default="search",
    show_default=True,
    help="Who ranks them: headwater list selectors; an estimator's name, too.",
)
@click.option("--metric", default="", help="What they are compared by; by default the task's own.")
@click.option(
    "--sizes",
    default="",
    metavar="N,N,full",
    help="Training images of the rungs. Default: 50, 150, and all.",
)
@click.option(
    "--max-params", metavar="N", help="Leave out sources with more parameters: 5M, 30000000."
)
@click.option(
    "--licence",
    "licences",
    default="",
    metavar="NAMES",
    help="Licences to allow: names and globs, with commas.",
)
@click.option(
    "--adaptation", default="fine_tune", show_default=True, help="How sources are adapted."
)
@click.option(
    "--confirm",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Fine-tune the first N on all images.",
)
@chosen_options(KEYS, SECTIONS)
@plugin_option
@click.option(
    "--executor",
    type=click.Choice(["ray", "inline"]),
    default="ray",
    help="inline: in this process.",
)
@click.option("--address", help="The address of a Ray cluster.")
@click.option(
    "--timeout", type=Duration(), help="Limit of one job: 90s, 10m, 2h. Not with --executor inline."
)
@click.option(
    "--rerun",
    type=click.Choice(["missing", "failed"]),
    default="missing",
    show_default=True,
    help="failed: try those again.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be asked and what it may cost.")
@format_option
def command(
    task: str, sources: str, plugins: tuple[Path, ...], dry_run: bool, format_: str, **values: Any
) -> int:
    from headwater.harness.running.progress import watcher_for
    from headwater.harness.running.run import Control, Session
    from headwater.harness.selecting.select import Request, answer, prepared
    from headwater.registry.names import split_list

    if values["timeout"] and values["executor"] == "inline":
        raise click.UsageError(
            "--timeout needs --executor ray: a job in this process cannot be ended."
        )
    asked = Request(
        task,
        split_list(sources),
        values["budget"],
        values["selector"],
        values["metric"],
        [int(part) if part.isdigit() else part for part in split_list(values["sizes"])],
        _count(values["max_params"]),
        split_list(values["licences"]),
        values["adaptation"],
        values["confirm"],
        overrides_of(
            {
                key: value
                for key, value in values.items()
                if key not in ("sizes", "sources", "adaptation")
            }
        ),
    )
    control = Control(**{key: values[key] for key in ("rerun", "executor", "address", "timeout")})
    try:
        with Session() as session:
            ready = prepared(
                asked, plugins, control, watcher_for(_console()), session, _say, look=not dry_run
            )
            if dry_run:
                return _forecast(ready)
            selection = answer(ready)
    except KeyboardInterrupt:
        click.echo(
            f"\n Interrupted. All that was finished is kept. Continue: headwater {shlex.join(sys.argv[1:])}",
            err=True,
        )
        return 130
    return _show(selection, format_)


def _say(text: str) -> None:
    click.echo(f" {text}", err=True)


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _count(text: str | None) -> int | None:
    """``5M``, ``300k``, ``30000000``."""
    if text is None:
        return None
    units = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}
    number, unit = (
        (text[:-1], units[text[-1].lower()]) if text and text[-1].lower() in units else (text, 1.0)
    )
    try:
        return round(float(number.replace("_", "").replace(",", "")) * unit)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is not a number of parameters such as 5M or 30000000",
            param_hint="--max-params",
        ) from None


def _show(selection: Selection, format_: str) -> int:
    from headwater.harness.selecting.selection_table import remarks, selection_table, words

    if selection.candidates:
        selection_table(selection).print(format_)
    for line in words(selection):
        click.echo(f" {line}", err=format_ != "table")
    for line in remarks(selection):
        click.echo(f" {line}", err=True)
    return 0 if selection.candidates else 1


def _forecast(ready: Prepared) -> int:
    """What would be asked of whom, and what each step would cost for every source, as far as the store can tell."""
    from headwater.harness.running.progress import duration
    from headwater.harness.selecting.select import forecasts
    from headwater.registry import directed

    live, pool = ready.live, ready.pool
    images = (
        f"{live.images:,} images" if live.images else "a number of images that is not known yet"
    )
    click.echo(
        f" task     {ready.task.name}: {images}, {directed(live.metric, live.sign)}", err=True
    )
    click.echo(
        f" sources  {len(pool.sources)}, ranked by {ready.asked.selector} within {duration(live.budget)}",
        err=True,
    )
    for why, names in pool.left_out.items():
        click.echo(f"          left out {len(names)}: {why}", err=True)
    for name, reason in pool.failed.items():
        click.echo(f"          failed {name}: {reason}", err=True)
    for words, cost, done, count in forecasts(ready):
        known = (
            f"about {duration(cost.seconds / live.slots)} on {live.slots} slots"
            if cost.known
            else "no precedent: no forecast"
        )
        some = f", {cost.unknown} jobs without precedent" if cost.known and cost.unknown else ""
        click.echo(
            f" cost     {words}: {known if done < count else 'nothing'}{some} ({done} of {count} done)",
            err=True,
        )
    return 0
