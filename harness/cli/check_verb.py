"""``headwater check``: the conformance suite, one line a plugin."""

from __future__ import annotations

import os
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.harness.cli.cards import cards_named, report_problems
from headwater.harness.cli.options import format_option, plugin_option
from headwater.harness.cli.verb import is_debugging, option, verb

if TYPE_CHECKING:
    from headwater.harness.conformance import CheckResult
    from headwater.leaderboard.show.tables import Table
    from headwater.registry import Card, Flaw, Registry

MAX_FLAW_KINDS = 8
"""Kinds of flaws that are printed."""

MAX_IMAGES = 4
"""Images that are named for each kind."""

WIDTH = 100


@verb(
    help="Run the conformance suite on a plugin file or folder, or on anything by its name. Exit "
    "status 1 where a check fails.",
    measures=True,
    examples=[
        "headwater check my_models.py",
        "headwater check my_models.py --trace lab/resnet18-xray",
    ],
)
@click.argument("targets", metavar="NAME|FILE...", nargs=-1, required=True)
@option(
    "--trace",
    metavar="NAME",
    help="Run this plugin by itself on toy input, and show the whole traceback of what fails; "
    "--debug does so for all.",
)
@plugin_option()
@format_option
def command(
    targets: tuple[str, ...], trace: str | None, plugins: tuple[Path, ...], format_: str
) -> int:
    from headwater.harness.conformance import checks, examine
    from headwater.registry import Task

    is_traced = trace is not None or is_debugging()
    files = [Path(target) for target in targets if target.endswith(".py") or Path(target).is_dir()]
    if is_traced and not _can_import([*plugins, *files]):
        return 1
    names = [target for target in targets if Path(target) not in files]
    registry, cards = _chosen(files, names, plugins)
    tasks = [card for card in cards if isinstance(card, Task)]
    if trace is not None:
        cards = _only(cards, trace)
    width = max(len(card.name) for card in cards)
    examined: list[tuple[Card, list[CheckResult]]] = []
    for card in cards:
        results = list(examine(checks(card, registry, tasks)))
        examined.append((card, results))
        if format_ == "table":
            click.echo(_line(card, results, width), color=_colour())
        if is_traced:
            _print_tracebacks(results)
    if format_ != "table":
        _table(examined).print(format_)
    failed = sum(not all(result.passed for result in results) for _, results in examined)
    if failed:
        click.echo(f"{failed} of {len(cards)} failed", err=True)
    return int(bool(failed))


def _chosen(
    files: Sequence[Path], names: Sequence[str], plugins: Sequence[Path]
) -> tuple[Registry, list[Card]]:
    """Return the registry with all plugins, and the cards to check: the files' own and those named."""
    from headwater.harness.conformance import own_cards
    from headwater.registry import Registry

    registry = Registry.discover([*plugins, *files])
    cards = own_cards(registry) if files else []
    if names:
        report_problems(registry)
    for name in names:
        cards += cards_named(registry, name)
    return registry, cards


def _only(cards: Sequence[Card], name: str) -> list[Card]:
    from headwater.registry.names import did_you_mean

    chosen = [card for card in cards if card.name == name]
    if not chosen:
        names = [card.name for card in cards]
        raise click.BadParameter(
            f"{name!r} is none of the plugins to check.{did_you_mean(name, names)} "
            f"They are: {', '.join(names)}.",
            param_hint="--trace",
        )
    return chosen


def _can_import(paths: Sequence[Path]) -> bool:
    """Import the plugin files, and print the traceback of the first that fails."""
    from headwater.registry.discovery import import_file

    for path in paths:
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            try:
                import_file(file)
            except Exception as error:  # a plugin is foreign code
                click.echo(f"{file} cannot be imported:", err=True)
                click.echo("".join(traceback.format_exception(error)), err=True)
                return False
    return True


def _print_tracebacks(results: Sequence[CheckResult]) -> None:
    """Print on stderr where each failed check failed: in the plugin, where the plugin raised."""
    for result in results:
        if result.error is not None:
            cause = result.error.__cause__ or result.error
            click.echo(f"{result.check.card}, check {result.check.name}:", err=True)
            click.echo("".join(traceback.format_exception(cause)), err=True)


def _line(card: Card, results: Sequence[CheckResult], width: int) -> str:
    """Return a card's line, with what is wrong and its flaws on further lines."""
    observed = [result.message for result in results if result.passed and result.message]
    failures = [result for result in results if not result.passed]
    mark = click.style("✗", fg="red") if failures else click.style("✓", fg="green")
    lines = [f"{mark} {card.name:<{width}}   {' · '.join(observed)}".rstrip()]
    for result in failures:
        lines.append(f"    {click.style(result.check.name, fg='red')}: {result.message}")
        if result.hint:
            lines.append(f"      {result.hint}")
    flaws = [flaw for result in results for flaw in result.flaws]
    return "\n".join([*lines, *flaw_lines(card, flaws)])


def flaw_lines(card: Card, flaws: Sequence[Flaw]) -> Iterator[str]:
    """Yield the flaws by what is wrong, with the first images of each kind."""
    from headwater.harness.data.flaws import grouped

    groups = grouped(flaws)
    for group in groups[:MAX_FLAW_KINDS]:
        names = [_without_card(card, name) for name in group.names]
        rest = f", and {len(names) - MAX_IMAGES:,} more" if len(names) > MAX_IMAGES else ""
        yield f"    {len(names):,} × {group.what}: {group.handled}"
        indent = " " * 6
        images = f"{', '.join(names[:MAX_IMAGES])}{rest}"
        yield from textwrap.wrap(images, WIDTH, initial_indent=indent, subsequent_indent=indent)
    left_out = len(groups) - MAX_FLAW_KINDS
    if left_out > 0:
        yield f"    and {left_out} more kind{'s' * (left_out > 1)}"
    if left_out > 0 or any(len(group.names) > MAX_IMAGES for group in groups):
        yield "    all of them: --format json"


def _without_card(card: Card, name: str) -> str:
    return name.removeprefix(f"{card.name}: ")


def _table(examined: Sequence[tuple[Card, Sequence[CheckResult]]]) -> Table:
    """Return a row for each check, followed by one for each flaw that it came upon.

    The column ``then`` says what to do about a failure, or how a flaw was handled; ``code`` is what
    flaws of one kind share.
    """
    from headwater.leaderboard.show.tables import Table

    rows: list[list[Any]] = []
    for card, results in examined:
        for result in results:
            check = result.check.name
            message = str(result.message)
            rows.append([card.name, check, result.passed, "", message, result.hint, ""])
            for flaw in result.flaws:
                image = _without_card(card, flaw.name)
                rows.append([card.name, check, True, image, flaw.what, flaw.handled, flaw.code])
    return Table("", ["card", "check", "passed", "about", "message", "then", "code"], rows)


def _colour() -> bool | None:
    return False if os.environ.get("NO_COLOR") else None
