"""Splits: what a task's ``load`` returns, in any of its forms, becomes {"train": Split, "test": Split}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headwater.harness.data.column_values import images_of, names_of, targets_of
from headwater.harness.data.columns import choose_columns
from headwater.registry import Split, Task
from headwater.registry.cards.task import HELD_OUT_SPLITS
from headwater.registry.errors import DataError

TEST_SHARE = 0.3
"""Share held out, by a fixed permutation, where a data set has no split of its own to test on."""


def splits_of(task: Task) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The task's train and test splits, and class names where the data say them.

    Held out is the test split, else the validation split, else a fixed share of train. A validation split
    beside a test split joins train: every choice is made on images of the same budget (SCIENCE §1).
    """
    loaded = _load(task)
    if isinstance(loaded, Split) or not isinstance(loaded, Mapping):
        loaded = {"train": loaded}
    classes = task.classes
    splits: dict[str, Split] = {}
    for name, value in loaded.items():
        split = value if isinstance(value, Split) else _from_dataset(value, task, name)
        splits[str(name)] = _named(split, str(name), task)
        classes = classes or tuple(split.classes)
    return _train_and_test(splits, task), classes


def _load(task: Task) -> Any:
    try:
        return task.load()
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{task.name} could not be loaded: {type(error).__name__}: {error}",
            subject=task.name,
            hint="Run its load() by itself in Python to see the whole traceback.",
        ) from error


def _named(split: Split, name: str, task: Task) -> Split:
    if len(split.images) != len(split.targets):
        message = (
            f"{task.name}: {name} has {len(split.images)} images and {len(split.targets)} targets"
        )
        raise DataError(message, subject=task.name)
    labels = split.names or _RowNames(name, len(split.images))
    total = (
        len(split.images) + len({flaw.name for flaw in split.flaws} - set(labels))
        if split.total is None
        else split.total
    )
    flaws = [replace(flaw, name=f"{task.name}: {flaw.name}") for flaw in split.flaws]
    return replace(
        split, names=[f"{task.name}: {label}" for label in labels], flaws=flaws, total=total
    )


def _train_and_test(splits: dict[str, Split], task: Task) -> dict[str, Split]:
    if "train" not in splits:
        have = ", ".join(splits) or "none"
        raise DataError(
            f"{task.name} has no train split (it has: {have})",
            subject=task.name,
            hint="Name one of its splits train.",
        )
    held_out = next(
        (name for name in HELD_OUT_SPLITS if name in splits and splits[name].total), None
    )
    if held_out is None:
        return _carve(splits["train"])
    train = splits["train"]
    for name in HELD_OUT_SPLITS:
        if name in splits and name != held_out:
            train = _joined(train, splits[name])
    return {"train": train, "test": splits[held_out]}


def _carve(split: Split) -> dict[str, Split]:
    """What loading left out counts as left out of train."""
    order = np.random.default_rng(0).permutation(len(split.images))
    cut = round(len(order) * TEST_SHARE)
    train, test = rows_of(split, order[cut:]), rows_of(split, order[:cut])
    return {
        "train": replace(train, total=total_of(split) - cut),
        "test": replace(test, flaws=(), total=cut),
    }


def total_of(split: Split) -> int:
    """How many images the data set has of it."""
    return len(split.images) if split.total is None else split.total


def rows_of(split: Split, rows: np.ndarray) -> Split:
    """These rows of a split, in its order."""
    rows = np.sort(rows)
    images, targets = _View(split.images, rows), _picked(split.targets, rows)
    return replace(split, images=images, targets=targets, names=[split.names[row] for row in rows])


def _picked(values: Sequence[Any], rows: np.ndarray) -> Sequence[Any]:
    """These of some targets: at once where they are in memory, else (masks in files) when asked for."""
    return [values[row] for row in rows] if _in_memory(values) else _View(values, rows)


def _in_memory(values: Sequence[Any]) -> bool:
    return isinstance(values, list | tuple | np.ndarray)


def _joined(one: Split, two: Split) -> Split:
    in_memory = _in_memory(one.targets) and _in_memory(two.targets)
    targets = [*one.targets, *two.targets] if in_memory else _Joined(one.targets, two.targets)
    images, names, flaws = (
        _Joined(one.images, two.images),
        [*one.names, *two.names],
        [*one.flaws, *two.flaws],
    )
    return Split(
        images, targets, names, flaws, one.classes or two.classes, total_of(one) + total_of(two)
    )


def _from_dataset(dataset: Any, task: Task, split: str) -> Split:
    """A ``datasets.Dataset``: its images and masks undecoded, so that decoding can run in threads."""
    import datasets

    datasets.disable_progress_bars()  # ours is the bar that counts

    if not isinstance(dataset, datasets.Dataset):
        raise DataError(
            f"{task.name}: {split} is of type {type(dataset).__name__}, not a Dataset or a Split",
            subject=task.name,
        )
    found = choose_columns(dataset.features, task)
    images, targets = images_of(dataset, found.image), targets_of(dataset, found.target)
    return Split(images, targets, names_of(dataset, split), classes=found.classes)


@dataclass(frozen=True)
class _RowNames(Sequence[str]):
    split: str
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, row: Any) -> Any:
        if not 0 <= row < self.length:
            raise IndexError(row)
        return f"{self.split} image {row}"


@dataclass(frozen=True)
class _View(Sequence[Any]):
    images: Sequence[Any]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any) -> Any:
        return self.images[int(self.rows[row])]


@dataclass(frozen=True)
class _Joined(Sequence[Any]):
    one: Sequence[Any]
    two: Sequence[Any]

    def __len__(self) -> int:
        return len(self.one) + len(self.two)

    def __getitem__(self, row: Any) -> Any:
        return self.one[row] if row < len(self.one) else self.two[row - len(self.one)]
