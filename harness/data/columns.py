"""Choose the columns of a data set that are its images and its targets.

A task may name them. Else they are told by their features, then by the usual names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from headwater.registry.columns import TargetColumn, inside, is_a, object_keys
from headwater.registry.errors import DataError

if TYPE_CHECKING:
    from datasets import Features

    from headwater.registry import Task, TaskType

IMAGES = ("image", "img", "photo", "picture", "rgb", "pixel_values", "input")
"""What image columns are called where several columns are images."""


@dataclass(frozen=True)
class TaskColumns:
    """The columns of a data set that matter, and the class names that the target's feature carries."""

    image: str
    target: str
    classes: tuple[str, ...] = ()


def choose_columns(
    features: Features, task: Task, task_type: TaskType | None = None
) -> TaskColumns:
    """Choose the image and the target column of a task.

    Args:
        features: The columns and their features.
        task: The task; it may name its columns.
        task_type: The type of the task; the registered one by default.

    Raises:
        DataError: They cannot be told; it lists the columns and says what to type.
    """
    if missing := [
        column for column in (task.image, task.label) if column and column not in features
    ]:
        raise DataError(
            f"{task.name} has no column {missing[0]!r}. It has: {shown(features)}",
            subject=task.name,
            hint="Name one of its columns.",
        )
    wanted = _target_column(task, task_type)
    image = task.image or _one(_images(features, task.label, wanted), "image", features, task)
    target = task.label or _one(_targets(features, image, wanted), "label", features, task)
    if not wanted.fits(features[target]):
        raise DataError(
            f"{task.name}: its column {target} ({described(features[target])}) cannot be the target of {task.type}, which is {wanted.form}",
            subject=task.name,
            hint=_another_type(features, image, task) or f"Its columns: {shown(features)}.",
        )
    return TaskColumns(image, target, _class_names(features[target]))


def _images(features: Features, label: str, wanted: TargetColumn) -> list[str]:
    """Return the columns that may be the image.

    That is the one called like an image, else those not called like a target.
    """
    import datasets

    columns: list[str] = []
    for column, feature in features.items():
        if isinstance(feature, datasets.Image) and column != label:
            columns.append(column)
    for name in IMAGES:
        if name in columns:
            return [name]
    # A mask is an image, too, but is called like what it is for.
    unlike_target = [column for column in columns if not re.search(wanted.names, column.lower())]
    return unlike_target or columns


def _targets(features: Features, image: str, wanted: TargetColumn) -> list[str]:
    """Return the columns that may be the target.

    That is the one called like a target, else those that can hardly be anything else.
    """
    fitting: dict[str, Any] = {}
    for column, feature in features.items():
        if column != image and wanted.fits(feature):
            fitting[column] = feature
    sure = [column for column, feature in fitting.items() if wanted.surely(feature)]
    if wanted.ask_between and sure:
        return sure
    return _named(fitting, wanted.names) or sure


def _named(columns: Mapping[str, Any], names: str) -> list[str]:
    """Return the first column of the likeliest name, in a list; none if no name is there."""
    # The names stand in the order of how likely they are, so the outer loop goes over them.
    for name in names.split("|"):
        for column in columns:
            if re.search(name, column.lower()):
                return [column]
    return []


def _one(candidates: list[str], role: str, features: Features, task: Task) -> str:
    if len(candidates) == 1:
        return candidates[0]
    problem = f"no {role} column"
    if candidates:
        problem = f"{len(candidates)} {role} columns ({', '.join(candidates)})"
    kind = f" for {task.type}" if role == "label" else ""
    hint = f'Say which: [{role}=COLUMN] after its name, or {role}="COLUMN" in @hw.task.'
    if role == "label" and not candidates:
        hint = _another_type(features, "", task) or hint
    raise DataError(
        f"{task.name} has {problem}{kind}. Its columns: {shown(features)}",
        subject=task.name,
        hint=hint,
    )


def _another_type(features: Features, image: str, task: Task) -> str:
    """Return what to type if the columns are plainly those of another task type, else an empty
    text.
    """
    others = [
        (card.target_column, name)
        for name, card in _registered().items()
        if card.target_column and name != task.type
    ]
    for wanted, name in sorted(others, key=lambda other: other[0].guess_order):
        fitting = {
            column: feature
            for column, feature in features.items()
            if column != image and wanted.fits(feature)
        }
        if task.label:
            fitting = {
                column: feature for column, feature in fitting.items() if column == task.label
            }
        columns = list(fitting) if task.label else _named(fitting, wanted.names)
        if columns:
            return (
                f"{columns[0]} ({described(features[columns[0]])}) looks like {name}: "
                f'say [type={name}] after its name, or type="{name}" in @hw.task.'
            )
    return ""


def _target_column(task: Task, task_type: TaskType | None) -> TargetColumn:
    """Return how the column of a task's targets looks."""
    card = task_type or _registered().get(task.type)
    return (card and card.target_column) or TargetColumn.of_any(task.type)


@cache
def _registered() -> Mapping[str, TaskType]:
    """Return the task types that are bundled or installed."""
    from headwater.registry import Kind, Registry

    return cast(Mapping[str, "TaskType"], Registry.discover().cards[Kind.TASK_TYPE])


# -- features ---------------------------------------------------------------------------------------------


def _class_names(feature: Any) -> tuple[str, ...]:
    """Return the names that a ClassLabel inside a feature carries; () for none."""
    if is_a(feature, "ClassLabel"):
        return tuple(feature.names or ())
    if keys := object_keys(feature):
        fields = feature if isinstance(feature, Mapping) else inside(feature)
        return _class_names(fields[keys[1]])
    return _class_names(inside(feature)) if inside(feature) is not None else ()


def described(feature: Any) -> str:
    """Describe a feature in a word or two: ``Image``, ``list of ClassLabel``, ``bbox, category``."""
    if isinstance(feature, Mapping):
        return f"struct of {', '.join(feature)}"
    if inside(feature) is not None:
        return f"list of {described(inside(feature))}"
    return str(feature.dtype) if is_a(feature, "Value") else type(feature).__name__


def shown(features: Features) -> str:
    """List columns with their features, for a message."""
    return ", ".join(f"{column} ({described(feature)})" for column, feature in features.items())
