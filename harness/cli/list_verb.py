"""``headwater list KIND``: what can be benchmarked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.options import format_option, plugin_option

if TYPE_CHECKING:
    from headwater.leaderboard.show.tables import Column
    from headwater.registry import Card, Kind, Registry

SHOWN = 40
"""Rows of a table when --limit does not say."""

IN_WORDS = {"metric": "metric", "metrics": "metrics", "classes": "predicts"}
"""Facts that people read in other words than programs, and their headings: with their direction, as so many points."""

COLUMNS = {
    "source": ("name", "domain", "pretrained_on", "images", "parameters", "input_size", "licence"),
    "task": ("name", "type", "domain", "metric", "classes", "images", "licence", "summary"),
    "adaptation": ("name", "approach", "setting", "on", "options", "summary"),
    "estimator": ("name", "low", "high", "task_types", "summary"),
    "selector": ("name", "summary"),
    "task-type": ("name", "metrics", "summary"),
    "domain": ("name", "within", "summary"),
}


@click.command(
    help="List sources, tasks, adaptations, estimators, selectors, task-types or domains; GLOB, or part of a name, narrows it."
)
@click.argument("kind")
@click.argument("patterns", metavar="[GLOB]...", nargs=-1)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"How many at most; 0: all. Default: {SHOWN} in a table, all in other formats.",
)
@plugin_option
@format_option
def command(
    kind: str, patterns: tuple[str, ...], limit: int | None, plugins: tuple[Path, ...], format_: str
) -> None:
    from headwater.leaderboard.show.tables import Table
    from headwater.registry import Registry

    wanted = read_kind(kind)
    registry = Registry.discover(plugins)
    report_problems(registry)
    cards = _matching(registry, wanted, patterns)
    limit = (SHOWN if format_ == "table" else 0) if limit is None else limit
    shown = cards[:limit] if limit else cards
    columns = [column for name in COLUMNS[wanted.value] for column in _columns(name)]
    rows = [
        [value for name in COLUMNS[wanted.value] for value in _values(card, name, registry)]
        for card in shown
    ]
    title = f"{len(cards):,} {wanted.value if len(cards) == 1 else wanted.plural}"
    Table(title, columns, rows, _notes(registry, wanted, len(cards), len(shown))).print(format_)


def read_kind(text: str) -> Kind:
    """A kind by its singular or plural; raises a usage error with the nearest."""
    from headwater.registry import Kind
    from headwater.registry.names import did_you_mean

    word = text.lower().replace("_", "-")
    for kind in Kind:
        if word in (kind.value, kind.plural):
            return kind
    kinds = [kind.plural for kind in Kind]
    raise click.UsageError(
        f"{text!r} is no kind of thing to list.{did_you_mean(word, kinds)} Kinds: {', '.join(kinds)}."
    )


def report_problems(registry: Registry) -> None:
    """Say on stderr which plugins could not be used, and why."""
    for problem in registry.problems:
        click.echo(f"plugin {problem.plugin} is left out: {problem.reason}", err=True)


def _matching(registry: Registry, kind: Kind, patterns: tuple[str, ...]) -> list[Card]:
    from headwater.registry.names import glob_matches, is_glob, split_list

    listed = {card.name: card for card in registry.all(kind)}
    if not patterns:
        return list(listed.values())
    found: dict[str, Card] = {}
    for text in (part for pattern in patterns for part in split_list(pattern)):
        names = (
            glob_matches(listed, text)
            if is_glob(text)
            else [name for name in listed if text in name]
        )
        # What no listing holds may still be a name: parquet/FOLDER; or raise, with the nearest.
        found |= {name: listed[name] for name in names} or {
            card.name: card for card in registry.find(kind, text)
        }
    return list(found.values())


def _values(card: Card, name: str, registry: Registry) -> list[Any]:
    """A fact as programs read it, and as people do where that is another thing."""
    return (
        [_value(card, name), _in_words(card, name, registry)]
        if name in IN_WORDS
        else [_value(card, name)]
    )


def _in_words(card: Any, name: str, registry: Registry) -> str:
    from headwater.harness.cli.in_words import type_of

    if name == "metrics":
        return ", ".join(metric.directed for metric in card.metrics)
    if (known := type_of(card, registry)) is None:
        return str(_value(card, name) or "")
    task_type, metric = known
    return metric.directed if name == "metric" else task_type.counted(card.classes)


def _value(card: Card, name: str) -> Any:
    from headwater.registry.cards.card import first_line

    value = getattr(card, name)
    if name in ("low", "high"):  # where a bound depends on the data, its docstring begins with how
        return (
            first_line(value).partition(":")[0]
            if callable(value)
            else f"{value:g}".replace("inf", "∞")
        )
    if callable(value):
        return ", ".join(f"{key}={default}" for key, default in value().items())
    if name == "classes":
        return len(value) or None
    if name == "metrics":
        return ", ".join(metric.name for metric in value)
    return ", ".join(value) if isinstance(value, tuple) else value


def _columns(name: str) -> list[Column]:
    from headwater.leaderboard.show.tables import Column

    if name in IN_WORDS:
        return [Column(name, only="data"), Column(name, IN_WORDS[name], only="text")]
    headings = {"pretrained_on": "pre-trained on", "input_size": "px"}
    rank = 0 if name == "name" else 2 if name == "licence" else 1
    return [
        Column(
            name, headings.get(name, name), "," if name in ("images", "parameters") else "", rank
        )
    ]


def _notes(registry: Registry, kind: Kind, found: int, shown: int) -> list[str]:
    forms = [
        f"{provider.form}: {provider.summary}"
        for provider in registry.providers
        if provider.kind is kind
    ]
    more = (
        [f"{shown} of {found:,}; all: --limit 0; fewer: headwater list {kind.plural} 'PATTERN*'"]
        if shown < found
        else []
    )
    return more + [f"also {form}" for form in forms]
