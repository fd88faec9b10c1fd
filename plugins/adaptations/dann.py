"""DANN: features from which a discriminator cannot tell the domain, by gradient reversal (Ganin et al. 2016, JMLR 17:59)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from headwater.plugins.two_domains import TwoDomains
from headwater.registry import Context, Objective, adaptation

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
    """Features that serve the source's task (and the target's) while a discriminator tells their domain as badly as it can."""
    domains = TwoDomains(context, "dann")
    discriminator = context.to_device(discriminator_of(domains.width, width))

    def penalty(source: Tensor, target: Tensor, step: int) -> Tensor:
        return domain_loss(discriminator, source, target, strength * reversal(step, context.steps))

    return domains.aligned(labelled, penalty, [discriminator])


def discriminator_of(features: int, width: int) -> nn.Module:
    """(B, D) -> (B, 1) logits of "from the source"."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(features, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 1),
    )


def reversal(step: int, steps: int) -> float:
    """λ_p = 2/(1 + e^(−10p)) − 1 at p = step/steps: noise of the young discriminator hardly reaches the features."""
    return 2 / (1 + math.exp(-STEEPNESS * step / steps)) - 1


def domain_loss(
    discriminator: nn.Module, source: Tensor, target: Tensor, reversed_by: float
) -> Tensor:
    """Cross entropy of the domain, one mean for each domain (equation 9); its gradient reaches the features times −λ."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    reverse = _reversal()
    logits = discriminator(reverse.apply(torch.cat([source, target]), reversed_by)).squeeze(1)
    of_source, of_target = logits[: len(source)], logits[len(source) :]
    return cross_entropy(of_source, torch.ones_like(of_source)) + cross_entropy(
        of_target, torch.zeros_like(of_target)
    )


def _reversal() -> Any:
    import torch

    class Reversal(torch.autograd.Function):
        """The identity, whose gradient is turned around and scaled."""

        @staticmethod
        def forward(context: Any, features: Tensor, scale: float) -> Tensor:
            context.scale = scale
            return features.view_as(features)

        @staticmethod
        def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
            return -context.scale * gradient, None

    return Reversal
