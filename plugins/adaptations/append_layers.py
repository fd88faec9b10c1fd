"""Appended layers: the backbone frozen, new layers on top of its features trained."""

from __future__ import annotations

from headwater.registry import Context, Objective, ParameterGroup, adaptation
from headwater.registry.errors import BadName


@adaptation("append_layers", approach="network", pooled=True)
def append_layers(
    context: Context, *, layers: int = 2, width: int = 512, head_scale: float = 1.0
) -> Objective:
    """The source frozen, normalisation statistics included; ``layers`` new ones on its features, and a fresh head, trained.

    The features are normalised first (LayerNorm). Each new layer is linear and rectified, ``width`` wide; the last is as wide as the
    features, so that the task's own head fits. Oquab et al. 2014, Learning and Transferring Mid-Level Image Representations.
    """
    from itertools import pairwise

    from torch import nn

    if layers < 1 or width < 1:
        raise BadName(
            f"append_layers[{layers=},{width=}]: both are 1 or more", subject="append_layers"
        )
    features = _width(context)
    widths = [features, *[width] * (layers - 1), features]
    new = [
        module
        for given, wanted in pairwise(widths)
        for module in (nn.Linear(given, wanted), nn.ReLU())
    ]
    top = context.to_device(nn.Sequential(nn.LayerNorm(features), *new))
    context.backbone.requires_grad_(False)
    network = nn.Sequential(context.backbone, top, context.head)
    groups = [
        ParameterGroup(list(top.parameters())),
        ParameterGroup(list(context.head.parameters()), scale=head_scale),
    ]
    return Objective(network, groups, frozen=[context.backbone])


def _width(context: Context) -> int:
    """D, by a look at what comes out of the backbone."""
    import torch

    training = context.backbone.training
    device = next(context.backbone.parameters()).device
    with torch.no_grad():
        features = context.backbone.eval()(
            torch.zeros(1, 3, context.image_size, context.image_size, device=device)
        )
    context.backbone.train(training)
    return int(features.shape[1])
