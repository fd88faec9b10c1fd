"""Figures: measured numbers beside the targets they are held to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number; ``target`` is the most it may be, None where it is only for context."""

    name: str
    value: float
    unit: str
    target: float | None = None

    @property
    def met(self) -> bool:
        return self.target is None or self.value <= self.target

    def __str__(self) -> str:
        held = (
            ""
            if self.target is None
            else f"   target ≤ {self.target:g} {self.unit}: {'met' if self.met else 'MISSED'}"
        )
        return f"{self.name:<66} {self.value:8.3f} {self.unit}{held}"


def interleaved(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each way's costs, one a round. Rounds start with another way each time, so that drift favours none."""
    names = list(ways)
    costs: dict[str, list[float]] = {name: [] for name in names}
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            costs[name].append(ways[name]())
    return costs


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of runs that stood side by side."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def spread(ours: Sequence[float], theirs: Sequence[float]) -> str:
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    return f"{ratios[0]:.3f} to {ratios[-1]:.3f}"
