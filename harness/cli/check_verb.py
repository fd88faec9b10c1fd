"""``headwater check``: the conformance suite, one line a plugin."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.info_verb import cards_named
from harness.cli.list_verb import report_problems
from harness.cli.options import plugin_option

if TYPE_CHECKING:
    from harness.conformance import Result
    from registry import Card, Registry


@click.command(help="Run the conformance suite on a plugin file or folder, or on anything by its name. Exit status 1 where a check fails.")
@click.argument("targets", metavar="NAME|FILE...", nargs=-1, required=True)
@plugin_option
def command(targets: tuple[str, ...], plugins: tuple[Path, ...]) -> int:
    from harness.conformance import checks, examine
    from registry import Task

    registry, cards = _chosen(targets, plugins)
    beside = [card for card in cards if isinstance(card, Task)]
    width = max(len(card.name) for card in cards)
    failed = 0
    for card in cards:
        results = list(examine(checks(card, registry, beside)))
        click.echo(_line(card, results, width), color=_colour())
        failed += not all(result.passed for result in results)
    if failed:
        click.echo(f"{failed} of {len(cards)} failed", err=True)
    return int(bool(failed))


def _chosen(targets: tuple[str, ...], plugins: tuple[Path, ...]) -> tuple[Registry, list[Card]]:
    """The registry with all plugins in it, and the cards to check: a file's own, or those named."""
    from harness.conformance import own_cards
    from registry import Registry

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
    return "\n".join(lines)


def _colour() -> bool | None:
    return False if os.environ.get("NO_COLOR") else None
