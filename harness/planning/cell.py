"""A cell: the coordinates of one measurement, before it has an identity."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.registry import SourceModel, Task


@dataclass(frozen=True)
class Cell:
    """Coordinates of one measurement, before it has an identity."""

    source: SourceModel
    task: Task
    adaptation: str
    size: str
    seed: int
