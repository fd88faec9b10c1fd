"""Prepared data: a task decoded once per node at one image size, mapped by every job that needs it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from harness.data.decoding import decode_all
from harness.data.splits import splits_of
from registry import Task, TaskType
from registry.cache import cache_folder
from registry.errors import DataError
from registry.identity import digest

_VERSION = 1
"""Raised when decoding or resizing changes."""


@dataclass(frozen=True)
class PreparedSplit:
    """images (N, S, S, 3) uint8 memory-mapped, targets (N, ...)."""

    images: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Prepared:
    """A task ready to train on. ``decoded``: how many images had to be decoded for it, 0 where the node had them already."""

    key: str
    train: PreparedSplit
    test: PreparedSplit
    classes: tuple[str, ...]
    outputs: int
    decoded: int = 0


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
    return Prepared(key, train, test, tuple(facts["classes"]), facts["outputs"], decoded)


def _map(folder: Path, name: str) -> PreparedSplit:
    return PreparedSplit(np.load(folder / f"{name}.images.npy", mmap_mode="r"), np.load(folder / f"{name}.targets.npy"))


def _decode_into(folder: Path, task: Task, task_type: TaskType, image_size: int, threads: int) -> int:
    """Decode both splits and say how many images that were."""
    splits, classes = splits_of(task)
    classes = classes or task_type.methods.classes([*splits["train"].targets, *splits["test"].targets])
    folder.mkdir(parents=True, exist_ok=True)
    encoded = {}
    for name, split in splits.items():
        if not len(split.images):
            raise DataError(f"{task.name} has no images in its {name} split", subject=task.name)
        encoded[name] = task_type.methods.encode(split.targets, classes, split.names)
    outputs = _outputs(task, task_type, encoded["train"], classes)
    _check_strata(task, task_type, encoded["train"], classes)
    for name, split in splits.items():
        shape = (len(split.images), image_size, image_size, 3)
        temporary = folder / f".{name}.{os.getpid()}.npy"
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        try:
            decode_all(split.images, split.names, image_size, images, threads)
            images.flush()
            temporary.replace(folder / f"{name}.images.npy")
        finally:
            temporary.unlink(missing_ok=True)
        np.save(folder / f"{name}.targets.npy", encoded[name])
    # Written last: its presence says that the rest is whole.
    (folder / "facts.json").write_text(json.dumps({"task": task.name, "classes": classes, "outputs": outputs}))
    return sum(len(split.images) for split in splits.values())


def _outputs(task: Task, task_type: TaskType, targets: np.ndarray, classes: tuple[str, ...]) -> int:
    try:
        return task_type.methods.outputs(targets, classes)
    except DataError as error:
        raise DataError(f"{task.name}: {error.message}", subject=task.name, hint=error.hint) from None


def _check_strata(task: Task, task_type: TaskType, targets: np.ndarray, classes: tuple[str, ...]) -> None:
    strata = task_type.methods.strata(targets)
    empty = sorted(set(range(len(classes))) - set(np.unique(strata).tolist()))
    if empty:
        named = ", ".join(str(classes[index]) for index in empty[:5])
        raise DataError(
            f"{task.name}: no training image of {named}",
            subject=task.name,
            hint="Add images of that class, or leave the class out of the data set.",
        )
