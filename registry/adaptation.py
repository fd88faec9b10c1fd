"""Adaptations: how a source is adapted to a target. They say what to optimise; the harness trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from registry.card import Card, first_line
from registry.identity import code_of
from registry.names import Value
from registry.options import defaults_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from registry.source_model import SourceModel
    from registry.task import Task

Approach = Literal["network", "mapping", "relation", "instance", ""]


@dataclass(frozen=True, kw_only=True)
class Adaptation(Card):
    """One way of adapting a source to a target.

    ``on="images"``: ``method(context, **options) -> Objective``, trained by the harness's loop.
    ``on="features"``: ``method(cells: Sequence[Features], **options) -> Sequence[Solution]``, on frozen features: it is
    given the cells (sizes, seeds) that share one source's features of one task, and may solve them together. How many
    come at once decides nothing but the cost: each solution is that of the cell alone.
    ``control`` is the adaptation that the scratch reference of its gains runs: from_scratch for those that
    train the whole network, the same one on random features for those that never touch it.
    The two label booleans and the approach follow Iman et al. 2022 (arXiv 2201.09679).
    """

    method: Callable[..., Any] = field(repr=False)
    on: Literal["images", "features"] = "images"
    approach: Approach = ""
    source_labelled: bool = False
    target_labelled: bool = True
    control: str = ""
    from_random: bool = False
    task_types: tuple[str, ...] = ()

    @property
    def setting(self) -> str:
        """Transductive, inductive or unsupervised, derived from which labels are used."""
        if self.target_labelled:
            return "inductive"
        return "transductive" if self.source_labelled else "unsupervised"

    def options(self) -> Mapping[str, Value]:
        return defaults_of(self.method)

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"setting": self.setting, "options": dict(self.options())}


@dataclass(frozen=True)
class Batch:
    """What a step sees: images (B, 3, H, W) float, normalised and augmented; targets; rows in the train split."""

    images: Tensor
    targets: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Context:
    """What an adaptation is given: a source with its weights, a fresh head, and the task they meet."""

    source: SourceModel
    task: Task
    backbone: nn.Module
    """(B, 3, H, W) -> (B, D): the source without its own classifier."""
    head: nn.Module
    """(B, D) -> outputs."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """The task type's loss on (outputs, targets)."""
    steps: int
    """How many optimisation steps the budget allows."""


@dataclass
class ParameterGroup:
    """Parameters that share a learning rate: ``scale`` times the training's own."""

    parameters: Sequence[nn.Parameter]
    scale: float = 1.0
    weight_decay: float | None = None


@dataclass
class Objective:
    """What the harness is to optimise.

    ``network``: images -> outputs, also what is evaluated. ``loss`` sees the batch and the step (from 0); the
    default is the task's own loss on the network's outputs. ``frozen`` modules stay in evaluation mode, so that
    their normalisation statistics do not move. ``after_step(step)`` runs after each update.
    """

    network: nn.Module
    groups: Sequence[ParameterGroup]
    loss: Callable[[Batch, int], Tensor] | None = None
    frozen: Sequence[nn.Module] = ()
    after_step: Callable[[int], None] | None = None


@dataclass(frozen=True)
class Features:
    """One cell on frozen features: the rows it trains on, and those it chooses on, of what its source makes of a task."""

    pool: np.ndarray
    """(N, D) float32 features of all training images, one read-only array for all cells of a call."""
    targets: np.ndarray
    """(N, ...) theirs."""
    train_rows: np.ndarray
    validation_rows: np.ndarray
    outputs: int
    measure: Callable[[np.ndarray, np.ndarray], float]
    """(scores, targets) -> the task's metric, higher is better whatever its direction."""

    @property
    def train(self) -> np.ndarray:
        return self.pool[self.train_rows]

    @property
    def train_targets(self) -> np.ndarray:
        return self.targets[self.train_rows]

    @property
    def validation(self) -> np.ndarray:
        return self.pool[self.validation_rows]

    @property
    def validation_targets(self) -> np.ndarray:
        return self.targets[self.validation_rows]


@dataclass(frozen=True)
class Solution:
    """What a method on features found for a cell: ``predict`` maps (N, D) features to (N, outputs) scores."""

    predict: Callable[[np.ndarray], np.ndarray]
    choice: Mapping[str, Value] = field(default_factory=dict)


def adaptation(name: str, *, control: str = "", **facts: Any) -> Callable[[Callable[..., Any]], Adaptation]:
    """Register an adaptation: decorates its method. Facts are Adaptation's fields."""

    def make(method: Callable[..., Any]) -> Adaptation:
        return Adaptation(
            name=name,
            summary=facts.pop("summary", first_line(method)),
            method=method,
            control=control or name,
            code=code_of(method),
            **facts,
        )

    return make
