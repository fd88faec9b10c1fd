"""Instance weighting: the source's images count for less where they mislead, the target's for more
where they are hard.

TrAdaBoost (Dai et al., Boosting for Transfer Learning, ICML 2007, figure 1) weighs the images of
the source S and the target T in rounds t = 1 … N. With e_i = |h_t(x_i) − y_i| the error of image i,

    ε = Σ_{i∈T} w_i e_i / Σ_{i∈T} w_i,    β_T = ε/(1 − ε),    β = 1/(1 + √(2 ln n_S / N))

    i ∈ S:  w_i ← w_i β^{e_i}             i ∈ T:  w_i ← w_i β_T^{−e_i}

A round is here a pass over the target, and the error of an image 1 − the probability of its class,
by the network as it trained on it. An image of the source that no batch of the round held keeps its
weight. ε ≥ ½, where the paper is silent, leaves the weights of the target as they are: β_T = 1 is
the limit of ε = ½.

The paper's learners are weak and fresh. A network is neither: ε falls to some hundredths, so that a
round multiplies the weight of an image that it cannot fit by fifty, and a label that is wrong soon
has half of the target's weight, whatever the number of images. So ε counts as ``MIN_ERROR`` at
least, and an image weighs ``MAX_GROWTH`` times what it did at the start at most. The floor alone
would only delay a wrong label by a round: once it has 10 % of the weight, ε is above the floor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headwater import Batch, Context, NotApplicable, Objective, adaptation
from headwater.plugins.two_domains import TwoDomains

if TYPE_CHECKING:
    from torch import Tensor


MIN_ERROR = 0.1
"""The least ε of a round."""

MAX_GROWTH = 10.0
"""The largest weight of an image of the target, as a multiple of its weight at the start."""


@adaptation(
    "instance_weighting",
    control="from_scratch",
    approach="instance",
    source_labelled=True,
    needs_source=True,
    labels=("classes",),
    pooled=True,
)
def instance_weighting(context: Context, *, source_share: float = 0.5) -> Objective:
    """One classifier on the images of source and target, reweighted after each epoch (TrAdaBoost);
    they need the same classes.

    Args:
        context: Source and target.
        source_share: Weight of all images of the source together at the start; that of the target
            is 1 less it.

    Returns:
        The objective.

    Raises:
        NotApplicable: The classes differ, the share is not between 0 and 1, or the source has no
            registered data.
    """
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
    weights = TrAdaBoostWeights(domains.data.images, context.steps, source_share)

    def loss(batch: Batch, step: int) -> Tensor:
        batches = domains.pass_both(batch)
        weights.begin_step(step, batch.rows.tolist())
        of_target = weights.target.loss(
            batch.rows.tolist(), domains.head(batches.target_features).float(), batch.targets
        )
        of_source = weights.source.loss(
            batches.source.rows.tolist(),
            domains.head(batches.source_features).float(),
            batches.source.targets,
        )
        return (of_target + of_source) / weights.total

    return Objective(domains.network, domains.groups(), loss=loss)


@dataclass
class DomainWeights:
    """The weights of a domain's images, and the errors of the round.

    Attributes:
        share: Weight of every image at the start as a multiple of 1/n, and so that of all of them
            together.
        images: n; that of the target is known after its first epoch.
        weights: Weight of each row as a multiple of 1/n, where it is no longer ``share``.
        errors: e of each row in the round.
        pending: Rows and errors of the round's batches, still on the device.
    """

    share: float
    images: int = 0
    weights: dict[int, float] = field(default_factory=dict)
    errors: dict[int, float] = field(default_factory=dict)
    pending: list[tuple[list[int], Tensor]] = field(default_factory=list)

    def weight_of(self, row: int) -> float:
        """Return the weight of a row as a multiple of 1/n."""
        return self.weights.get(row, self.share)

    @property
    def total(self) -> float:
        """Return the sum of all weights; images that no batch held yet weigh what they did at the
        start.
        """
        changes = sum(weight - self.share for weight in self.weights.values())
        return self.share + changes / max(self.images, 1)

    @property
    def error(self) -> float:
        """Return ε, the weighted mean error of the round."""
        weighted = sum(self.weight_of(row) * error for row, error in self.errors.items())
        return weighted / sum(map(self.weight_of, self.errors))

    def loss(self, rows: list[int], logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of w_i · cross entropy_i over a batch, and note the errors.

        Args:
            rows: The rows of the batch.
            logits: (B, C).
            targets: (B,) classes.
        """
        from torch.nn.functional import cross_entropy

        losses = cross_entropy(logits, targets, reduction="none")
        self.pending.append((rows, 1 - (-losses.detach()).exp()))
        weights = losses.new_tensor([self.weight_of(row) for row in rows])
        return (losses * weights).mean()

    def collect_errors(self) -> None:
        """Fetch the errors of the round from the device, all at once."""
        self.errors = {}
        for rows, errors in self.pending:
            self.errors.update(zip(rows, errors.tolist(), strict=True))
        self.pending = []

    def multiply(self, base: float) -> None:
        """Multiply the weight of each row of the round by base^e, up to the largest weight."""
        largest = MAX_GROWTH * self.share
        for row, error in self.errors.items():
            self.weights[row] = min(self.weight_of(row) * base**error, largest)


class TrAdaBoostWeights:
    """The weights of both domains over the rounds.

    Attributes:
        source: Weights of the source.
        target: Weights of the target.
        steps: Steps of the training.
        rounds: N, known after the first round; 0 before.
        total: Sum of all weights of source and target.
    """

    def __init__(self, source_images: int, steps: int, source_share: float) -> None:
        self.source = DomainWeights(source_share, source_images)
        self.target = DomainWeights(1 - source_share)
        self.steps = steps
        self.rounds = 0
        self.total = 1.0
        self._rows_of_round: set[int] = set()

    def begin_step(self, step: int, rows: list[int]) -> None:
        """Note the target's next batch: a row that comes again begins another round."""
        if not self._rows_of_round.isdisjoint(rows):
            if not self.rounds:
                self.rounds = max(1, round(self.steps / step))
            self.target.images = len(self._rows_of_round)
            self.end_round()
            self._rows_of_round = set()
        self._rows_of_round.update(rows)

    def end_round(self) -> None:
        """Update the weights by the errors of the round."""
        self.source.collect_errors()
        self.target.collect_errors()
        epsilon = max(self.target.error, MIN_ERROR)
        if epsilon < 0.5:
            self.target.multiply((1 - epsilon) / epsilon)
        beta = 1 / (1 + math.sqrt(2 * math.log(self.source.images) / self.rounds))
        self.source.multiply(beta)
        self.total = self.source.total + self.target.total
