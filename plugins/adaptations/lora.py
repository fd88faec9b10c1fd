"""LoRA: the backbone's matrices are moved by low-rank adapters, which are merged into them at the
end.

Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022 (arXiv 2106.09685): W = W₀
+ (α/r)·BA, A (r, in) random, B (out, r) zero at first, W₀ frozen. The adapters are the peft
library's.
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
    names = [name for name, layer in _adaptable(context.backbone) if _wanted(name, layer, targets)]
    if not names:
        hint = "targets=all takes every linear layer and every convolution without groups."
        raise NotApplicable(
            f"{context.source.name} has no layer that lora[targets={targets}] adapts",
            subject=context.source.name,
            hint=hint,
        )
    tuner = _adapted(context.backbone, names, rank, alpha)
    context.to_device(context.backbone)
    network = nn.Sequential(context.backbone, context.head)
    adapters = [parameter for parameter in context.backbone.parameters() if parameter.requires_grad]

    def merged() -> nn.Module:
        tuner.merge_and_unload()  # puts the plain layers back where they were
        return network

    groups = [
        ParameterGroup(adapters),
        ParameterGroup(list(context.head.parameters()), scale=head_scale),
    ]
    return Objective(network, groups, frozen=[context.backbone], finish=merged)


def _adapted(backbone: nn.Module, names: list[str], rank: int, alpha: int) -> Any:
    """Put adapters around the named layers, freeze all else, and return the tuner of peft."""
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        hint = "pip install 'headwater[lora]'"
        raise HeadwaterError(
            "lora needs the peft library, which is not installed", subject="peft", hint=hint
        ) from error
    exactly = "|".join(map(re.escape, names))
    return LoraModel(
        backbone, LoraConfig(r=rank, lora_alpha=alpha, target_modules=exactly), "default"
    )


def _adaptable(backbone: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    """Yield the layers whose output is linear in their weight; a subclass may standardise its
    weight, which does not merge.
    """
    from torch import nn

    for name, layer in backbone.named_modules():
        if type(layer) is nn.Linear or (
            type(layer) is nn.Conv2d and layer.groups == 1 and layer.padding_mode == "zeros"
        ):
            yield name, layer


def _wanted(name: str, layer: nn.Linear | nn.Conv2d, targets: str) -> bool:
    if targets == "pointwise":
        return getattr(layer, "kernel_size", (1, 1)) == (1, 1)
    return targets == "all" or any(
        fnmatchcase(name, pattern.strip()) for pattern in targets.split("+")
    )
