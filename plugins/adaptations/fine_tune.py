"""Fine-tuning: every weight starts from the source and is trained (P-T); from scratch it is the control (RI-T)."""

from __future__ import annotations

from registry import Context, Objective, ParameterGroup, adaptation


def _train_all(context: Context, head_scale: float) -> Objective:
    from torch import nn

    network = nn.Sequential(context.backbone, context.head)
    backbone, head = list(context.backbone.parameters()), list(context.head.parameters())
    return Objective(network, [ParameterGroup(backbone), ParameterGroup(head, scale=head_scale)])


@adaptation("fine_tune", control="from_scratch", approach="network")
def fine_tune(context: Context, *, head_scale: float = 1.0) -> Objective:
    """All weights from the source, all trained, under a fresh head (``head_scale`` times the learning rate)."""
    return _train_all(context, head_scale)


@adaptation("from_scratch", from_random=True)
def from_scratch(context: Context, *, head_scale: float = 1.0) -> Objective:
    """The same architecture from random initialisation, with the same budget: the control of every gain."""
    return _train_all(context, head_scale)
