"""``headwater list KIND``: what can be benchmarked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.cards import read_kind, report_problems, type_and_metric
from headwater.harness.cli.options import format_option, plugin_option
from headwater.harness.cli.verb import option, verb

if TYPE_CHECKING:
    from headwater.leaderboard.show.tables import Column, Table
    from headwater.registry import Bound, Card, Kind, Registry

MAX_ROWS = 40
"""Rows of a table when ``--limit`` does not say."""

HEADINGS_IN_WORDS = {"metric": "metric", "metrics": "metrics", "classes": "predicts"}
"""Headings of facts that people read in words (``accuracy ↑``, ``10 points``) and programs raw."""


@verb(
    help="List sources, tasks, adaptations, estimators, selectors, task-types, domains, analyses, job-kinds or benchmarks; "
    "GLOB, or part of a name, narrows the list.",
    examples=["headwater list sources 'timm/resnet18*'", "headwater list benchmarks"],
)
@click.argument("kind")
@click.argument("patterns", metavar="[GLOB]...", nargs=-1)
@option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"How many at most; 0: all.  [default: {MAX_ROWS} in a table, all in other formats]",
)
@plugin_option()
@format_option
def command(
    kind: str, patterns: tuple[str, ...], limit: int | None, plugins: tuple[Path, ...], format_: str
) -> None:
    from headwater.registry import Registry

    if limit is None:
        limit = MAX_ROWS if format_ == "table" else 0
    if kind.lower() in ("benchmark", "benchmarks"):
        _benchmarks(patterns, limit).print(format_)
        return
    wanted = read_kind(kind)
    registry = Registry.discover(plugins)
    report_problems(registry)
    _cards(registry, wanted, patterns, limit).print(format_)


def _cards(registry: Registry, kind: Kind, patterns: tuple[str, ...], limit: int) -> Table:
    from headwater.leaderboard.show.tables import Table
    from headwater.registry import card_class

    cards = _matching(registry, kind, patterns)
    shown = cards[:limit] if limit else cards
    facts = card_class(kind).list_columns
    columns = [column for fact in facts for column in _columns(fact)]
    rows = [[value for fact in facts for value in _values(card, fact, registry)] for card in shown]
    title = f"{len(cards):,} {kind.value if len(cards) == 1 else kind.plural}"
    notes = _cut(kind.plural, len(cards), len(shown))
    for provider in registry.providers:
        if provider.kind is kind:
            notes.append(f"also {provider.form}: {provider.summary}")
    return Table(title, columns, rows, notes)


def _benchmarks(patterns: tuple[str, ...], limit: int) -> Table:
    """Return the benchmarks that ship with the package, which ``headwater run NAME`` runs."""
    from headwater.harness.planning.benchmarks import benchmarks, summary
    from headwater.leaderboard.show.tables import Table
    from headwater.registry.names import glob_matches, is_glob

    files = benchmarks()
    names = list(files)
    if patterns:
        matching: set[str] = set()
        for pattern in patterns:
            matching |= (
                set(glob_matches(files, pattern))
                if is_glob(pattern)
                else {name for name in files if pattern in name}
            )
        names = [name for name in files if name in matching]
    shown = names[:limit] if limit else names
    rows = [[name, summary(files[name]), str(files[name])] for name in shown]
    title = f"{len(names)} benchmark{'s' * (len(names) != 1)}"
    notes = [*_cut("benchmarks", len(names), len(shown)), "run one: headwater run NAME"]
    return Table(title, ["name", "summary", "file"], rows, notes)


def _cut(plural: str, total: int, shown: int) -> list[str]:
    """Return a note that says how to see what a limit left out; nothing where it left out none."""
    if shown == total:
        return []
    return [
        f"{shown} of {total:,}; all: --limit 0; fewer: headwater list {plural} 'PATTERN*'",
    ]


def _matching(registry: Registry, kind: Kind, patterns: tuple[str, ...]) -> list[Card]:
    """Return the cards that match any of the patterns; raises UnknownName for one that matches
    none.
    """
    from headwater.registry.names import glob_matches, is_glob, split_list

    listed = {card.name: card for card in registry.all(kind)}
    if not patterns:
        return list(listed.values())
    matching: dict[str, Card] = {}
    for text in (part for pattern in patterns for part in split_list(pattern)):
        if is_glob(text):
            names = list(glob_matches(listed, text))
        else:
            names = [name for name in listed if text in name]
        if names:
            matching |= {name: listed[name] for name in names}
        else:
            # What is in no listing may still be a name, such as parquet/FOLDER; else this raises.
            matching |= {card.name: card for card in registry.find(kind, text)}
    return list(matching.values())


def _columns(fact: str) -> list[Column]:
    from headwater.leaderboard.show.tables import Column

    if fact in HEADINGS_IN_WORDS:
        return [
            Column(fact, only="data"),
            Column(fact, HEADINGS_IN_WORDS[fact], only="text"),
        ]
    headings = {"pretrained_on": "pre-trained on", "input_size": "px", "looks_at": "looks at"}
    number = "," if fact in ("images", "parameters") else ""
    rank = {"name": 0, "licence": 2}.get(fact, 1)
    return [Column(fact, headings.get(fact, fact), number, rank)]


def _values(card: Card, fact: str, registry: Registry) -> list[Any]:
    """Return a fact as programs read it, and then as people do where the two differ."""
    if fact in HEADINGS_IN_WORDS:
        return [_value(card, fact), _in_words(card, fact, registry)]
    return [_value(card, fact)]


def _in_words(card: Any, fact: str, registry: Registry) -> str:
    if fact == "metrics":
        return ", ".join(metric.directed for metric in card.metrics)
    type_with_metric = type_and_metric(card, registry)
    if type_with_metric is None:
        return str(_value(card, fact) or "")
    task_type, metric = type_with_metric
    return metric.directed if fact == "metric" else task_type.counted(card.classes)


def _value(card: Card, fact: str) -> Any:
    value = getattr(card, fact)
    if fact in ("low", "high"):
        return _bound(value)
    if callable(value):
        return ", ".join(f"{key}={default}" for key, default in value().items())
    if fact == "classes":
        return len(value) or None
    if fact == "metrics":
        return ", ".join(metric.name for metric in value)
    return ", ".join(value) if isinstance(value, tuple) else value


def _bound(value: float | Bound) -> str:
    """Return a bound of an estimator's score as text; one that depends on the data says how."""
    from headwater.registry import Bound

    if isinstance(value, Bound):
        return value.formula
    return f"{value:g}".replace("inf", "∞")
