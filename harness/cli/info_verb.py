"""``headwater info NAME``: all that is known of one thing, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.cards import cards_named, report_problems, type_and_metric
from headwater.harness.cli.options import format_option, plugin_option
from headwater.harness.cli.store_option import store_option, store_to_read
from headwater.harness.cli.stored_jobs import draw_jobs, is_job, print_job
from headwater.harness.cli.verb import option, verb

if TYPE_CHECKING:
    from headwater.registry import Card, Registry, Task

MAX_FILES = 6
"""Files that are listed one by one."""

_CODE_FACTS = ("methods", "noun", "singular")
"""Facts of a task type that are code, or a word that only sentences need."""


@verb(
    help="Show all about sources, tasks, adaptations, estimators, selectors, task types or domains; "
    "or about recorded jobs, by their identity or its first 8 digits: --picture draws what done "
    "cells predicted.",
    examples=["headwater info sklearn/digits", "headwater info 42ef15bd --picture"],
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@option(
    "--picture",
    is_flag=False,
    flag_value="",
    metavar="[FILE.png]",
    help="Draw test images beside what the cells JOB... predicted of them.",
)
@option(
    "--images",
    type=click.IntRange(1, 100),
    default=8,
    help="How many test images a picture shows.",
)
@plugin_option()
@store_option
@format_option
def command(
    names: tuple[str, ...],
    picture: str | None,
    images: int,
    plugins: tuple[Path, ...],
    store: Path | None,
    format_: str,
) -> None:
    from headwater.leaderboard import Store
    from headwater.registry import Registry

    if picture is not None:
        file = _picture_file(picture)
        _check_jobs(names)
        draw_jobs(Store(store_to_read(store)), names, plugins, file=file, images=images)
        return
    registry = None
    for name in names:
        if is_job(name):
            print_job(Store(store_to_read(store)), name, plugins, format_)
            continue
        if registry is None:
            registry = Registry.discover(plugins)
            report_problems(registry)
        for card in cards_named(registry, name):
            _print_card(card, registry, plugins, format_)


def _check_jobs(names: Sequence[str]) -> None:
    for name in names:
        if not is_job(name):
            raise click.UsageError(
                f"--picture shows recorded cells; {name!r} is not a job's identity "
                "(8 to 20 hex digits)."
            )


def _picture_file(picture: str) -> Path | None:
    if is_job(picture):
        raise click.UsageError(
            f"--picture {picture} names a file. Put jobs before it: "
            f"headwater info {picture} --picture"
        )
    if picture and not picture.lower().endswith(".png"):
        raise click.UsageError(f"--picture writes a PNG file: {picture}.png")
    return Path(picture) if picture else None


def _print_card(card: Card, registry: Registry, plugins: Sequence[Path], format_: str) -> None:
    from headwater.leaderboard.show.tables import Table
    from headwater.registry.names import command_line

    facts = _facts(card, registry, in_words=format_ not in ("json", "csv"))
    rows = [
        [fact.replace("_", " "), _shown(value)]
        for fact, value in facts.items()
        if value not in (None, "", (), {})
    ]
    if card.usage:
        rows.append(["use", card.usage.format(name=card.name)])
    plugin_words = [word for plugin in plugins for word in ("--plugin", str(plugin))]
    rows.append(["check", command_line("check", card.name, *plugin_words)])
    Table(f"{card.name} ({card.kind})", ["fact", "value"], rows).print(format_)


def _facts(card: Card, registry: Registry, in_words: bool) -> dict[str, Any]:
    """Return a card's facts.

    Args:
        card: A card of any kind.
        registry: Where its task type is looked up.
        in_words: True for people: metrics with their directions, and classes under the noun that
            their type has for them. Programs want neither.
    """
    from headwater.registry import SourceModel, Task, TaskType

    facts = {fact: value for fact, value in card.facts().items() if fact not in _CODE_FACTS}
    if isinstance(card, TaskType):
        names = [metric.directed if in_words else metric.name for metric in card.metrics]
        facts["metrics"] = tuple(names)
    if isinstance(card, Task):
        if in_words:
            facts = _in_words_of_its_type(facts, card, registry)
        facts["annotations"] = _flaws(card, registry)
    if isinstance(card, SourceModel):
        facts["parameters"] = card.count_parameters()
    return facts


def _in_words_of_its_type(facts: dict[str, Any], task: Task, registry: Registry) -> dict[str, Any]:
    """Return facts with the metric's direction and the noun for classes; as they are if unknown."""
    type_with_metric = type_and_metric(task, registry)
    if type_with_metric is None:
        return facts
    task_type, metric = type_with_metric
    directed = facts | {"metric": metric.directed}
    return {task_type.noun if fact == "classes" else fact: directed[fact] for fact in directed}


def _flaws(task: Task, registry: Registry) -> str:
    """Return how many of a task's annotations are flawed, as far as is known without its data."""
    from headwater.harness.data.flaws import recall
    from headwater.registry.errors import HeadwaterError

    try:
        flaws = recall(task, registry.task_type(task.type))
    except (HeadwaterError, OSError):  # an unknown type, a missing file: headwater check says so
        return ""
    if flaws is None:
        return ""
    return str(flaws) if flaws.flawed else "no flaws"


def _shown(value: Any) -> Any:
    if isinstance(value, tuple | list | frozenset):
        if len(value) > MAX_FILES and all(isinstance(item, Path) for item in value):
            return f"{len(value):,}, the first {next(iter(value))}"
        return ", ".join(str(getattr(item, "name", item)) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return value if isinstance(value, int | float | str) else str(value)
