"""Values: what the columns of a data set hold, in the forms that ``registry.Split`` says, read when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.harness.data.columns import is_a, object_keys

if TYPE_CHECKING:
    from datasets import Dataset

NAMES = ("image_id", "file_name", "filename", "image_path", "path")
"""Columns that say which image a row is."""


@dataclass(frozen=True)
class LazyColumn(Sequence[Any]):
    """A column's values, read when asked for: images undecoded, so that decoding can run in threads."""

    dataset: Dataset
    name: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: Any) -> Any:
        return self.dataset[int(row)][self.name]


def images_of(dataset: Dataset, column: str) -> LazyColumn:
    """A column of images, or of what can be read as them (paths, encoded bytes), undecoded."""
    import datasets

    return LazyColumn(
        dataset.select_columns([column]).cast_column(column, datasets.Image(decode=False)), column
    )


def targets_of(dataset: Dataset, column: str) -> Sequence[Any]:
    """A column of targets in the form that ``registry.Split`` says: masks undecoded and lazy, objects by ``bbox`` and ``category``."""
    feature = dataset.features[column]
    if is_a(feature, "Image"):
        return images_of(dataset, column)
    if is_a(feature, "Array2D", "Array3D"):
        return LazyColumn(dataset.select_columns([column]).with_format("numpy"), column)
    values = list(dataset[column])
    keys = object_keys(feature)
    return [_boxes(value, *keys) for value in values] if keys else values


def _boxes(value: Any, boxes: str, categories: str) -> dict[str, Any] | None:
    """Objects, as a list of them or as lists of their parts, by ``bbox`` and ``category``; None, which is not no objects, stays None."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {"bbox": value[boxes], "category": value[categories]}
    return {
        "bbox": [each[boxes] for each in value],
        "category": [each[categories] for each in value],
    }


def names_of(dataset: Dataset, split: str) -> Sequence[str]:
    """What each row is called: its place, and its file's name or identifier where a column has them; () where none has."""
    import datasets

    for name in NAMES:
        if isinstance(feature := dataset.features.get(name), datasets.Value) and feature.dtype in (
            "string",
            "large_string",
        ):
            return [f"{split} image {row} ({value})" for row, value in enumerate(dataset[name])]
    return ()
