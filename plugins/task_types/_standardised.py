"""The head of regression: a linear layer whose outputs are in units of the training targets'
standard deviation.

With the mean m and the deviation s of the training targets, the layer's output z stands for the
target m + s z; the loss compares z with (target - m) / s, so that targets of any scale are learned
with the same learning rate.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class StandardisedOutputs(NamedTuple):
    """What the head returns in training.

    Attributes:
        values: (B, K), standardised.
        mean: (K,) of the training targets.
        deviation: (K,) of the training targets.
    """

    values: Tensor
    mean: Tensor
    deviation: Tensor

    def standardise(self, targets: Tensor) -> Tensor:
        """Return targets (B, K) in the unit of ``values``."""
        return (targets - self.mean) / self.deviation


class StandardisedLinear(nn.Linear):
    """(B, features) -> (B, K) predictions in the targets' own units; in training
    ``StandardisedOutputs``.

    Mean and deviation are buffers: they are saved with the weights, and are 0 and 1 until
    ``learn_scale``.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__(features, outputs)
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("deviation", torch.ones(outputs))

    def learn_scale(self, targets: Tensor) -> None:
        """Set mean and deviation to those of targets (N, K); a target that does not vary gets a
        deviation of 1.
        """
        targets = targets.double()
        deviation = targets.std(0, correction=0)
        self.mean.copy_(targets.mean(0))
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, features: Tensor) -> Tensor | StandardisedOutputs:  # type: ignore[override]
        values = super().forward(features).float()
        if self.training:
            return StandardisedOutputs(values, self.mean, self.deviation)
        return self.mean + self.deviation * values
