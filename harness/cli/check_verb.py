"""``headwater check``: the conformance suite, one line a plugin."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.info_verb import cards_named
from headwater.harness.cli.list_verb import report_problems
from headwater.harness.cli.options import format_option, plugin_option

if TYPE_CHECKING:
    from headwater.harness.conformance import Result
    from headwater.leaderboard.show.tables import Table
    from headwater.registry import Card, Flaw, Registry

KINDS = 8
"""Kinds of flaws that are printed."""

IMAGES = 4
"""Images that are named for each."""

WIDTH = 100


@click.command(
    help="Run the conformance suite on a plugin file or folder, or on anything by its name. Exit status 1 where a check fails."
)
@click.argument("targets", metavar="NAME|FILE...", nargs=-1, required=True)
@plugin_option
@format_option
def command(targets: tuple[str, ...], plugins: tuple[Path, ...], format_: str) -> int:
    from headwater.harness.conformance import checks, examine
    from headwater.registry import Task

    registry, cards = _chosen(targets, plugins)
    beside = [card for card in cards if isinstance(card, Task)]
    width = max(len(card.name) for card in cards)
    seen: list[tuple[Card, list[Result]]] = []
    for card in cards:
        seen.append((card, list(examine(checks(card, registry, beside)))))
        if format_ == "table":
            click.echo(_line(*seen[-1], width), color=_colour())
    if format_ != "table":
        _table(seen).print(format_)
    if failed := sum(not all(result.passed for result in results) for _, results in seen):
        click.echo(f"{failed} of {len(cards)} failed", err=True)
    return int(bool(failed))


def _chosen(targets: tuple[str, ...], plugins: tuple[Path, ...]) -> tuple[Registry, list[Card]]:
    """The registry with all plugins in it, and the cards to check: a file's own, or those named."""
    from headwater.harness.conformance import own_cards
    from headwater.registry import Registry

    files = [Path(target) for target in targets if target.endswith(".py") or Path(target).is_dir()]
    names = [target for target in targets if Path(target) not in files]
    registry = Registry.discover([*plugins, *files])
    cards = own_cards(registry) if files else []
    if names:
        report_problems(registry)
    return registry, cards + [card for name in names for card in cards_named(registry, name)]


def _line(card: Card, results: list[Result], width: int) -> str:
    good = " · ".join(result.message for result in results if result.passed and result.message)
    bad = [result for result in results if not result.passed]
    mark = click.style("✗", fg="red") if bad else click.style("✓", fg="green")
    lines = [f"{mark} {card.name:<{width}}   {good}".rstrip()]
    for result in bad:
        lines.append(f"    {click.style(result.check.name, fg='red')}: {result.message}")
        lines += [f"      {result.hint}"] if result.hint else []
    return "\n".join([*lines, *_flaws(card, [flaw for result in results for flaw in result.flaws])])


def _flaws(card: Card, flaws: Sequence[Flaw]) -> Iterator[str]:
    """Flaws by what is wrong, with the first images of each."""
    from headwater.harness.data.flaws import grouped

    groups = grouped(flaws)
    for group in groups[:KINDS]:
        names = [_about(card, name) for name in group.names]
        more = f", and {len(names) - IMAGES:,} more" if len(names) > IMAGES else ""
        yield f"    {len(names):,} × {group.what}: {group.handled}"
        yield from textwrap.wrap(
            f"{', '.join(names[:IMAGES])}{more}",
            WIDTH,
            initial_indent=" " * 6,
            subsequent_indent=" " * 6,
        )
    if len(groups) > KINDS:
        yield f"    and {len(groups) - KINDS} more kind{'s' * (len(groups) > KINDS + 1)}"
    if any(len(group.names) > IMAGES for group in groups) or len(groups) > KINDS:
        yield "    all of them: --format json"


def _about(card: Card, name: str) -> str:
    return name.removeprefix(f"{card.name}: ")


def _table(seen: Sequence[tuple[Card, list[Result]]]) -> Table:
    """A row for each check, followed by one for each flaw that it came upon; ``then``: what to do, or how the flaw was handled."""
    from headwater.leaderboard.show.tables import Table

    rows: list[list[Any]] = []
    for card, results in seen:
        for result in results:
            rows.append(
                [card.name, result.check.name, result.passed, "", str(result.message), result.hint]
            )
            rows += [
                [
                    card.name,
                    result.check.name,
                    True,
                    _about(card, flaw.name),
                    flaw.what,
                    flaw.handled,
                ]
                for flaw in result.flaws
            ]
    return Table("", ["card", "check", "passed", "about", "message", "then"], rows)


def _colour() -> bool | None:
    return False if os.environ.get("NO_COLOR") else None
