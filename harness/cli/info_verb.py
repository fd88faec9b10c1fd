"""``headwater info NAME``: all that is known of one thing, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.list_verb import report_problems
from headwater.harness.cli.options import format_option, plugin_option, store_option
from headwater.harness.cli.recorded_job import draw_jobs, is_job, print_job

if TYPE_CHECKING:
    from headwater.registry import Card, Registry, Task

MANY = 6
"""Files that are listed one by one."""

USE = {
    "source": 'sources = ["{name}"]',
    "task": 'tasks = ["{name}"]',
    "adaptation": 'adaptations = ["{name}"]',
    "task-type": '@hw.task(..., type="{name}")',
    "domain": 'domain="{name}"',
}
"""How a card is named in a spec, or in a plugin."""


@click.command(
    help="All that is known of sources, tasks, adaptations, estimators, selectors, task types or domains; or of recorded jobs, by their "
    "identity or its first 8 digits: --picture draws what done cells predicted."
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--picture",
    is_flag=False,
    flag_value="",
    metavar="[FILE.png]",
    help="Draw test images beside what the cells JOB... predicted of them.",
)
@click.option(
    "--images",
    type=click.IntRange(1, 100),
    default=8,
    show_default=True,
    help="How many test images a picture shows.",
)
@plugin_option
@store_option
@format_option
def command(
    names: tuple[str, ...],
    picture: str | None,
    images: int,
    plugins: tuple[Path, ...],
    store: Path,
    format_: str,
) -> None:
    from headwater.leaderboard import Store
    from headwater.leaderboard.show.tables import Table
    from headwater.registry import Registry

    if picture is not None:
        draw_jobs(Store(store), _jobs(names), plugins, _file(picture), images)
        return
    registry = None
    for name in names:
        if is_job(name):
            print_job(Store(store), name, plugins, format_)
            continue
        if registry is None:
            registry = Registry.discover(plugins)
            report_problems(registry)
        for card in cards_named(registry, name):
            Table(
                _title(card),
                ["fact", "value"],
                _facts(card, registry, in_words=format_ not in ("json", "csv")),
            ).print(format_)


def _jobs(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if not is_job(name):
            raise click.UsageError(
                f"--picture shows recorded cells; {name!r} is not a job's identity (8 to 20 hex digits)."
            )
    return names


def _file(picture: str) -> Path | None:
    if is_job(picture):
        raise click.UsageError(
            f"--picture {picture} names a file. Put jobs before it: headwater info {picture} --picture"
        )
    if picture and not picture.lower().endswith(".png"):
        raise click.UsageError(f"--picture writes a PNG file: {picture}.png")
    return Path(picture) if picture else None


def cards_named(registry: Registry, name: str) -> list[Card]:
    """The cards of a name, of every kind that has one; raises UnknownName with the nearest of any kind."""
    from headwater.registry import Kind, Name
    from headwater.registry.errors import UnknownName
    from headwater.registry.names import did_you_mean

    owned = [
        provider.kind for provider in registry.providers if provider.owns(Name.parse(name).stem)
    ]
    found, errors = [], []
    for kind in owned or Kind:
        try:
            found.append(registry.get(kind, name))
        except UnknownName as error:
            errors.append(error)
    if found:
        return found
    if owned:  # its provider knows best what is wrong
        raise errors[0]
    every = list(
        dict.fromkeys(card.name for kind in Kind for card in registry.all(kind))
    )  # an estimator is a selector too
    lists = "See what there is: headwater list sources, tasks, adaptations, estimators, selectors"
    hint = f"{lists}; a recorded job is named by 8 digits or more of its identity."
    raise UnknownName(
        f"nothing is called {name!r}.{did_you_mean(name, every)}", subject=name, hint=hint
    )


def _title(card: Card) -> str:
    from headwater.registry import kind_of

    return f"{card.name} ({kind_of(card).value})"


def _facts(card: Card, registry: Registry, in_words: bool) -> list[list[Any]]:
    """``in_words``: metrics with their directions, and classes under what their type calls them; programs want neither."""
    from headwater.registry import SourceModel, Task, TaskType, kind_of

    facts = {
        key: value for key, value in card.facts().items() if key not in ("methods", "noun")
    }  # of a task type: code, a word
    if isinstance(card, TaskType):
        facts["metrics"] = tuple(
            metric.directed if in_words else metric.name for metric in card.metrics
        )
    if isinstance(card, Task):
        facts = _of_its_type(facts, card, registry) if in_words else facts
        facts["annotations"] = _flawed(card, registry)
    if isinstance(card, SourceModel):
        facts["parameters"] = card.parameters or _counted(card)
    rows = [
        [key.replace("_", " "), _shown(value)]
        for key, value in facts.items()
        if value not in (None, "", (), {})
    ]
    if use := USE.get(kind_of(card).value):
        rows.append(["use", use.format(name=card.name)])
    return [*rows, ["check", f"headwater check {_quoted(card.name)}"]]


def _of_its_type(facts: dict[str, Any], task: Task, registry: Registry) -> dict[str, Any]:
    """With the metric's direction, and what its type calls classes; as they are where the type is unknown."""
    from headwater.harness.cli.in_words import type_of

    if (known := type_of(task, registry)) is None:
        return facts
    task_type, metric = known
    return {
        task_type.noun if key == "classes" else key: value
        for key, value in (facts | {"metric": metric.directed}).items()
    }


def _flawed(task: Task, registry: Registry) -> str:
    """How many of its annotations are flawed, where that is known without looking at the data."""
    from headwater.harness.data.flaws import known
    from headwater.registry.errors import HeadwaterError

    try:
        found = known(task, registry.task_type(task.type))
    except (
        HeadwaterError,
        OSError,
    ):  # an unknown type, a file that is gone: headwater check says so
        return ""
    return "" if found is None else str(found) if found.flawed else "no flaws"


def _counted(card: Any) -> int | None:
    """Parameters of a timm source, counted once per architecture; nothing is allocated for it."""
    from headwater.plugins.models.timm_models import counted_parameters

    return counted_parameters(card)


def _shown(value: Any) -> Any:
    if isinstance(value, tuple | list | frozenset):
        if len(value) > MANY and all(isinstance(item, Path) for item in value):
            return f"{len(value):,}, the first {next(iter(value))}"
        return ", ".join(str(getattr(item, "name", item)) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return value if isinstance(value, int | float | str) else str(value)


def _quoted(name: str) -> str:
    return f"'{name}'" if "[" in name else name
