"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "csv", "md", "latex")
DEFAULT_STORE = Path("headwater.duckdb")


def format_option(function: F) -> F:
    return click.option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print.",
    )(function)


def store_option(function: F) -> F:
    return click.option(
        "--store",
        type=click.Path(path_type=Path),
        default=DEFAULT_STORE,
        show_default=True,
        help="The DuckDB file of outcomes.",
    )(function)


def plugin_option(function: F) -> F:
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A plugin file or a folder of them; may repeat.",
    )(function)


def size_option(help: str) -> Callable[[F], F]:
    return click.option("--size", default="", callback=_size, metavar="small|full|N", help=help)


def _size(context: click.Context, option: click.Parameter, value: str) -> str:
    if value and value not in ("small", "full") and not value.isdigit():
        raise click.BadParameter(f"{value!r} is neither small, full nor a number of images")
    return value
