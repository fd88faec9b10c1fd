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
    ranges = [_range(column) for column in zip(*(flaw.numbers for flaw in flaws), strict=True)]
    listed = _listed([item for flaw in flaws for item in flaw.items])
    return largest.pattern.format(*ranges, items="") + listed


def _range(numbers: Sequence[int]) -> str:
    lowest, highest = min(numbers), max(numbers)
    return f"{lowest:,}" if lowest == highest else f"{lowest:,}–{highest:,}"


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
