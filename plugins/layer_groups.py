"""Layer groups: a backbone's parameters by depth, for learning rates that fall towards the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater import ParameterGroup, stages

if TYPE_CHECKING:
    from torch import nn


def backbone_groups(backbone: nn.Module, decay: float) -> list[ParameterGroup]:
    """Return a backbone's parameters in groups, the rate of each ``decay`` times that of the next.

    The head's rate is 1, so that the last layer's is ``decay`` and the layer before it has its
    square (Howard and Ruder 2018, section 3.2; Bao et al. 2022, arXiv 2106.08254, section 3.1).

    Args:
        backbone: The source's network.
        decay: 1 for one rate, and one group.
    """
    if decay == 1.0:
        return [ParameterGroup(list(backbone.parameters()))]
    layers = layer_parameters(backbone)
    return [
        ParameterGroup(parameters, scale=decay ** (len(layers) - depth))
        for depth, parameters in enumerate(layers)
    ]


def layer_parameters(backbone: nn.Module) -> list[list[nn.Parameter]]:
    """Return a backbone's parameters by layer, from the input on.

    timm's networks say themselves where their layers begin (``group_matcher``): every block of a
    swin or a convnext is a layer of its own. Of other networks each stage is one.
    """
    network: Any = getattr(backbone, "network", backbone)
    if not hasattr(network, "group_matcher"):
        return [list(part.parameters()) for part in stages(backbone).values()]
    from timm.models import group_parameters

    by_name = dict(network.named_parameters())
    layers = group_parameters(network, network.group_matcher(coarse=False))
    return [[by_name[name] for name in layers[depth]] for depth in sorted(layers)]
