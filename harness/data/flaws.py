"""Flaws as people read them: how many images of a task have some, what they are, and how each was
handled.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.registry.cache import cache_folder, write_atomically
from headwater.registry.identity import digest

if TYPE_CHECKING:
    from headwater.registry import Flaw, Task, TaskType


_ASIDE = re.compile(r" \(((?:[^()]|\([^()]*\))*)\)")
"""Brackets, with such as may be in what they list: ``('light (red)')``."""

LISTED = 4
_NUMBER = re.compile(r"\d+(?:,\d{3})*")


@dataclass(frozen=True)
class Flawed:
    """How many of a task's images have flawed annotations; by split, how many were ``given`` and
    how many of them ``left_out``.
    """

    flawed: int
    given: Mapping[str, int]
    left_out: Mapping[str, int]

    @classmethod
    def of(
        cls, given: Mapping[str, int], kept: Mapping[str, int], flaws: Mapping[str, Iterable[Flaw]]
    ) -> Flawed:
        """All by split, as images of several may have the same name."""
        names = {split: {flaw.name for flaw in found} for split, found in flaws.items()}
        flawed = sum(
            min(len(names[split]), count) for split, count in given.items()
        )  # some are about the file that lists the images
        return cls(
            flawed, dict(given), {split: count - kept[split] for split, count in given.items()}
        )

    def __str__(self) -> str:
        out = " and ".join(
            f"{count:,} of {self.given[split]:,} {split}"
            for split, count in self.left_out.items()
            if count
        )
        said = f"flawed annotations in {self.flawed:,} of {sum(self.given.values()):,} images"
        return f"{said}, {out} images left out" if out else said

    def of_task(self, name: str) -> str:
        """What a run says of its task, and where to see more."""
        return f"{self}: headwater check {shlex.quote(name)}"


@dataclass(frozen=True)
class FlawGroup:
    """Flaws of one kind: ``what`` they are, from the least to the largest number, how they were
    ``handled``, what they are about.
    """

    what: str
    handled: str
    names: tuple[str, ...]


def grouped(flaws: Sequence[Flaw]) -> list[FlawGroup]:
    """Flaws that differ in their numbers only, together; the most frequent first."""
    found: dict[tuple[str, str], list[Flaw]] = {}
    for flaw in flaws:
        found.setdefault((_kind(flaw.what), flaw.handled), []).append(flaw)
    groups = [
        FlawGroup(
            _together([flaw.what for flaw in same]), handled, tuple(flaw.name for flaw in same)
        )
        for (_, handled), same in found.items()
    ]
    return sorted(groups, key=lambda group: -len(group.names))


def _kind(what: str) -> str:
    """``has 2 boxes of no known category ('x')`` and ``has 1 box of no known category ('y')`` are
    of a kind.
    """
    return re.sub(r"(es|s)+\b", "", _NUMBER.sub("N", _ASIDE.sub("", what)))


def _together(whats: Sequence[str]) -> str:
    """``has 1–3 boxes empty``: as the largest says it, with the range of numbers where they differ."""
    if len(set(whats)) == 1:
        return whats[0]
    bare = [_ASIDE.sub("", what) for what in whats]
    if bare != list(whats):  # what stands in brackets is listed, not counted
        asides = dict.fromkeys(
            part for what in whats for aside in _ASIDE.findall(what) for part in aside.split(", ")
        )
        named, more = [part for part in asides if part != "…"], "…" in asides
        return f"{_together(bare)} ({', '.join(named[:LISTED])}{', …' if more or len(named) > LISTED else ''})"
    numbers = [[int(number.replace(",", "")) for number in _NUMBER.findall(what)] for what in whats]
    largest = whats[max(range(len(whats)), key=lambda row: numbers[row])]
    if len({len(row) for row in numbers}) > 1:
        return largest
    ranges = (
        f"{min(column):,}–{max(column):,}" if min(column) < max(column) else None
        for column in zip(*numbers, strict=True)
    )
    return _NUMBER.sub(lambda number: next(ranges) or number[0], largest)


def remember(task: Task, task_type: TaskType, flawed: Flawed) -> None:
    """Keep the count, so that it is known without the data."""
    kept = {"identity": _identity(task, task_type), **asdict(flawed)}
    write_atomically(_kept(task), lambda path: path.write_text(json.dumps(kept)))


def known(task: Task, task_type: TaskType) -> Flawed | None:
    """The count where this machine has prepared the task as it is now."""
    if not (kept := _kept(task)).is_file():
        return None
    facts = json.loads(kept.read_text())
    return Flawed(**facts) if facts.pop("identity") == _identity(task, task_type) else None


def _kept(task: Task) -> Path:
    return cache_folder("flaws") / f"{digest(task.name)}.json"


def _identity(task: Task, task_type: TaskType) -> str:
    return digest(task.identity(), task_type.code, [field.name for field in fields(Flawed)])
