"""Freezing: the early stages keep the source's weights, the later ones and a fresh head are
trained.
"""

from __future__ import annotations

from itertools import islice

from headwater import Context, NotApplicable, Objective, ParameterGroup, adaptation
from headwater import stages as stages_of


@adaptation("freeze", control="from_scratch", approach="network")
def freeze(context: Context, *, stages: int = 1, head_scale: float = 1.0) -> Objective:
    """The stem and the first ``stages`` stages frozen, normalisation statistics included; the rest
    trained.

    Args:
        context: Source and target.
        stages: Stages to freeze after the stem.
        head_scale: Learning rate of the head, as a multiple.

    Returns:
        The objective.

    Raises:
        NotApplicable: The source has no stage that would be left to train.
    """
    from torch import nn

    parts = stages_of(context.backbone)
    if not 0 <= stages < len(parts):
        names = ", ".join(parts)
        raise NotApplicable(
            f"{context.source.name} has a stem and {len(parts) - 1} stages ({names}): stages={stages} cannot be frozen",
            subject=context.source.name,
        )
    frozen = list(islice(parts.values(), stages + 1))
    for part in frozen:
        part.requires_grad_(False)
    # Parameters without a gradient do not get to the optimiser: weight decay would move them.
    trained = [parameter for parameter in context.backbone.parameters() if parameter.requires_grad]
    head = list(context.head.parameters())
    return Objective(
        nn.Sequential(context.backbone, context.head),
        [ParameterGroup(trained), ParameterGroup(head, scale=head_scale)],
        frozen=frozen,
    )
