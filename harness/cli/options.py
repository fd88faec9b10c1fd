"""Options that several verbs share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from headwater.harness.cli.verb import option

if TYPE_CHECKING:
    from rich.console import Console

_F = TypeVar("_F", bound=Callable[..., Any])

FORMATS = ("table", "json", "csv", "md", "latex", "html")
RUNNING = "Running"
"""The section of options that say how jobs are run."""

_SECONDS_PER_UNIT = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """A duration such as ``90``, ``10m`` or ``2h``, as seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        if not match or match[2] not in _SECONDS_PER_UNIT or float(match[1]) <= 0:
            self.fail(f"{value!r} is not a duration such as 90s, 10m or 2h", param, ctx)
        return float(match[1]) * _SECONDS_PER_UNIT[match[2]]


def format_option(function: _F) -> _F:
    """Add ``--format``."""
    decorate: Callable[[_F], _F] = option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
        default="table",
        section="Output",
        help="How to print.",
    )
    return decorate(function)


def plugin_option(section: str = "") -> Callable[[_F], _F]:
    """Return a decorator that adds ``--plugin``."""
    decorate: Callable[[_F], _F] = option(
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(path_type=Path),
        section=section,
        help="A plugin file or a folder of them; may repeat.",
    )
    return decorate


def size_option(help: str, section: str = "") -> Callable[[_F], _F]:
    """Return a decorator that adds ``--size``, a filter on training images."""
    decorate: Callable[[_F], _F] = option(
        "--size",
        default="",
        callback=_check_size,
        metavar="small|full|N",
        section=section,
        help=help,
    )
    return decorate


def _check_size(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value and value not in ("small", "full") and not value.isdigit():
        raise click.BadParameter(f"{value!r} is neither small, full nor a number of images")
    return value


def executor_options(function: _F) -> _F:
    """Add ``--executor``, ``--address`` and ``--timeout``, which ``check_executor`` holds together."""
    decorators = (
        option(
            "--executor",
            type=click.Choice(["ray", "inline"]),
            default="ray",
            section=RUNNING,
            help="inline: in this process.",
        ),
        option("--address", section=RUNNING, help="The address of a Ray cluster."),
        option(
            "--timeout",
            type=Duration(),
            section=RUNNING,
            help="Limit of one job: 90s, 10m, 2h. Not with --executor inline.",
        ),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def check_executor(executor: str, timeout: float | None) -> None:
    """Raise a usage error for a time limit that the executor cannot keep."""
    if timeout and executor == "inline":
        raise click.UsageError(
            "--timeout needs --executor ray: a job in this process cannot be ended."
        )


def stderr_console() -> Console:
    """Return the console on stderr that progress is shown on."""
    from rich.console import Console

    return Console(stderr=True)
