"""The journal: outcomes on their way into the store, as JSON lines beside it.

An outcome is appended here the moment it is known and goes into the database with the next
transaction, so that a killed driver, a busy file or a full disk costs nothing: whoever next opens
the store to write takes in what waits. Where the store's folder cannot be written the journal lies
in the temporary folder.
"""

from __future__ import annotations

import getpass
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from headwater.leaderboard.store.records import (
    CurvePoint,
    Measurement,
    Outcome,
    State,
    Trial,
)
from headwater.registry.cards.analysis import Reading
from headwater.registry.errors import StoreUnwritable
from headwater.registry.identity import digest

try:
    import fcntl
except ImportError:  # Windows: one driver at a time
    fcntl = None  # type: ignore[assignment]


def places(store: Path) -> tuple[Path, Path]:
    """Return where a store's journal may lie: beside it, or in this user's temporary folder."""
    name = f"{store.name}.pending.jsonl"
    refuge = (
        Path(tempfile.gettempdir())
        / f"headwater-{getpass.getuser()}"
        / digest(str(store.resolve()))
    )
    return store.with_name(name), refuge / name


def append(store: Path, outcome: Outcome) -> Path:
    """Add an outcome and say where it lies; raises StoreUnwritable where no place takes it."""
    line = (_line(outcome) + "\n").encode()
    trouble: OSError | None = None
    for place in places(store):
        try:
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _append(place, line)
        except OSError as error:
            trouble = error
        else:
            return place
    hint = "Free some space; what was recorded before is kept."
    raise StoreUnwritable(
        f"neither {places(store)[0]} nor {places(store)[1]} can be written: {trouble}",
        subject=str(store),
        hint=hint,
    )


def _append(place: Path, line: bytes) -> None:
    while True:
        file = os.open(
            place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600
        )
        try:
            _lock(file)
            if _is_still(place, file):  # else another driver took it in between opening and locking
                if os.write(file, line) < len(line):
                    os.write(file, b"\n")  # whatever was cut short must not swallow the next line
                    raise OSError("the disk is full")
                return
        finally:
            os.close(file)


def _lock(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_still(place: Path, file: int) -> bool:
    try:
        return os.path.samestat(place.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class PendingOutcomes:
    """Outcomes taken out of a journal, not yet in the store; ``unreadable`` are lines cut short by
    a crash.
    """

    place: Path
    outcomes: Sequence[Outcome]
    unreadable: Sequence[str]

    def settle(self, refused: Sequence[tuple[Outcome, str]]) -> None:
        """Drop them, once they are committed; what the store refused is kept beside it in
        ``*.refused.jsonl``.
        """
        lines = [*self.unreadable, *(_line(outcome, refused=why) for outcome, why in refused)]
        if lines:
            with self.place.with_name(
                self.place.name.replace(".pending.jsonl.taken", ".refused.jsonl")
            ).open("a") as file:
                file.writelines(f"{line}\n" for line in lines)
        self.place.unlink()


def waiting(store: Path) -> Iterator[PendingOutcomes]:
    """Yield what waits for this store, oldest first. The caller holds the store's lock, so that one
    process takes it in.
    """
    for place in places(store):
        taken = place.with_name(f"{place.name}.taken")
        if _is_mine(taken):  # by a process that died before it committed
            yield _read(taken)
        if _is_mine(place):
            _take(place, taken)
            yield _read(taken)


def _is_mine(place: Path) -> bool:
    """Return whether there is a journal of this user's; the temporary folder is open to others."""
    try:
        found = place.lstat()
    except OSError:
        return False
    return not hasattr(os, "getuid") or found.st_uid == os.getuid() or os.getuid() == 0


def _take(place: Path, taken: Path) -> None:
    file = os.open(place, os.O_RDONLY)
    try:
        _lock(file)
        place.replace(taken)
    finally:
        os.close(file)


def _read(place: Path) -> PendingOutcomes:
    outcomes, unreadable = [], []
    for line in place.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            outcomes.append(_from_row(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            unreadable.append(line)
    return PendingOutcomes(place, outcomes, [line for line in unreadable if line])


def _line(outcome: Outcome, **more: str) -> str:
    return json.dumps(
        _as_row(outcome) | more,
        default=lambda value: value.item() if hasattr(value, "item") else str(value),
    )


def _as_row(outcome: Outcome) -> dict[str, Any]:
    row = {field.name: getattr(outcome, field.name) for field in fields(outcome)}
    row["started"] = outcome.started and outcome.started.astimezone().isoformat()
    row["metrics"] = [[m.split, m.metric, m.value] for m in outcome.metrics]
    row["curves"] = [[p.epoch, p.split, p.metric, p.value] for p in outcome.curves]
    row["readings"] = [vars(reading) for reading in outcome.readings]
    row["trials"] = [vars(trial) | {"config": dict(trial.config)} for trial in outcome.trials]
    return row | {"artifacts": dict(outcome.artifacts), "choice": dict(outcome.choice)}


def _from_row(row: dict[str, Any]) -> Outcome:
    row |= {
        "state": State(row["state"]),
        "started": row["started"] and datetime.fromisoformat(row["started"]),
        "metrics": tuple(Measurement(*values) for values in row["metrics"]),
        "curves": tuple(CurvePoint(*values) for values in row["curves"]),
        "readings": tuple(Reading(**values) for values in row.get("readings", ())),
        "trials": tuple(Trial(**values) for values in row.get("trials", ())),
        "flaws": tuple(row.get("flaws", ())),
    }
    return Outcome(**row)
