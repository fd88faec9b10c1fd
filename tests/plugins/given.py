"""Annotations as the harness hands them to a task type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headwater.registry import Annotations, Task, TaskType


def given(
    task_type: TaskType,
    targets: Sequence[Any],
    classes: Sequence[str] = (),
    names: Sequence[str] = (),
    side: int = 32,
    shape: tuple[int, int] = (64, 48),
    **conventions: Any,
) -> Annotations:
    """Of images that are all ``shape`` (width, height), called a.jpg, b.jpg, ... where ``names`` does not say."""
    task = Task(name="rendered/test", load=dict, type=task_type.name, conventions=conventions)
    names = names or [f"{chr(ord('a') + row)}.jpg" for row in range(len(targets))]
    return Annotations(task, targets, names, classes, side, lambda row: shape)
