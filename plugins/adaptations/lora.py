"""LoRA: the backbone's matrices are moved by low-rank adapters, which are merged into them at the
end.

Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022 (arXiv 2106.09685), section
4.1: a layer's weight W₀ (out, in) is frozen, and

    W = W₀ + (α/r)·BA,        A (r, in) random, B (out, r) zero at first

so that training begins at the source's network. The adapters are the peft library's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from headwater import (
    BadName,
    Context,
    HeadwaterError,
    NotApplicable,
    Objective,
    ParameterGroup,
    adaptation,
)

if TYPE_CHECKING:
    from torch import nn


@adaptation("lora", control="from_scratch", approach="network")
def lora(
    context: Context,
    *,
    rank: int = 8,
    alpha: int = 16,
    targets: str = "all",
    head_scale: float = 1.0,
) -> Objective:
    """Low-rank adapters on the backbone's linear and convolution layers, and a fresh head; all else
    stays the source's.

    Args:
        context: Source and target.
        rank: r, the rank of an adapter.
        alpha: α; an adapter is scaled by α/r.
        targets: ``all`` layers, the ``pointwise`` ones (linear layers and 1×1 convolutions), or
            names with wildcards joined by ``+``, such as ``*.qkv+*.fc1``. Grouped convolutions,
            depthwise ones among them, get no adapter.
        head_scale: Learning rate of the head, as a multiple.

    Returns:
        The objective.

    Raises:
        BadName: The rank is below 1.
        HeadwaterError: The peft library is not installed.
        NotApplicable: The source has no such layer.
    """
    from torch import nn

    if rank < 1:
        raise BadName(f"lora[rank={rank}]: a rank is 1 or more", subject="lora")
    layers = _adaptable(context.backbone)
    names = [name for name, layer in layers if _is_wanted(name, layer, targets)]
    if not names:
        raise NotApplicable(
            f"{context.source.name} has no layer that lora[targets={targets}] adapts",
            subject=context.source.name,
            hint="targets=all takes every linear layer and every convolution without groups.",
        )
    tuner = _adapted(context.backbone, names, rank, alpha)
    context.to_device(context.backbone)
    network = nn.Sequential(context.backbone, context.head)
    # peft has frozen all that is not an adapter.
    adapters = [parameter for parameter in context.backbone.parameters() if parameter.requires_grad]

    def merge() -> nn.Module:
        # The plain layers are back where they were: the network needs no peft to be loaded.
        tuner.merge_and_unload()
        return network

    groups = [
        ParameterGroup(adapters),
        ParameterGroup(list(context.head.parameters()), scale=head_scale),
    ]
    return Objective(network, groups, frozen=[context.backbone], finish=merge)


def _adapted(backbone: nn.Module, names: list[str], rank: int, alpha: int) -> Any:
    """Put adapters around the named layers, freeze all else, and return the tuner of peft."""
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        raise HeadwaterError(
            "lora needs the peft library, which is not installed",
            subject="peft",
            hint="pip install 'headwater[lora]'",
        ) from error
    # A list of names would be matched by their ends; a string is a pattern of the whole name.
    pattern = "|".join(map(re.escape, names))
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=pattern)
    return LoraModel(backbone, config, "default")


def _adaptable(backbone: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    """Yield the layers whose output is linear in their weight."""
    from torch import nn

    for name, layer in backbone.named_modules():
        # Not a subclass, which may standardise its weight: W₀ + BA would not merge.
        if type(layer) is nn.Conv2d:
            is_adaptable = layer.groups == 1 and layer.padding_mode == "zeros"
        else:
            is_adaptable = type(layer) is nn.Linear
        if is_adaptable:
            yield name, layer


def _is_wanted(name: str, layer: nn.Linear | nn.Conv2d, targets: str) -> bool:
    """Return whether the option ``targets`` takes in a layer."""
    if targets == "all":
        return True
    if targets == "pointwise":
        return getattr(layer, "kernel_size", (1, 1)) == (1, 1)
    patterns = [pattern.strip() for pattern in targets.split("+")]
    return any(fnmatchcase(name, pattern) for pattern in patterns)
