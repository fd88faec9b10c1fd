"""Which store a verb reads: the one that is named, else the only one in the folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from headwater.harness.cli.verb import option

_F = TypeVar("_F", bound=Callable[..., Any])

DEFAULT_STORE = Path("headwater.duckdb")
STORE_VARIABLE = "HEADWATER_STORE"


def store_option(function: _F) -> _F:
    """Add ``--store``; its value is None where no store is named: ask ``store_to_read`` then."""
    decorate: Callable[[_F], _F] = option(
        "--store",
        type=click.Path(path_type=Path),
        envvar=STORE_VARIABLE,
        help="The DuckDB file of outcomes; $HEADWATER_STORE names it for every verb.  "
        f"[default: {DEFAULT_STORE}, else the only store in this folder]",
    )
    return decorate(function)


def store_to_read(path: Path | None) -> Path:
    """Return the store that a reading verb opens.

    Args:
        path: The store that ``--store`` or ``$HEADWATER_STORE`` names; None where neither does.

    Returns:
        ``path``; else ``headwater.duckdb`` where it lies in the working folder; else the only
        store there. Where there is none, ``headwater.duckdb``: opening it says what to do.

    Raises:
        click.UsageError: Several stores lie in the folder and none is named.
    """
    if path is not None:
        return path
    if DEFAULT_STORE.exists():
        return DEFAULT_STORE
    candidates = sorted(file for file in Path().glob("*.duckdb") if file.is_file())
    # A single file need not be opened here: opening it later says what it is if it is no store.
    stores = candidates if len(candidates) == 1 else list(filter(_is_store, candidates))
    if not stores:
        return DEFAULT_STORE
    if len(stores) > 1:
        from headwater.registry.names import command_line

        names = ", ".join(map(str, stores))
        typed = [word for word in sys.argv[1:] if word != "--debug"]
        retry = command_line(*typed, "--store", stores[0])
        raise click.UsageError(f"there are {len(stores)} stores here ({names}); name one: {retry}")
    click.echo(f" store: {stores[0]}", err=True)
    return stores[0]


def store_words(store: Path) -> list[str]:
    """Return the words that name a store in a command that is printed; none for the default."""
    return [] if store == DEFAULT_STORE else ["--store", str(store)]


def _is_store(path: Path) -> bool:
    from headwater.leaderboard import Store
    from headwater.registry.errors import HeadwaterError, StoreBusy

    try:
        Store(path).result("status_runs")
    except StoreBusy:  # a run that is writing
        return True
    except HeadwaterError:
        return False
    return True
