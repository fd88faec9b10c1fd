"""Read the columns of a data set in the forms that ``headwater.Split`` wants, each value when it is
asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.registry.columns import is_a, object_keys

if TYPE_CHECKING:
    from datasets import Dataset

NAMES = ("image_id", "file_name", "filename", "image_path", "path")
"""Columns that say which image a row is."""


@dataclass(frozen=True)
class LazyColumn(Sequence[Any]):
    """A column's values, read when they are asked for: images undecoded, so that decoding can run
    in threads.
    """

    dataset: Dataset
    name: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: Any) -> Any:
        return self.dataset[int(row)][self.name]


def images_of(dataset: Dataset, column: str) -> LazyColumn:
    """Return a column of images, or of what can be read as images (paths, encoded bytes),
    undecoded.
    """
    import datasets

    alone = dataset.select_columns([column])
    return LazyColumn(alone.cast_column(column, datasets.Image(decode=False)), column)


def targets_of(dataset: Dataset, column: str) -> Sequence[Any]:
    """Return a column of targets in the form that ``headwater.Split`` wants.

    Masks stay undecoded and lazy; objects come by ``bbox`` and ``category``.
    """
    feature = dataset.features[column]
    if is_a(feature, "Image"):
        return images_of(dataset, column)
    if is_a(feature, "Array2D", "Array3D"):
        return LazyColumn(dataset.select_columns([column]).with_format("numpy"), column)
    values = list(dataset[column])
    keys = object_keys(feature)
    return [_objects(value, *keys) for value in values] if keys else values


def _objects(value: Any, boxes: str, categories: str) -> dict[str, Any] | None:
    """Return an image's objects, a list of them or lists of their parts, by ``bbox`` and
    ``category``.

    None stays None: it means that nobody looked, not that there are no objects.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {"bbox": value[boxes], "category": value[categories]}
    return {
        "bbox": [each[boxes] for each in value],
        "category": [each[categories] for each in value],
    }


def names_of(dataset: Dataset, split: str) -> Sequence[str]:
    """Return each row's name: its place, with the file name or identifier in ``NAMES``; () where no
    column has one.
    """
    import datasets

    for column in NAMES:
        feature = dataset.features.get(column)
        is_text = isinstance(feature, datasets.Value) and feature.dtype in (
            "string",
            "large_string",
        )
        if is_text:
            values = enumerate(dataset[column])
            return [f"{split} image {row} ({value})" for row, value in values]
    return ()
