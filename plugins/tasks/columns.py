"""Which columns of a data set are the images and the labels: by their features, or as the user says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.errors import DataError

if TYPE_CHECKING:
    from datasets import DatasetDict, Features

LABELS = ("label", "labels", "target", "class", "fine_label", "category")
"""What label columns are called where their feature does not say that they are."""


def chosen_columns(data: DatasetDict, image: str, label: str, name: str) -> DatasetDict:
    """The data with their image and label columns only, called ``image`` and ``label``.

    Raises DataError, listing the columns, where they cannot be told or where there is no such column.
    """
    import datasets

    features = next(iter(data.values())).features
    image = image or _one(_of_type(features, datasets.Image), "image", features, name)
    named = [column for column in LABELS if column in features][:1]
    label = label or _one(_of_type(features, datasets.ClassLabel) or named, "label", features, name)
    for option, column in (("image", image), ("label", label)):
        if column not in features:
            raise DataError(f"{name} has no column {column!r}. It has: {_shown(features)}", subject=name, hint=f"Set {option}=COLUMN.")
    chosen = data.select_columns([image, label]).rename_columns(
        {old: new for old, new in ((image, "image"), (label, "label")) if old != new}
    )
    if not isinstance(features[image], datasets.Image):
        chosen = chosen.cast_column("image", datasets.Image())
    return chosen


def _of_type(features: Features, kind: type) -> list[str]:
    return [column for column, feature in features.items() if isinstance(feature, kind)]


def _one(candidates: list[str], role: str, features: Features, name: str) -> str:
    if len(candidates) == 1:
        return candidates[0]
    problem = f"no {role} column" if not candidates else f"{len(candidates)} {role} columns ({', '.join(candidates)})"
    hint = f"Say which: [{role}=COLUMN] after the task's name."
    raise DataError(f"{name} has {problem}. Its columns: {_shown(features)}", subject=name, hint=hint)


def _shown(features: Features) -> str:
    return ", ".join(f"{column} ({type(feature).__name__})" for column, feature in features.items())
