"""Tell what a column of a data set can be, from its feature; needs no ``datasets``.

A feature is one of the classes of ``datasets.features``, or a mapping of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

BOXES = ("bbox", "bboxes", "boxes", "box")
CATEGORIES = (
    *("category", "categories", "label", "labels", "class", "classes"),
    *("category_id", "class_id", "class_label"),
)
"""What the boxes and classes of objects are called within their column."""


@dataclass(frozen=True)
class TargetColumn:
    """How the column of a task type's targets looks, so that it can be found in a data set.

    Attributes:
        form: What it holds, for people: ``a mask for each image``.
        fits: Returns whether a feature can be the target.
        surely: Returns whether it can hardly be anything else.
        names: Regular expressions for what it is called, joined by "|", the likeliest first; each
            is searched for in the lower-case name.
        ask_between: True if a name does not choose between columns that surely are targets.
        guess_order: Where a column fits several types, the lowest is suggested.
    """

    form: str
    fits: Callable[[Any], bool]
    surely: Callable[[Any], bool]
    names: str
    ask_between: bool = False
    guess_order: int = 100

    @classmethod
    def of_any(cls, task_type: str) -> TargetColumn:
        """Return the column of a type that does not say how it looks.

        Anything may be its target. It is called like the type, or as usual, or is the only other
        column.
        """

        def anything(feature: Any) -> bool:
            return True

        names = f"^{re.escape(task_type)}s?$|^target$|^labels?$|^annotations?$"
        return cls("whatever it takes", anything, anything, names)


def is_a(feature: Any, *kinds: str) -> bool:
    """Return whether a feature is of one of these classes of ``datasets``, by their names."""
    return type(feature).__name__ in kinds


def inside(feature: Any) -> Any:
    """Return the feature inside a list; None for anything else."""
    return getattr(feature, "feature", None)


def is_number(feature: Any, kinds: str = "float|int|uint|decimal") -> bool:
    """Return whether a feature is a number of one of these kinds."""
    dtype = str(getattr(feature, "dtype", ""))
    return bool(re.match(kinds, dtype)) and is_a(feature, "Value")


def is_class(feature: Any) -> bool:
    """Return whether a feature can be a class: a ClassLabel, a whole number or a name."""
    return is_a(feature, "ClassLabel") or is_number(feature, "int|uint|bool|string|large_string")


def is_map(feature: Any) -> bool:
    """Return whether a feature can hold a value for each pixel."""
    return is_a(feature, "Image", "Array2D", "Array3D") or is_number(inside(inside(feature)))


def is_points(feature: Any) -> bool:
    """Return whether a feature can hold points."""
    flat = is_number(inside(feature))
    return is_a(feature, "Array2D") or flat or is_number(inside(inside(feature)))


def is_objects(feature: Any) -> bool:
    """Return whether a feature holds objects with boxes and classes."""
    return object_keys(feature) is not None


def object_keys(feature: Any) -> tuple[str, str] | None:
    """Return the names of the boxes and of the classes in a column of objects; None for others."""
    fields = feature if isinstance(feature, Mapping) else inside(feature)
    if not isinstance(fields, Mapping):
        return None
    boxes = next((name for name in BOXES if name in fields), None)
    classes = next((name for name in CATEGORIES if name in fields), None)
    return (boxes, classes) if boxes and classes else None
