"""Fine-tuning: every weight starts from the source and is trained (P-T); from scratch it is the
control (RI-T).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headwater import BadName, Batch, Context, Objective, ParameterGroup, adaptation
from headwater.plugins.layer_groups import backbone_groups

if TYPE_CHECKING:
    from torch import Tensor


@adaptation("fine_tune", control="from_scratch", approach="network")
def fine_tune(
    context: Context,
    *,
    head_scale: float = 1.0,
    layer_decay: float = 0.0,
    l2_sp: float = 0.0,
    l2_head: float = 0.0,
    probe_first: bool = False,
    converge: int = 1,
) -> Objective:
    """All weights from the source, all trained, under a fresh head.

    Args:
        context: Source and target.
        head_scale: Learning rate of the head, as a multiple.
        layer_decay: The learning rate of the layer k below the head is multiplied by the k-th power
            of this (Howard and Ruder 2018, section 3.2); 0: the recipe's.
        l2_sp: α of ½α‖w − w₀‖² on the backbone, in place of weight decay (Li et al. 2018, equation
            2).
        l2_head: β of ½β‖w‖² on the head, in place of weight decay.
        probe_first: Whether the head starts as the solution of the linear probe (Kumar et al.
            2022).
        converge: Train until validation stops improving, for at most so many times the budget.

    Returns:
        The objective.

    Raises:
        BadName: An option has a value that is not allowed.
        NotApplicable: ``probe_first`` for a head that is no linear classifier.
    """
    if layer_decay < 0 or l2_sp < 0 or l2_head < 0:
        hint = "layer_decay, l2_sp and l2_head are 0 or above."
        raise BadName(
            f"fine_tune[{layer_decay=:g},{l2_sp=:g},{l2_head=:g}] makes no sense",
            subject="fine_tune",
            hint=hint,
        )
    if probe_first:
        from headwater.plugins.probe_head import start_as_probe

        start_as_probe(context)
    objective = _train_all(context, head_scale, layer_decay or context.layer_decay)
    if l2_sp or l2_head:
        objective = _with_l2_sp(context, objective, l2_sp, l2_head)
    return replace(objective, converge=converge)


@adaptation("from_scratch", from_random=True)
def from_scratch(context: Context, *, head_scale: float = 1.0, converge: int = 1) -> Objective:
    """The same architecture from random initialisation: the control of every gain.

    Args:
        context: Source and target.
        head_scale: Learning rate of the head, as a multiple.
        converge: Train until validation stops improving, for at most so many times the budget.
    """
    return replace(_train_all(context, head_scale), converge=converge)


def _train_all(context: Context, head_scale: float, layer_decay: float = 1.0) -> Objective:
    from torch import nn

    network = nn.Sequential(context.backbone, context.head)
    backbone, head = context.backbone, list(context.head.parameters())
    groups = backbone_groups(backbone, layer_decay)
    return Objective(network, [*groups, ParameterGroup(head, scale=head_scale)])


def _with_l2_sp(context: Context, objective: Objective, alpha: float, beta: float) -> Objective:
    """Return the objective with L2-SP: a pull of the backbone to its start, and of the head to
    zero, in place of weight decay.
    """
    backbone, head = list(context.backbone.parameters()), list(context.head.parameters())
    start = [parameter.detach().clone() for parameter in backbone]
    for groups, pull in ((objective.groups[:-1], alpha), (objective.groups[-1:], beta)):
        for group in groups:
            group.weight_decay = 0.0 if pull else None

    def penalty() -> Tensor | float:
        of_backbone: Tensor | float = 0.0
        of_head: Tensor | float = 0.0
        if alpha:
            pairs = zip(backbone, start, strict=True)
            of_backbone = sum((w - w_0).square().sum() for w, w_0 in pairs)
        if beta:
            of_head = sum(w.square().sum() for w in head)
        return alpha / 2 * of_backbone + beta / 2 * of_head

    def loss(batch: Batch, step: int) -> Tensor:
        return context.loss(objective.network(batch.images), batch.targets) + penalty()

    return Objective(objective.network, objective.groups, loss=loss)
