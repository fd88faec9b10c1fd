"""Choose the columns of a data set that are its images and its targets.

A task may name them. Else they are told by their features, then by the usual names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.registry.errors import DataError

if TYPE_CHECKING:
    from datasets import Features

    from headwater.registry import Task

IMAGES = ("image", "img", "photo", "picture", "rgb", "pixel_values", "input")
"""What image columns are called where several columns are images."""

BOXES = ("bbox", "bboxes", "boxes", "box")
CATEGORIES = (
    "category",
    "categories",
    "label",
    "labels",
    "class",
    "classes",
    "category_id",
    "class_id",
    "class_label",
)
"""What the boxes and classes of objects are called within their column."""


@dataclass(frozen=True)
class TaskColumns:
    """The columns of a data set that matter, and the class names that the target's feature carries."""

    image: str
    target: str
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wanted:
    """What the target of a task type looks like: whether a feature can be one, whether it can
    hardly be anything else, its names.
    """

    form: str
    fits: Callable[[Any], bool]
    surely: Callable[[Any], bool]
    names: str
    """Alternatives, the likeliest first; each is searched for in the lower-case name."""


def choose_columns(features: Features, task: Task) -> TaskColumns:
    """Choose the image and the target column of a task.

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
    wanted = WANTED.get(task.type) or _of_another_type(task.type)
    image = task.image or _one(_images(features, task.label, wanted), "image", features, task)
    target = task.label or _one(_targets(features, image, wanted), "label", features, task)
    if not wanted.fits(features[target]):
        raise DataError(
            f"{task.name}: its column {target} ({described(features[target])}) cannot be the target of {task.type}, which is {wanted.form}",
            subject=task.name,
            hint=_another_type(features, image, task) or f"Its columns: {shown(features)}.",
        )
    return TaskColumns(image, target, _class_names(features[target]))


def _images(features: Features, label: str, wanted: _Wanted) -> list[str]:
    """Return the columns that may be the image: the one that is called like one, else those not
    called like a target.
    """
    import datasets

    found = [
        column
        for column, feature in features.items()
        if isinstance(feature, datasets.Image) and column != label
    ]
    named = [name for name in IMAGES if name in found][:1]
    return (
        named
        or [column for column in found if not re.search(wanted.names, column.lower())]
        or found
    )


def _targets(features: Features, image: str, wanted: _Wanted) -> list[str]:
    """Return the columns that may be the target: the one that is called so, else those that can
    hardly be anything else.
    """
    fitting = {
        column: feature
        for column, feature in features.items()
        if column != image and wanted.fits(feature)
    }
    sure = [column for column, feature in fitting.items() if wanted.surely(feature)]
    if (
        wanted is WANTED["classification"] and sure
    ):  # a ClassLabel says what it is, and of two the user must say which
        return sure
    return _named(fitting, wanted.names) or sure


def _named(columns: Mapping[str, Any], names: str) -> list[str]:
    for name in names.split("|"):
        if found := [column for column in columns if re.search(name, column.lower())]:
            return found[:1]
    return []


def _one(candidates: list[str], role: str, features: Features, task: Task) -> str:
    if len(candidates) == 1:
        return candidates[0]
    problem = (
        f"no {role} column"
        if not candidates
        else f"{len(candidates)} {role} columns ({', '.join(candidates)})"
    )
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
    for name, wanted in WANTED.items():
        fitting = {
            column: feature
            for column, feature in features.items()
            if column != image and wanted.fits(feature)
        }
        if task.label:
            fitting = {
                column: feature for column, feature in fitting.items() if column == task.label
            }
        found = list(fitting) if task.label else _named(fitting, wanted.names)
        if name != task.type and found:
            return (
                f"{found[0]} ({described(features[found[0]])}) looks like {name}: say [type={name}] after its name, "
                f'or type="{name}" in @hw.task.'
            )
    return ""


# -- features ---------------------------------------------------------------------------------------------


def _of_another_type(name: str) -> _Wanted:
    """A type of a user's plugin: anything may be its target; it is called like the type or as
    usual, or is the only other column.
    """

    def anything(feature: Any) -> bool:
        return True

    return _Wanted(
        "whatever it takes",
        anything,
        anything,
        f"^{re.escape(name)}s?$|^target$|^labels?$|^annotations?$",
    )


def _inside(feature: Any) -> Any:
    """Return the feature inside a list; None for anything else."""
    return getattr(feature, "feature", None)


def _number(feature: Any, kinds: str = "float|int|uint|decimal") -> bool:
    return bool(re.match(kinds, str(getattr(feature, "dtype", "")))) and is_a(feature, "Value")


def is_a(feature: Any, *kinds: str) -> bool:
    """Return whether a feature is of one of these classes of ``datasets``; spares the import of the
    library.
    """
    return type(feature).__name__ in kinds


def _class_like(feature: Any) -> bool:
    return is_a(feature, "ClassLabel") or _number(feature, "int|uint|bool|string|large_string")


def _map(feature: Any) -> bool:
    return is_a(feature, "Image", "Array2D", "Array3D") or _number(_inside(_inside(feature)))


def _points(feature: Any) -> bool:
    return (
        is_a(feature, "Array2D") or _number(_inside(feature)) or _number(_inside(_inside(feature)))
    )


def _objects(feature: Any) -> bool:
    return object_keys(feature) is not None


def object_keys(feature: Any) -> tuple[str, str] | None:
    """Return the names of the boxes and of the classes in a column of objects; None for any other
    column.
    """
    inside = feature if isinstance(feature, Mapping) else _inside(feature)
    if not isinstance(inside, Mapping):
        return None
    found = [
        next((name for name in names if name in inside), None) for names in (BOXES, CATEGORIES)
    ]
    return (found[0], found[1]) if found[0] and found[1] else None


WANTED: dict[str, _Wanted] = {
    "detection": _Wanted(
        "objects with bbox and category", _objects, _objects, "objects|annotation|instances|boxes|."
    ),
    "segmentation": _Wanted(
        "a mask for each image",
        _map,
        lambda feature: is_a(feature, "Image"),
        r"^annotations?$|^masks?$|^labels?$|segment|semantic|mask|annotat|label|^gt$|^target$",
    ),
    "depth": _Wanted(
        "a depth map for each image",
        _map,
        lambda feature: is_a(feature, "Image"),
        r"^depth_?map$|^depth$|depth|disparity|^target$",
    ),
    "keypoints": _Wanted(
        "points of each image",
        _points,
        lambda feature: _number(_inside(_inside(feature))),
        r"^keypoints?$|^landmarks?$|keypoint|landmark|^points$|joint",
    ),
    "multilabel": _Wanted(
        "a list of classes for each image",
        lambda feature: _class_like(_inside(feature)),
        lambda feature: is_a(_inside(feature), "ClassLabel"),
        r"^labels$|^label$|^classes$|^categories$|^tags$|^attributes$|^targets?$|label",
    ),
    "classification": _Wanted(
        "one class for each image",
        _class_like,
        lambda feature: is_a(feature, "ClassLabel"),
        "^label$|^labels$|^target$|^class$|^fine_label$|^category$",
    ),
    "regression": _Wanted(
        "a number, or several, for each image",
        lambda feature: _number(feature) or _number(_inside(feature)),
        lambda feature: _number(feature, "float") or _number(_inside(feature), "float"),
        "^targets?$|^values?$|^score$|^label$|^labels$|^age$|^y$",
    ),
}
"""What the targets of each type look like in a data set."""


def _class_names(feature: Any) -> tuple[str, ...]:
    """Return the names that a ClassLabel inside a feature carries; () for none."""
    if is_a(feature, "ClassLabel"):
        return tuple(feature.names or ())
    if keys := object_keys(feature):
        inside = feature if isinstance(feature, Mapping) else _inside(feature)
        return _class_names(inside[keys[1]])
    return _class_names(_inside(feature)) if _inside(feature) is not None else ()


def described(feature: Any) -> str:
    """Describe a feature in a word or two: ``Image``, ``list of ClassLabel``, ``bbox, category``."""
    if isinstance(feature, Mapping):
        return f"struct of {', '.join(feature)}"
    if (inside := _inside(feature)) is not None:
        return f"list of {described(inside)}"
    return str(feature.dtype) if is_a(feature, "Value") else type(feature).__name__


def shown(features: Features) -> str:
    """List columns with their features, for a message."""
    return ", ".join(f"{column} ({described(feature)})" for column, feature in features.items())
