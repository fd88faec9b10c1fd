"""``headwater info NAME``: all that is known of one thing, whatever its kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.list_verb import report_problems
from harness.cli.options import format_option, plugin_option, store_option

if TYPE_CHECKING:
    from registry import Card, Registry

_JOB = re.compile(r"[0-9a-f]{8,20}")

USE = {
    "source": 'sources = ["{name}"]',
    "task": 'tasks = ["{name}"]',
    "adaptation": 'adaptations = ["{name}"]',
    "task-type": '@hw.task(..., type="{name}")',
    "domain": 'domain="{name}"',
}
"""How a card is named in a spec, or in a plugin."""


@click.command(help="All that is known of a source, task, adaptation, estimator, selector, task type or domain; or of a recorded job.")
@click.argument("name")
@plugin_option
@store_option
@format_option
def command(name: str, plugins: tuple[Path, ...], store: Path, format_: str) -> None:
    from leaderboard.tables import Table
    from registry import Registry

    if _JOB.fullmatch(name) and store.is_file():
        Table(f"job {name}", ["fact", "value"], _job_facts(name, store)).print(format_)
        return
    registry = Registry.discover(plugins)
    report_problems(registry)
    for card in cards_named(registry, name):
        Table(_title(card), ["fact", "value"], _facts(card, registry)).print(format_)


def cards_named(registry: Registry, name: str) -> list[Card]:
    """The cards of a name, of every kind that has one; raises UnknownName with the nearest of any kind."""
    from registry import Kind, Name
    from registry.errors import UnknownName
    from registry.names import did_you_mean

    owned = [provider.kind for provider in registry.providers if provider.owns(Name.parse(name).stem)]
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
    every = list(dict.fromkeys(card.name for kind in Kind for card in registry.all(kind)))  # an estimator is a selector too
    hint = "See what there is: headwater list sources, tasks, adaptations, estimators, selectors."
    raise UnknownName(f"nothing is called {name!r}.{did_you_mean(name, every)}", subject=name, hint=hint)


def _title(card: Card) -> str:
    from registry import kind_of

    return f"{card.name} ({kind_of(card).value})"


def _facts(card: Card, registry: Registry) -> list[list[Any]]:
    from registry import SourceModel, kind_of

    facts = card.facts()
    if isinstance(card, SourceModel):
        facts["parameters"] = card.parameters or _counted(card)
    rows = [[key.replace("_", " "), _shown(value)] for key, value in facts.items() if value not in (None, "", (), {})]
    if use := USE.get(kind_of(card).value):
        rows.append(["use", use.format(name=card.name)])
    return [*rows, ["check", f"headwater check {_quoted(card.name)}"]]


def _counted(card: Any) -> int | None:
    """Parameters of a timm source, counted once per architecture; nothing is allocated for it."""
    from plugins.models.timm_models import counted_parameters

    return counted_parameters(card)


def _shown(value: Any) -> Any:
    if isinstance(value, tuple | list | frozenset):
        return ", ".join(str(getattr(item, "name", item)) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return value if isinstance(value, int | float | str) else str(value)


def _quoted(name: str) -> str:
    return f"'{name}'" if "[" in name else name


def _job_facts(name: str, store: Path) -> list[list[Any]]:
    from leaderboard import Store
    from registry.errors import UnknownName

    found = Store(store).sql(f"SELECT * FROM jobs WHERE starts_with(job, '{name}')", rows=2)
    if len(found.rows) != 1:
        problem = "more than one job starts" if found.rows else "no job starts"
        raise UnknownName(f"{problem} with {name} in {store}", subject=name, hint="headwater query 'SELECT job, source, task FROM jobs'")
    return [[key, value] for key, value in zip(found.columns, found.rows[0], strict=True) if value is not None]
