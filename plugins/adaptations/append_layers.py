"""Appended layers: the backbone frozen, new layers on top of its features trained."""

from __future__ import annotations

from headwater import BadName, Context, Objective, ParameterGroup, adaptation


@adaptation("append_layers", approach="network", pooled=True)
def append_layers(
    context: Context, *, layers: int = 2, width: int = 512, head_scale: float = 1.0
) -> Objective:
    """The source frozen, normalisation statistics included; ``layers`` new ones on its features,
    and a fresh head, trained.

    The features are normalised first (LayerNorm). Each new layer is linear and rectified. Source:
    Oquab et al., Learning and Transferring Mid-Level Image Representations (2014).

    Args:
        context: Source and target.
        layers: New layers.
        width: Units of a new layer; the last is as wide as the features, so that the task's own
            head fits.
        head_scale: Learning rate of the head, as a multiple.

    Returns:
        The objective.

    Raises:
        BadName: There is no layer, or no unit in a layer.
    """
    from itertools import pairwise

    from torch import nn

    if layers < 1 or width < 1:
        raise BadName(
            f"append_layers[{layers=},{width=}]: both are 1 or more", subject="append_layers"
        )
    features = _width(context)
    widths = [features, *[width] * (layers - 1), features]
    modules: list[nn.Module] = [nn.LayerNorm(features)]
    for inputs, outputs in pairwise(widths):
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
    top = context.to_device(nn.Sequential(*modules))
    context.backbone.requires_grad_(False)
    network = nn.Sequential(context.backbone, top, context.head)
    groups = [
        ParameterGroup(list(top.parameters())),
        ParameterGroup(list(context.head.parameters()), scale=head_scale),
    ]
    return Objective(network, groups, frozen=[context.backbone])


def _width(context: Context) -> int:
    """Return the width D of the backbone's features, by passing an empty image."""
    import torch

    was_training = context.backbone.training
    device = next(context.backbone.parameters()).device
    image = torch.zeros(1, 3, context.image_size, context.image_size, device=device)
    with torch.no_grad():
        features = context.backbone.eval()(image)
    context.backbone.train(was_training)
    return int(features.shape[1])
