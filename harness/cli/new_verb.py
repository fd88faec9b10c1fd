"""``headwater new KIND NAME``: a plugin file that works, to start from."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headwater.harness.cli.verb import option, verb

if TYPE_CHECKING:
    from headwater.registry.errors import BadName

_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)*")


@verb(
    help="Write a working plugin file of a kind to start from; an existing file is never "
    "overwritten.",
    examples=["headwater new task lab/bones"],
)
@click.argument(
    "kind",
    type=click.Choice(
        ["source", "task", "adaptation", "estimator", "selector", "task-type", "analysis"]
    ),
)
@click.argument("name")
@option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; by default called after NAME.",
)
def command(kind: str, name: str, out: Path | None) -> None:
    from headwater.harness.conformance.templates import TEMPLATES
    from headwater.registry import Kind
    from headwater.registry.names import command_line

    _check_name(kind, name)
    identifier = _identifier(name)
    path = out or Path(f"{identifier}.py")
    _write_new(path, TEMPLATES[kind].replace("NAME", name).replace("FUNCTION", identifier))
    check = command_line("check", path)
    listing = command_line("list", Kind(kind).plural, "--plugin", path)
    click.echo(f"wrote {path}\n next: {check} · {listing}")


def _check_name(kind: str, name: str) -> None:
    """Raise BadName for a name that cannot be one, or that another card has."""
    from headwater.registry import Kind, Registry
    from headwater.registry.errors import BadName

    if not _NAME.fullmatch(name):
        hint = "Letters, digits, - _ . and / between parts, such as lab/resnet18-xray."
        raise BadName(f"{name!r} cannot be a name", subject=name, hint=hint)
    registry = Registry.discover()
    owners = [
        provider for provider in registry.providers if provider.kind == kind and provider.owns(name)
    ]
    card = registry.cards[Kind(kind)].get(name)
    if card or owners:
        origin = card.origin if card else owners[0].origin
        hint = "Put a name of your own in front: lab/..."
        raise BadName(f"{name!r} is taken by {origin}", subject=name, hint=hint)


def _write_new(path: Path, text: str) -> None:
    """Write a file that must not exist yet."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _bad_file(path, "exists already") from None
    except OSError as error:
        raise _bad_file(path, f"cannot be written: {error.strerror}") from None


def _bad_file(path: Path, problem: str) -> BadName:
    from headwater.registry.errors import BadName

    hint = "Choose another file: --out FILE."
    return BadName(f"{path} {problem}", subject=str(path), hint=hint)


def _identifier(name: str) -> str:
    """Return the last part of a name as a Python identifier."""
    word = re.sub(r"\W", "_", name.rpartition("/")[2])
    return f"my_{word}" if keyword.iskeyword(word) or word[0].isdigit() else word
