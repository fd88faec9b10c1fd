"""``headwater new KIND NAME``: a plugin file that works, to start from."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import click


@click.command(
    help="Write a working plugin file of a kind to start from; an existing file is never overwritten."
)
@click.argument(
    "kind",
    type=click.Choice(["source", "task", "adaptation", "estimator", "selector", "task-type"]),
)
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; by default called after NAME.",
)
def command(kind: str, name: str, out: Path | None) -> None:
    from headwater.harness.conformance.templates import TEMPLATES
    from headwater.registry import Kind, Registry
    from headwater.registry.errors import BadName

    if not re.fullmatch(r"[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)*", name):
        hint = "Letters, digits, - _ . and / between parts, such as lab/resnet18-xray."
        raise BadName(f"{name!r} cannot be a name", subject=name, hint=hint)
    registry = Registry.discover()
    taken = registry.cards[Kind(kind)].get(name) or next(
        (p for p in registry.providers if p.kind == kind and p.owns(name)), None
    )
    if taken:
        raise BadName(
            f"{name!r} is taken by {taken.origin}",
            subject=name,
            hint="Put a name of your own in front: lab/...",
        )
    identifier = _identifier(name)
    path = out or Path(f"{identifier}.py")
    text = TEMPLATES[kind].replace("NAME", name).replace("FUNCTION", identifier)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise BadName(
            f"{path} exists already", subject=str(path), hint="Choose another file: --out FILE."
        ) from None
    except OSError as error:
        raise BadName(
            f"{path} cannot be written: {error.strerror}",
            subject=str(path),
            hint="Choose another file: --out FILE.",
        ) from None
    click.echo(
        f"wrote {path}\n next: headwater check {path} · headwater list {kind}s --plugin {path}"
    )


def _identifier(name: str) -> str:
    word = re.sub(r"\W", "_", name.rpartition("/")[2])
    return f"my_{word}" if keyword.iskeyword(word) or word[0].isdigit() else word
