"""DANN: features from which a discriminator cannot tell the domain, by gradient reversal.

Source: Ganin et al., Domain-Adversarial Training of Neural Networks (2016, JMLR 17:59).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from headwater import Context, Objective, adaptation
from headwater.plugins.two_domains import TwoDomains

if TYPE_CHECKING:
    from torch import Tensor, nn

STEEPNESS = 10.0
"""γ of the schedule, as published."""


@adaptation(
    "dann",
    control="from_scratch",
    approach="relation",
    source_labelled=True,
    needs_source=True,
    pooled=True,
)
def dann(
    context: Context, *, labelled: bool = True, strength: float = 1.0, width: int = 256
) -> Objective:
    """Features that serve the source's task (and the target's) while a discriminator tells their
    domain as badly as it can.

    Args:
        context: Source and target.
        labelled: Whether the target's labels are used.
        strength: Weight of the discriminator's gradient in the features.
        width: Units of the discriminator's layers.

    Returns:
        The objective.

    Raises:
        NotApplicable: The source is no chain.
    """
    domains = TwoDomains(context, "dann")
    discriminator = context.to_device(discriminator_of(domains.width, width))

    def penalty(source: Tensor, target: Tensor, step: int) -> Tensor:
        return domain_loss(discriminator, source, target, strength * reversal(step, context.steps))

    return domains.aligned(labelled, penalty, [discriminator])


def discriminator_of(features: int, width: int) -> nn.Module:
    """Return a network from features (B, D) to logits (B, 1) of "from the source"."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(features, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 1),
    )


def reversal(step: int, steps: int) -> float:
    """Return λ_p = 2/(1 + e^(−γp)) − 1 at p = step/steps: little noise of the young discriminator
    reaches the features.
    """
    return 2 / (1 + math.exp(-STEEPNESS * step / steps)) - 1


def domain_loss(
    discriminator: nn.Module, source: Tensor, target: Tensor, reversed_by: float
) -> Tensor:
    """Return the cross entropy of the domain, one mean for each domain (equation 9).

    Args:
        discriminator: The discriminator.
        source: (B, D) features.
        target: (B', D) features.
        reversed_by: λ; the gradient reaches the features times −λ.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    features = _gradient_reversal().apply(torch.cat([source, target]), reversed_by)
    logits = discriminator(features).squeeze(1)
    of_source, of_target = logits[: len(source)], logits[len(source) :]
    loss_of_source = cross_entropy(of_source, torch.ones_like(of_source))
    loss_of_target = cross_entropy(of_target, torch.zeros_like(of_target))
    return loss_of_source + loss_of_target


def _gradient_reversal() -> Any:
    """Return the autograd function; it is made here so that importing this file needs no torch."""
    import torch

    class Reversal(torch.autograd.Function):
        """The identity, whose gradient is reversed and scaled."""

        @staticmethod
        def forward(context: Any, features: Tensor, scale: float) -> Tensor:
            context.scale = scale
            return features.view_as(features)

        @staticmethod
        def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
            return -context.scale * gradient, None

    return Reversal
