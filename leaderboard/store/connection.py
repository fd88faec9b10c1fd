"""Opening the store's file: who may, for how long to try, and what each refusal means."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from headwater.registry.errors import (
    NewerStore,
    NotAStore,
    StoreBusy,
    StoreError,
    StoreMissing,
    StoreUnwritable,
)

WRITER_PATIENCE = 10.0
READER_PATIENCE = 10.0
_FIRST_PAUSE = 0.01
MAX_PAUSE_SECONDS = 0.25
"""The longest wait between two tries for the lock of a file."""

_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")

Settings = Mapping[str, str | int]


@contextmanager
def connected(
    path: Path, *, read_only: bool, patience: float, settings: Settings | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that is closed, and the file's lock with it, at the end of the block.

    A DuckDB file admits one process at a time, so opening is tried again for ``patience`` seconds.
    Raises StoreMissing, NotAStore, NewerStore, StoreBusy or StoreUnwritable.
    """
    connection = _open(path, read_only, patience, settings or {})
    try:
        yield connection
    except (
        duckdb.IOException,
        duckdb.FatalException,
        duckdb.TransactionException,
        OSError,
    ) as error:
        if read_only:
            raise StoreError(
                f"{path} could not be read: {_first_line(error)}", subject=str(path)
            ) from error
        raise StoreUnwritable(
            f"{path} could not be written: {_first_line(error)}", subject=str(path), hint=_SPACE
        ) from error
    finally:
        connection.close()


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the block or nothing."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


_SPACE = "Free some space or make the folder writable, then run the same command again: what was recorded is kept."


def _open(
    path: Path, read_only: bool, patience: float, settings: Settings
) -> duckdb.DuckDBPyConnection:
    deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
    while True:
        if read_only and not path.exists():
            raise missing(path)
        try:
            _check_magic(path)
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            return duckdb.connect(str(path), read_only=read_only, config=dict(settings))
        except (duckdb.Error, OSError) as error:
            refusal = _explain(error, path, read_only)
            if not isinstance(refusal, StoreBusy) or time.monotonic() + pause > deadline:
                raise refusal from None
        time.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE_SECONDS)


def _check_magic(path: Path) -> None:
    """Raise NotAStore for a file that is no DuckDB database; DuckDB would fetch an extension to
    read an SQLite one.
    """
    if path.is_dir():
        raise NotAStore(
            f"{path} is a folder, not a Headwater store",
            subject=str(path),
            hint="Name a file: --store FILE.duckdb",
        )
    if path.exists():
        with path.open("rb") as file:
            if file.read(12)[8:] != b"DUCK":
                raise not_a_store(path)


def missing(path: Path) -> StoreMissing:
    hint = "Run one: headwater run quickstart; or name yours: --store FILE.duckdb"
    return StoreMissing(f"No store here yet ({path}).", subject=str(path), hint=hint)


def _explain(error: Exception, path: Path, read_only: bool) -> StoreError:
    text, subject = str(error), str(path)
    if "Conflicting lock" in text or "different configuration" in text:
        holder = _HOLDER.search(text)
        who = (
            f"{Path(holder['program']).name} (process {holder['pid']})"
            if holder
            else "this process"
        )
        return StoreBusy(
            f"{path} is held by {who}",
            subject=subject,
            hint="Wait for it to finish, or end it, then try again.",
        )
    if "newer version" in text or "version number" in text:
        return NewerStore(
            f"{path} was written by a newer DuckDB",
            subject=subject,
            hint="Upgrade it: pip install --upgrade duckdb",
        )
    if read_only:
        hint = "If it is damaged or cut short, put back a copy, or name another file with --store."
        return StoreError(
            f"{path} could not be read: {_first_line(error)}", subject=subject, hint=hint
        )
    return StoreUnwritable(
        f"{path} could not be opened: {_first_line(error)}", subject=subject, hint=_SPACE
    )


def not_a_store(path: Path) -> NotAStore:
    hint = "Name another file with --store, or move this one away."
    return NotAStore(f"{path} is not a Headwater store", subject=str(path), hint=hint)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
