"""Turn what a task's ``load`` returns, in any of its forms, into {"train": Split, "test": Split}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headwater.harness.data.column_values import images_of, names_of, targets_of
from headwater.harness.data.columns import choose_columns
from headwater.registry import Split, Task, TaskType
from headwater.registry.cards.card import wrong_return
from headwater.registry.cards.task import HELD_OUT_SPLITS
from headwater.registry.errors import DataError, HeadwaterError

TEST_SHARE = 0.3
"""Share held out, by a fixed permutation, where a data set has no split of its own to test on."""


def splits_of(
    task: Task, task_type: TaskType | None = None
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Load a task's train and test splits, and the class names where the data has them.

    ``task_type`` is the registered one by default.

    The test split is the data set's own, else its validation split, else a fixed share of train. A
    validation split beside a test split joins train: every choice is made on images of the same
    budget (SCIENCE §1).
    """
    loaded = _load(task)
    if isinstance(loaded, Split) or not isinstance(loaded, Mapping):
        loaded = {"train": loaded}
    classes = task.classes
    splits: dict[str, Split] = {}
    for name, value in loaded.items():
        split = value if isinstance(value, Split) else _from_dataset(value, task, name, task_type)
        splits[str(name)] = _named(split, str(name), task)
        classes = classes or tuple(split.classes)
    return _train_and_test(splits, task), classes


def _load(task: Task) -> Any:
    try:
        return task.load()
    except HeadwaterError:
        raise
    except Exception as error:
        raise DataError(
            f"{task.name} could not be loaded: {type(error).__name__}: {error}",
            subject=task.name,
            hint="Run its load() by itself in Python to see the whole traceback.",
        ) from error


def _named(split: Split, name: str, task: Task) -> Split:
    """Name each row and each flaw after its task, and count the images before any were dropped."""
    for values in (split.images, split.targets):
        if not hasattr(values, "__len__") or not hasattr(values, "__getitem__"):
            words = f"a sequence of images and one of targets (for {name})"
            raise wrong_return(task.name, values, words, method="load")
    if len(split.images) != len(split.targets):
        raise DataError(
            f"{task.name}: {name} has {len(split.images)} images and {len(split.targets)} targets",
            subject=task.name,
        )
    row_names = split.names or _RowNames(name, len(split.images))
    total = split.total
    if total is None:
        # Images that only a flaw names were dropped before they came here.
        dropped = {flaw.name for flaw in split.flaws} - set(row_names)
        total = len(split.images) + len(dropped)
    flaws = [replace(flaw, name=f"{task.name}: {flaw.name}") for flaw in split.flaws]
    names = [f"{task.name}: {row_name}" for row_name in row_names]
    return replace(split, names=names, flaws=flaws, total=total)


def _train_and_test(splits: dict[str, Split], task: Task) -> dict[str, Split]:
    if "train" not in splits:
        available = ", ".join(splits) or "none"
        raise DataError(
            f"{task.name} has no train split (it has: {available})",
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
    """Hold out a fixed share of a split for test; images that loading dropped count as dropped from
    train.
    """
    order = np.random.default_rng(0).permutation(len(split.images))
    cut = round(len(order) * TEST_SHARE)
    train = rows_of(split, order[cut:])
    test = rows_of(split, order[:cut])
    return {
        "train": replace(train, total=total_of(split) - cut),
        "test": replace(test, flaws=(), total=cut),
    }


def total_of(split: Split) -> int:
    """Return the number of images that the data set has in a split, before any were dropped."""
    return len(split.images) if split.total is None else split.total


def rows_of(split: Split, rows: np.ndarray) -> Split:
    """Return some rows of a split, in its order."""
    rows = np.sort(rows)
    names = [split.names[row] for row in rows]
    images = _View(split.images, rows)
    return replace(split, images=images, targets=_picked(split.targets, rows), names=names)


def _picked(values: Sequence[Any], rows: np.ndarray) -> Sequence[Any]:
    """Return some rows of targets: at once where they are in memory, else (masks in files) when
    they are asked for.
    """
    return [values[row] for row in rows] if _in_memory(values) else _View(values, rows)


def _in_memory(values: Sequence[Any]) -> bool:
    return isinstance(values, list | tuple | np.ndarray)


def _joined(first: Split, second: Split) -> Split:
    """Return two splits as one, the second after the first."""
    targets: Sequence[Any]
    if _in_memory(first.targets) and _in_memory(second.targets):
        targets = [*first.targets, *second.targets]
    else:
        targets = _Joined(first.targets, second.targets)
    return Split(
        images=_Joined(first.images, second.images),
        targets=targets,
        names=[*first.names, *second.names],
        flaws=[*first.flaws, *second.flaws],
        classes=first.classes or second.classes,
        total=total_of(first) + total_of(second),
    )


def _from_dataset(dataset: Any, task: Task, split: str, task_type: TaskType | None) -> Split:
    """Turn a ``datasets.Dataset`` into a split; images and masks stay undecoded, so that decoding
    can run in threads.
    """
    import datasets

    datasets.disable_progress_bars()  # the run shows a progress of its own

    if not isinstance(dataset, datasets.Dataset):
        raise wrong_return(
            task.name,
            dataset,
            f"a datasets.Dataset or a headwater.Split (for {split})",
            method="load",
        )
    columns = choose_columns(dataset.features, task, task_type)
    return Split(
        images=images_of(dataset, columns.image),
        targets=targets_of(dataset, columns.target),
        names=names_of(dataset, split),
        classes=columns.classes,
    )


@dataclass(frozen=True)
class _RowNames(Sequence[str]):
    """Names rows by their place, where a data set has no names."""

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
    """Some rows of a sequence, read when they are asked for."""

    values: Sequence[Any]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any) -> Any:
        return self.values[int(self.rows[row])]


@dataclass(frozen=True)
class _Joined(Sequence[Any]):
    """Sequences one after another, read when they are asked for."""

    first: Sequence[Any]
    second: Sequence[Any]

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, row: Any) -> Any:
        if row < len(self.first):
            return self.first[row]
        return self.second[row - len(self.first)]
