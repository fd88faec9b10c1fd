"""Decode a task once per node at one image size, for every job that needs it to map.

A folder of the cache holds the images and targets of both splits as .npy files, and ``facts.json``.
The folder's name is a digest of all that decides its content: the task, the code of its type, the
image size and ``_VERSION``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from headwater.harness.data.decoding import decode_all, shape_of
from headwater.harness.data.flaws import Flawed, remember
from headwater.harness.data.splits import rows_of, splits_of, total_of
from headwater.registry import Annotations, Encoded, Flaw, Split, Task, TaskType
from headwater.registry.cache import cache_folder
from headwater.registry.errors import DataError
from headwater.registry.identity import digest

_VERSION = 6
"""Raised when decoding, resizing or what is kept beside them changes."""


@dataclass(frozen=True)
class PreparedSplit:
    """Images (N, S, S, 3) uint8 and encoded targets (N, ...), memory-mapped."""

    images: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Prepared:
    """A task ready to train on.

    Attributes:
        key: Names the folder of the cache.
        outputs: Number of outputs that a head for the task has.
        decoded: Number of images that had to be decoded, 0 where the node had them already.
        flaws: What is wrong with the annotations, image by image.
        flawed: How many images have flaws; None where none has.
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
    """Map a task's images and targets; what the node's cache does not have is decoded into it.

    Args:
        task: The task.
        task_type: Its type, which encodes the targets.
        image_size: Side of the images, in pixels.
        threads: Threads that decode.

    Raises:
        DataError: The data cannot be used.
    """
    key = digest(_VERSION, task.identity(), task_type.code, image_size)
    folder = cache_folder("data") / key
    decoded = 0
    if not (folder / "facts.json").is_file():
        # One process decodes, others wait. The lock dies with its process.
        with FileLock(f"{folder}.lock"):
            if not (folder / "facts.json").is_file():
                decoded = _decode_into(folder, task, task_type, image_size, threads)
    facts = json.loads((folder / "facts.json").read_text())
    flaws = tuple(_as_flaw(flaw) for flaw in facts["flaws"])
    return Prepared(
        key=key,
        train=_map(folder, "train"),
        test=_map(folder, "test"),
        classes=tuple(facts["classes"]),
        outputs=facts["outputs"],
        decoded=decoded,
        flaws=flaws,
        flawed=Flawed(**facts["flawed"]) if flaws else None,
    )


def _map(folder: Path, name: str) -> PreparedSplit:
    images = np.load(folder / f"{name}.images.npy", mmap_mode="r")
    # Mapped copy-on-write, as torch takes no read-only arrays; nobody writes.
    targets = np.load(folder / f"{name}.targets.npy", mmap_mode="c")
    return PreparedSplit(images, targets.view(np.ndarray))


@dataclass(frozen=True)
class UsableData:
    """The usable part of a task's data.

    Attributes:
        splits: Both splits, with the images that their annotations leave; ``total`` says how many
            images there were.
        encoded: The targets of each split, with their flaws.
        classes: The names of the classes.
    """

    splits: Mapping[str, Split]
    encoded: Mapping[str, Encoded]
    classes: tuple[str, ...]

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """The flaws of both splits."""
        return tuple(flaw for name in self.splits for flaw in self.encoded[name].flaws)

    @property
    def flawed(self) -> Flawed:
        """How many images have flaws, and how many were left out."""
        totals = {name: total_of(split) for name, split in self.splits.items()}
        used = {name: len(split.images) for name, split in self.splits.items()}
        return Flawed.of(totals, used, {name: self.encoded[name].flaws for name in self.splits})


def load_usable(task: Task, task_type: TaskType, image_size: int) -> UsableData:
    """Load a task and encode its targets, without decoding its images; remember how many images
    have flaws.

    Raises:
        DataError: The annotations cannot be understood, or leave no image of a split.
    """
    splits, classes = splits_of(task, task_type)
    if not classes:
        targets = [*splits["train"].targets, *splits["test"].targets]
        classes = task_type.methods.classes(targets, task)
    used: dict[str, Split] = {}
    encoded: dict[str, Encoded] = {}
    for name, split in splits.items():
        annotations = Annotations(
            task=task,
            targets=split.targets,
            names=split.names,
            classes=classes,
            image_size=image_size,
            shape=_shape_reader(split),
        )
        encoded[name] = _encode(annotations, task_type, split, name)
    for name, split in splits.items():
        rows = encoded[name].rows
        used[name] = split if rows is None else rows_of(split, rows)
    usable = UsableData(used, encoded, classes)
    remember(task, task_type, usable.flawed)
    return usable


def _shape_reader(split: Split) -> Callable[[int], tuple[int, int]]:
    """Return a function that reads the (width, height) of a row's image from its header."""

    def shape(row: int) -> tuple[int, int]:
        return shape_of(split.images[row], split.names[row])

    return shape


def _encode(annotations: Annotations, task_type: TaskType, split: Split, name: str) -> Encoded:
    """Encode a split's targets, adding the flaws that loading noted; raises DataError where no
    image is left.
    """
    task = annotations.task
    if not len(split.images) and not split.flaws:
        raise DataError(f"{task.name} has no images in its {name} split", subject=task.name)
    encoded = Encoded(np.empty(0))
    if len(split.images):
        encoded = task_type.methods.encode(annotations)
    encoded = replace(encoded, flaws=(*split.flaws, *encoded.flaws))
    if not len(encoded.targets):
        reason = ""
        if encoded.flaws:
            reason = f": {encoded.flaws[0].name} {encoded.flaws[0].what}"
        raise DataError(
            f"{task.name}: no image of its {name} split can be used{reason}",
            subject=task.name,
            hint="Is it of another type (type=…), or written in another way than its type expects?",
        )
    return encoded


def _as_flaw(facts: dict[str, Any]) -> Flaw:
    """Return a flaw from its facts in JSON, which has lists in place of tuples."""
    numbers = tuple(facts.pop("numbers"))
    items = tuple(facts.pop("items"))
    return Flaw(**facts, numbers=numbers, items=items)


def _decode_into(
    folder: Path, task: Task, task_type: TaskType, image_size: int, threads: int
) -> int:
    """Decode both splits into a folder and return the number of images."""
    usable = load_usable(task, task_type, image_size)
    folder.mkdir(parents=True, exist_ok=True)
    outputs = _outputs(task, task_type, usable)
    for name, split in usable.splits.items():
        shape = (len(split.images), image_size, image_size, 3)
        temporary = folder / f".{name}.{os.getpid()}.npy"
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        try:
            decode_all(
                split.images,
                split.names,
                image_size,
                images,
                threads=threads,
                whole=task_type.dense,
            )
            images.flush()
            temporary.replace(folder / f"{name}.images.npy")
        finally:
            temporary.unlink(missing_ok=True)
        np.save(folder / f"{name}.targets.npy", usable.encoded[name].targets)
    facts = {
        "task": task.name,
        "classes": usable.classes,
        "outputs": outputs,
        "flawed": asdict(usable.flawed),
        "flaws": [asdict(flaw) for flaw in usable.flaws],
    }
    # Written last: its presence says that the rest is whole.
    (folder / "facts.json").write_text(json.dumps(facts))
    return sum(len(split.images) for split in usable.splits.values())


def _outputs(task: Task, task_type: TaskType, usable: UsableData) -> int:
    try:
        return task_type.methods.outputs(usable.encoded["train"].targets, usable.classes)
    except DataError as error:
        message = f"{task.name}: {error.message}"
        raise DataError(message, subject=task.name, hint=error.hint) from None
