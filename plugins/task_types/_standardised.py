"""The head of regression: linear on features, in units of the training targets' deviation from their mean."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Standardised(NamedTuple):
    """What the head returns in training: ``found`` (B, K), with the mean (K,) and deviation (K,) that make targets of it."""

    found: Tensor
    mean: Tensor
    deviation: Tensor

    def of(self, targets: Tensor) -> Tensor:
        """Targets (B, K) in the same units."""
        return (targets - self.mean) / self.deviation


class StandardisedLinear(nn.Linear):
    """(B, features) -> (B, K) predictions in the targets' own units; in training ``Standardised``.

    Mean and deviation are buffers: they are kept with the weights, and are 0 and 1 until it is told of the targets.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__(features, outputs)
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("deviation", torch.ones(outputs))

    def learn_scale(self, targets: Tensor) -> None:
        """Of targets (N, K); one that does not vary keeps a deviation of 1."""
        targets = targets.double()
        deviation = targets.std(0, correction=0)
        self.mean.copy_(targets.mean(0))
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, features: Tensor) -> Tensor | Standardised:  # type: ignore[override]
        found = super().forward(features).float()
        return (
            Standardised(found, self.mean, self.deviation)
            if self.training
            else self.mean + self.deviation * found
        )
