"""Freezing: the early stages keep the source's weights, the later ones and a fresh head are trained."""

from __future__ import annotations

from itertools import islice

from headwater.registry import Context, Objective, ParameterGroup, adaptation
from headwater.registry.errors import NotApplicable
from headwater.registry.stages import stages as stages_of


@adaptation("freeze", control="from_scratch", approach="network")
def freeze(context: Context, *, stages: int = 1, head_scale: float = 1.0) -> Objective:
    """The stem and the first ``stages`` stages frozen, normalisation statistics included; the rest trained."""
    from torch import nn

    parts = stages_of(context.backbone)
    if not 0 <= stages < len(parts):
        raise NotApplicable(
            f"{context.source.name} has a stem and {len(parts) - 1} stages ({', '.join(parts)}): stages={stages} cannot be frozen",
            subject=context.source.name,
        )
    frozen = list(islice(parts.values(), stages + 1))
    for part in frozen:
        part.requires_grad_(False)
    network = nn.Sequential(context.backbone, context.head)
    backbone = [parameter for parameter in context.backbone.parameters() if parameter.requires_grad]
    return Objective(
        network,
        [
            ParameterGroup(backbone),
            ParameterGroup(list(context.head.parameters()), scale=head_scale),
        ],
        frozen=frozen,
    )
