"""``headwater select``: which source for my task."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.options import (
    RUNNING,
    Duration,
    check_executor,
    executor_options,
    format_option,
    plugin_option,
    stderr_console,
)
from headwater.harness.cli.spec_options import WHAT_TO_MEASURE, chosen_options, overrides_of
from headwater.harness.cli.verb import option, verb
from headwater.registry.defaults import DEFAULT_ADAPTATION, DEFAULT_SELECTOR

if TYPE_CHECKING:
    from headwater.harness.selecting.select import PreparedQuestion, Request, Selection

SPEC_KEYS = ("seeds", "image_size", "validation", "store")
SPEC_SECTIONS = ("training", "pretraining", "resources")

_SOURCES = "Sources to choose from"
_CHOOSING = "Choosing"
_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}


class ParameterCount(click.ParamType[int]):
    """A number of parameters such as ``5M``, ``300k`` or ``30_000_000``."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        unit = _UNITS.get(text[-1:].lower())
        number = text[:-1] if unit else text
        try:
            return round(float(number.replace("_", "").replace(",", "")) * (unit or 1.0))
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is not a number of parameters such as 5M or 30000000", param, ctx)


@verb(
    help="Find the source that TASK should start from. Estimates and fine-tunes within a budget, and "
    "says how sure the answer is.",
    measures=True,
    examples=[
        "headwater select sklearn/digits --sources 'timm/test_*' --budget 2m",
        "headwater select folder/bones --sources 'timm/resnet*,lab/*' --max-params 30M --dry-run",
    ],
)
@click.argument("task")
@option(
    "--sources",
    required=True,
    metavar="NAMES",
    section=_SOURCES,
    help="Source models: names and globs, with commas.",
)
@option(
    "--max-params",
    type=ParameterCount(),
    metavar="N",
    section=_SOURCES,
    help="Leave out sources with more parameters: 5M, 30000000.",
)
@option(
    "--licence",
    "licences",
    default="",
    metavar="NAMES",
    section=_SOURCES,
    help="Licences to allow: names and globs, with commas.",
)
@option(
    "--budget",
    type=Duration(),
    default="10m",
    section=_CHOOSING,
    help="Wall time to spend: 90s, 10m, 2h.",
)
@option(
    "--selector",
    default=DEFAULT_SELECTOR,
    section=_CHOOSING,
    help="The selector that ranks the sources (headwater list selectors), or an estimator.",
)
@option(
    "--confirm",
    type=click.IntRange(min=0),
    default=3,
    metavar="N",
    section=_CHOOSING,
    help="Fine-tune the first N on all images.",
)
@option(
    "--adaptation",
    default=DEFAULT_ADAPTATION,
    section=WHAT_TO_MEASURE,
    help="How sources are adapted.",
)
@option(
    "--metric",
    default="",
    section=WHAT_TO_MEASURE,
    help="The metric that sources are compared by.  [default: the task's own]",
)
@option(
    "--sizes",
    default="",
    metavar="N,N,full",
    section=WHAT_TO_MEASURE,
    help="Training images of the rungs.  [default: 50, 150, and all]",
)
@chosen_options(SPEC_KEYS, SPEC_SECTIONS, shown_defaults={"seeds": "0,"})
@plugin_option(section=RUNNING)
@executor_options
@option(
    "--rerun",
    type=click.Choice(["missing", "failed"]),
    default="missing",
    section=RUNNING,
    help="failed: try those again.",
)
@option(
    "--dry-run",
    is_flag=True,
    section=RUNNING,
    help="Show what would be asked and what it may cost.",
)
@format_option
def command(plugins: tuple[Path, ...], dry_run: bool, format_: str, **values: Any) -> int:
    from headwater.harness.running.progress import watcher_for
    from headwater.harness.running.run import Control, Session
    from headwater.harness.selecting.select import answer, prepared
    from headwater.registry.names import command_line

    check_executor(values["executor"], values["timeout"])
    request = _request(values)
    control = Control(**{key: values[key] for key in ("rerun", "executor", "address", "timeout")})
    try:
        with Session() as session:
            question = prepared(
                request,
                plugins=plugins,
                control=control,
                watcher=watcher_for(stderr_console()),
                session=session,
                say=_say,
                look=not dry_run,
            )
            if dry_run:
                _show_forecast(question)
                return 0
            selection = answer(question)
    except KeyboardInterrupt:
        again = command_line(*sys.argv[1:])
        _say(f"\n Interrupted. All finished jobs are recorded. Continue: {again}")
        return 130
    return _show(selection, format_)


def _request(values: Mapping[str, Any]) -> Request:
    from headwater.harness.selecting.select import Request
    from headwater.registry.names import split_list

    sizes = [int(part) if part.isdigit() else part for part in split_list(values["sizes"])]
    spec_values = dict(values)
    for key in ("sizes", "sources", "adaptation"):  # these stand in the request itself
        del spec_values[key]
    return Request(
        task=values["task"],
        sources=split_list(values["sources"]),
        budget=values["budget"],
        selector=values["selector"],
        metric=values["metric"],
        sizes=sizes,
        max_parameters=values["max_params"],
        licences=split_list(values["licences"]),
        adaptation=values["adaptation"],
        confirm=values["confirm"],
        keys=overrides_of(spec_values),
    )


def _say(text: str) -> None:
    click.echo(f" {text}", err=True)


def _show(selection: Selection, format_: str) -> int:
    """Print the answer; returns the exit status."""
    from headwater.harness.selecting.selection_table import remarks, selection_table, words

    if selection.candidates:
        selection_table(selection).print(format_)
    for line in words(selection):
        click.echo(f" {line}", err=format_ != "table")
    for line in remarks(selection):
        _say(line)
    return 0 if selection.candidates else 1


def _show_forecast(question: PreparedQuestion) -> None:
    """Print what would be asked of which sources, and what each step would cost for all of them."""
    from headwater.harness.selecting.select import forecasts
    from headwater.leaderboard.show.values import duration
    from headwater.registry import directed

    live, pool = question.live, question.pool
    images = f"{live.images:,} images" if live.images else "a number of images not known yet"
    _say(f"task     {question.task.name}: {images}, {directed(live.metric, live.sign)}")
    _say(
        f"sources  {len(pool.sources)}, ranked by {question.request.selector} "
        f"within {duration(live.budget)}"
    )
    for reason, names in pool.left_out.items():
        _say(f"         left out {len(names)}: {reason}")
    for name, reason in pool.failed.items():
        _say(f"         failed {name}: {reason}")
    for step in forecasts(question):
        cost = step.cost
        if step.done == step.cells:
            price = "nothing"
        elif cost.known:
            price = f"about {duration(cost.seconds / live.slots)} on {live.slots} slots"
        else:
            price = "no precedent: no forecast"
        some = f", {cost.unknown} jobs without precedent" if cost.known and cost.unknown else ""
        _say(f"cost     {step.what}: {price}{some} ({step.done} of {step.cells} done)")
