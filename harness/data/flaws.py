"""Tell the flaws of a task: how many images have some, what they are, and how each was handled."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.registry.cache import cache_folder, write_atomically
from headwater.registry.identity import digest

if TYPE_CHECKING:
    from headwater.registry import Flaw, Task, TaskType


MAX_ITEMS = 4
"""Things that a group of flaws names one by one."""

MORE = "…"


@dataclass(frozen=True)
class Flawed:
    """How many of a task's images have flawed annotations.

    Attributes:
        flawed: How many have some.
        given: How many images there were, by split, before any were left out.
        left_out: How many of them were left out, by split.
    """

    flawed: int
    given: Mapping[str, int]
    left_out: Mapping[str, int]

    @classmethod
    def of(
        cls,
        totals: Mapping[str, int],
        used: Mapping[str, int],
        flaws: Mapping[str, Iterable[Flaw]],
    ) -> Flawed:
        """Count by split, as images of several may have the same name.

        Args:
            totals: How many images there were.
            used: How many of them were not left out.
            flaws: The flaws of their annotations.
        """
        flawed = 0
        left_out: dict[str, int] = {}
        for split, total in totals.items():
            names = {flaw.name for flaw in flaws[split]}
            # Some flaws are about the file that lists the images, and name no image.
            flawed += min(len(names), total)
            left_out[split] = total - used[split]
        return cls(flawed, dict(totals), left_out)

    def __str__(self) -> str:
        total = sum(self.given.values())
        text = f"flawed annotations in {self.flawed:,} of {total:,} images"
        parts: list[str] = []
        for split, count in self.left_out.items():
            if count:
                parts.append(f"{count:,} of {self.given[split]:,} {split}")
        if not parts:
            return text
        return f"{text}, {' and '.join(parts)} images left out"

    def of_task(self, name: str) -> str:
        """Return what a run says of its task, and where to see more."""
        return f"{self}: headwater check {shlex.quote(name)}"


@dataclass(frozen=True)
class FlawGroup:
    """Flaws of one kind, told together.

    Attributes:
        what: What is wrong, with the range of each number.
        handled: How they were handled.
        names: The images.
    """

    what: str
    handled: str
    names: tuple[str, ...]


def grouped(flaws: Sequence[Flaw]) -> list[FlawGroup]:
    """Return flaws of one kind together, the most frequent kind first."""
    by_kind: dict[tuple[str, str], list[Flaw]] = {}
    for flaw in flaws:
        by_kind.setdefault(flaw.kind, []).append(flaw)
    groups = []
    for alike in by_kind.values():
        names = tuple(flaw.name for flaw in alike)
        groups.append(FlawGroup(_told_together(alike), alike[0].handled, names))
    return sorted(groups, key=lambda group: -len(group.names))


def _told_together(flaws: Sequence[Flaw]) -> str:
    """Return ``has 1–3 empty boxes``: as the largest flaw says it, with the range of each number.

    What flaws list is named at the end, each thing once.
    """
    if len({flaw.what for flaw in flaws}) == 1:
        return flaws[0].what
    largest = max(flaws, key=lambda flaw: flaw.numbers)
    numbers = [flaw.numbers for flaw in flaws]
    ranges = [_range(column) for column in zip(*numbers, strict=True)]
    items: list[str] = []
    for flaw in flaws:
        items += flaw.items
    return largest.pattern.format(*ranges, items="") + _listed(items)


def _range(numbers: Sequence[int]) -> str:
    lowest = min(numbers)
    highest = max(numbers)
    if lowest == highest:
        return f"{lowest:,}"
    return f"{lowest:,}–{highest:,}"


def _listed(items: Sequence[str]) -> str:
    """Return distinct things in brackets, at most ``MAX_ITEMS`` of them."""
    if not items:
        return ""
    distinct = [item for item in dict.fromkeys(items) if item != MORE]
    shown = distinct[:MAX_ITEMS]
    if len(distinct) > MAX_ITEMS or MORE in items:
        shown.append(MORE)
    return f" ({', '.join(shown)})"


def remember(task: Task, task_type: TaskType, flawed: Flawed) -> None:
    """Write the count to the cache, so that it can be shown without the data."""
    facts = {"identity": _identity(task, task_type), **asdict(flawed)}
    write_atomically(_file_of(task), lambda path: path.write_text(json.dumps(facts)))


def recall(task: Task, task_type: TaskType) -> Flawed | None:
    """Return the count; None where this machine has not prepared the task as it is now."""
    file = _file_of(task)
    if not file.is_file():
        return None
    facts = json.loads(file.read_text())
    if facts.pop("identity") != _identity(task, task_type):
        return None
    return Flawed(**facts)


def _file_of(task: Task) -> Path:
    return cache_folder("flaws") / f"{digest(task.name)}.json"


def _identity(task: Task, task_type: TaskType) -> str:
    # With the names of the fields: a file of another Headwater may have others.
    names = [field.name for field in fields(Flawed)]
    return digest(task.identity(), task_type.code, names)
