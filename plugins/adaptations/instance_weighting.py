"""Instance weighting: the source's images count for less where they mislead (TrAdaBoost: Dai et al. 2007, ICML, figure 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headwater.plugins.two_domains import TwoDomains
from headwater.registry import Batch, Context, Objective, adaptation
from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    from torch import Tensor


@adaptation(
    "instance_weighting",
    control="from_scratch",
    approach="instance",
    source_labelled=True,
    needs_source=True,
    task_types=("classification",),
    pooled=True,
)
def instance_weighting(context: Context, *, source_share: float = 0.5) -> Objective:
    """One classifier on the images of source and target, reweighted after each epoch (TrAdaBoost); they need the same classes."""
    domains = TwoDomains(context, "instance_weighting")
    if not domains.data.shares_classes:
        raise NotApplicable(
            f"instance_weighting needs a target of the source's classes: those of {context.source.name} and {context.task.name} differ",
            subject=context.task.name,
        )
    if not 0 < source_share < 1:
        raise NotApplicable(
            f"instance_weighting: source_share={source_share:g} is not between 0 and 1",
            subject=context.source.name,
        )
    weights = Weights(domains.data.images, context.steps, source_share)

    def loss(batch: Batch, step: int) -> Tensor:
        seen = domains.look(batch)
        weights.step(step, batch.rows.tolist())
        own, others = (
            weights.weighed(side, rows.tolist(), domains.head(features).float(), targets)
            for side, rows, features, targets in (
                (weights.target, batch.rows, seen.target_features, batch.targets),
                (weights.source, seen.source.rows, seen.source_features, seen.source.targets),
            )
        )
        return (own + others) / weights.total

    return Objective(domains.network, domains.groups(), loss=loss)


@dataclass
class Side:
    """A domain's weights by row, as multiples of 1/n, and the errors of the round: |h(x) − y| = 1 − the probability of y."""

    share: float
    """What every image weighs at first, and all of them together."""
    images: int = 0
    """n; the target's is known after its first epoch."""
    weights: dict[int, float] = field(default_factory=dict)
    errors: dict[int, float] = field(default_factory=dict)
    noted: list[tuple[list[int], Tensor]] = field(default_factory=list)

    def of(self, row: int) -> float:
        return self.weights.get(row, self.share)

    @property
    def total(self) -> float:
        """The sum of all weights; images not seen yet weigh what they did at first."""
        return self.share + sum(weight - self.share for weight in self.weights.values()) / max(
            self.images, 1
        )

    @property
    def error(self) -> float:
        """ε: the weighted mean error of the round."""
        return sum(self.of(row) * error for row, error in self.errors.items()) / sum(
            map(self.of, self.errors)
        )

    def gather(self) -> None:
        """Fetch the round's errors from the device, all at once."""
        self.errors = {
            row: error
            for rows, errors in self.noted
            for row, error in zip(rows, errors.tolist(), strict=True)
        }
        self.noted = []

    def multiply(self, base: float) -> None:
        """w · base^error for what was seen in the round."""
        self.weights |= {row: self.of(row) * base**error for row, error in self.errors.items()}


class Weights:
    """TrAdaBoost's weights. A round is a pass over the target; an image's error is that of the network as it trained on it.

    An image of the source that no batch of the round held keeps its weight. ε ≥ ½, where the paper is silent, and ε = 0 leave the
    target's weights as they are: β_T = 1 is what ε = ½ comes to, and without errors there is nothing to stress.
    """

    def __init__(self, source_images: int, steps: int, source_share: float) -> None:
        self.source, self.target = Side(source_share, source_images), Side(1 - source_share)
        self.steps = steps
        self.rounds = 0
        """N, known after the first."""
        self.total = 1.0
        """The sum of all weights, of source and target."""
        self._seen: set[int] = set()

    def step(self, step: int, rows: list[int]) -> None:
        """Told of the target's next batch: a row that comes again begins another round."""
        if not self._seen.isdisjoint(rows):
            self.rounds = self.rounds or max(1, round(self.steps / step))
            self.target.images = len(self._seen)
            self.end_round()
            self._seen = set()
        self._seen.update(rows)

    def weighed(self, side: Side, rows: list[int], logits: Tensor, targets: Tensor) -> Tensor:
        """Σ w_i · cross entropy_i over the batch, scaled to the domain; notes the errors."""
        from torch.nn.functional import cross_entropy

        losses = cross_entropy(logits, targets, reduction="none")
        side.noted.append((rows, 1 - (-losses.detach()).exp()))
        return (losses * losses.new_tensor([side.of(row) for row in rows])).mean()

    def end_round(self) -> None:
        """w_S · β^error and w_T · β_T^(−error), with β = 1/(1 + √(2 ln n_S / N)) and β_T = ε/(1 − ε)."""
        self.source.gather()
        self.target.gather()
        error = self.target.error
        if 0 < error < 0.5:
            self.target.multiply((1 - error) / error)
        self.source.multiply(1 / (1 + math.sqrt(2 * math.log(self.source.images) / self.rounds)))
        self.total = self.source.total + self.target.total
