"""What of a task its type says in words: by what it is measured, and what its classes are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headwater.registry import Metric, Registry, Task, TaskType


def type_of(task: Task, registry: Registry) -> tuple[TaskType, Metric] | None:
    """A task's type and metric; None where either is unknown, of which ``headwater check`` says more."""
    from headwater.registry.errors import HeadwaterError

    try:
        task_type = registry.task_type(task.type)
        return task_type, task_type.metric(task.metric)
    except (HeadwaterError, KeyError):
        return None
