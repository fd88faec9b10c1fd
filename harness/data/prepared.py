"""Prepared data: a task decoded once per node at one image size, mapped by every job that needs it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from headwater.harness.data.decoding import decode_all, shape_of
from headwater.harness.data.flaws import Flawed, remember
from headwater.harness.data.splits import rows_of, splits_of, total_of
from headwater.registry import Annotations, Encoded, Flaw, Split, Task, TaskType
from headwater.registry.cache import cache_folder
from headwater.registry.errors import DataError
from headwater.registry.identity import digest

_VERSION = 5
"""Raised when decoding, resizing or what is kept beside them changes."""


@dataclass(frozen=True)
class PreparedSplit:
    """images (N, S, S, 3) uint8 and targets (N, ...), memory-mapped."""

    images: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Prepared:
    """A task ready to train on. ``decoded``: how many images had to be decoded for it, 0 where the node had them already.

    ``flaws``: what was wrong with its annotations, image by image; ``flawed``: of how many images, None where nothing was.
    """

    key: str
    train: PreparedSplit
    test: PreparedSplit
    classes: tuple[str, ...]
    outputs: int
    decoded: int = 0
    flaws: tuple[Flaw, ...] = ()
    flawed: Flawed | None = None


def prepare(task: Task, task_type: TaskType, image_size: int, threads: int = 1) -> Prepared:
    """Decode a task into the node's cache, or map what is there; raises DataError for data that cannot be used."""
    key = digest(_VERSION, task.identity(), task_type.code, image_size)
    folder, decoded = cache_folder("data") / key, 0
    if not (folder / "facts.json").is_file():
        # One process decodes, others wait. The lock dies with its process.
        with FileLock(f"{folder}.lock"):
            if not (folder / "facts.json").is_file():
                decoded = _decode_into(folder, task, task_type, image_size, threads)
    facts = json.loads((folder / "facts.json").read_text())
    train, test = (_map(folder, name) for name in ("train", "test"))
    flaws = tuple(Flaw(**flaw) for flaw in facts["flaws"])
    flawed = Flawed(**facts["flawed"]) if flaws else None
    return Prepared(
        key, train, test, tuple(facts["classes"]), facts["outputs"], decoded, flaws, flawed
    )


def _map(folder: Path, name: str) -> PreparedSplit:
    images = np.load(folder / f"{name}.images.npy", mmap_mode="r")
    # Copy-on-write: torch takes no read-only arrays. Nobody writes.
    return PreparedSplit(
        images, np.load(folder / f"{name}.targets.npy", mmap_mode="c").view(np.ndarray)
    )


@dataclass(frozen=True)
class UsableData:
    """What of a task can be used: its splits with the images that their annotations leave, targets with their flaws, and the classes.

    The splits' ``given`` says how many images there were.
    """

    splits: Mapping[str, Split]
    found: Mapping[str, Encoded]
    classes: tuple[str, ...]

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        return tuple(flaw for name in self.splits for flaw in self.found[name].flaws)

    @property
    def flawed(self) -> Flawed:
        given = {name: total_of(split) for name, split in self.splits.items()}
        kept = {name: len(split.images) for name, split in self.splits.items()}
        return Flawed.of(given, kept, {name: self.found[name].flaws for name in self.splits})


def load_usable(task: Task, task_type: TaskType, image_size: int) -> UsableData:
    """How many are flawed is remembered. Raises DataError for annotations that cannot be understood, or leave no image of a split."""
    splits, classes = splits_of(task)
    classes = classes or task_type.methods.classes(
        [*splits["train"].targets, *splits["test"].targets], task
    )
    found = {
        name: _encoded(task, task_type, image_size, split, name, classes)
        for name, split in splits.items()
    }
    kept = UsableData(
        {name: _kept(split, found[name]) for name, split in splits.items()}, found, classes
    )
    remember(task, task_type, kept.flawed)
    return kept


def _kept(split: Split, found: Encoded) -> Split:
    return split if found.rows is None else rows_of(split, found.rows)


def _encoded(
    task: Task,
    task_type: TaskType,
    image_size: int,
    split: Split,
    name: str,
    classes: tuple[str, ...],
) -> Encoded:
    if not len(split.images) and not split.flaws:
        raise DataError(f"{task.name} has no images in its {name} split", subject=task.name)

    def shape(row: int) -> tuple[int, int]:
        return shape_of(split.images[row], split.names[row])

    found = Encoded(np.empty(0))
    if len(split.images):
        found = task_type.methods.encode(
            Annotations(task, split.targets, split.names, classes, image_size, shape)
        )
    found = replace(found, flaws=(*split.flaws, *found.flaws))
    if not len(found.targets):
        why = f": {found.flaws[0].name} {found.flaws[0].what}" if found.flaws else ""
        hint = "Is it of another type (type=…), or written in another way than its type expects?"
        raise DataError(
            f"{task.name}: no image of its {name} split can be used{why}",
            subject=task.name,
            hint=hint,
        )
    return found


def _decode_into(
    folder: Path, task: Task, task_type: TaskType, image_size: int, threads: int
) -> int:
    """Decode both splits and say how many images that were."""
    kept = load_usable(task, task_type, image_size)
    folder.mkdir(parents=True, exist_ok=True)
    outputs = _outputs(task, task_type, kept.found["train"].targets, kept.classes)
    for name, split in kept.splits.items():
        shape = (len(split.images), image_size, image_size, 3)
        temporary = folder / f".{name}.{os.getpid()}.npy"
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        try:
            decode_all(
                split.images, split.names, image_size, images, threads, whole=task_type.dense
            )
            images.flush()
            temporary.replace(folder / f"{name}.images.npy")
        finally:
            temporary.unlink(missing_ok=True)
        np.save(folder / f"{name}.targets.npy", kept.found[name].targets)
    facts = {
        "task": task.name,
        "classes": kept.classes,
        "outputs": outputs,
        "flawed": asdict(kept.flawed),
    }
    # Written last: its presence says that the rest is whole.
    (folder / "facts.json").write_text(
        json.dumps({**facts, "flaws": [asdict(flaw) for flaw in kept.flaws]})
    )
    return sum(len(split.images) for split in kept.splits.values())


def _outputs(task: Task, task_type: TaskType, targets: np.ndarray, classes: tuple[str, ...]) -> int:
    try:
        return task_type.methods.outputs(targets, classes)
    except DataError as error:
        raise DataError(
            f"{task.name}: {error.message}", subject=task.name, hint=error.hint
        ) from None
