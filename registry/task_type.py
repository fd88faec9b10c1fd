"""Task types: what targets look like, which head and loss they want, how predictions are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from registry.card import Card, first_line
from registry.identity import code_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


@dataclass(frozen=True)
class Metric:
    """A measure of success; ``higher_is_better`` decides the sign of a gain."""

    name: str
    higher_is_better: bool = True

    @property
    def sign(self) -> int:
        return 1 if self.higher_is_better else -1


class TaskTypeMethods(Protocol):
    """The contract of a task type. ``outputs`` is the width of the head, e.g. the number of classes."""

    def encode(self, targets: Sequence[Any], classes: Sequence[str], names: Sequence[str]) -> np.ndarray:
        """Targets as an array, one row an image; raises DataError naming the image for one that is out of range."""

    def classes(self, targets: Sequence[Any]) -> tuple[str, ...]:
        """The class names, where the data set does not say; () for types without classes."""

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int: ...

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """(N,) int: the groups that subsets and splits keep balanced."""

    def head(self, features: int, outputs: int) -> nn.Module:
        """A fresh head on (B, features)."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor: ...

    def measure(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Every metric of the type on a whole split; outputs (N, ...) and targets (N, ...) on the CPU."""


@dataclass(frozen=True, kw_only=True)
class TaskType(Card):
    """A kind of task. ``metrics`` lists what ``methods.measure`` returns; the first is the default."""

    methods: TaskTypeMethods
    metrics: tuple[Metric, ...]

    def metric(self, name: str) -> Metric:
        """The metric of that name, or the default for an empty name; raises KeyError."""
        return {metric.name: metric for metric in self.metrics}[name or self.metrics[0].name]


def task_type(name: str, *, metrics: Sequence[Metric]) -> Callable[[type[TaskTypeMethods]], TaskType]:
    """Register a task type: decorates the class that has its methods."""

    def make(methods: type[TaskTypeMethods]) -> TaskType:
        return TaskType(name=name, summary=first_line(methods), methods=methods(), metrics=tuple(metrics), code=code_of(methods))

    return make
