"""Stages: a network cut into its parts, in order of depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_TRUNKS = frozenset(
    {"blocks", "body", "encoder", "features", "layers", "levels", "network", "stages", "trunk"}
)
"""What the containers of a network's stages are called, where its ``feature_info`` does not say."""


def stages(network: nn.Module) -> dict[str, nn.ModuleList]:
    """The parts of a network without its classifier, in the order in which it defines them, by
    name.

    A part is a top-level module with a matrix or a kernel, or an item of the container that holds
    the trunk: ``conv1``, ``layer1``, ... of a ResNet, ``patch_embed``, ``blocks.0``, ... of a ViT,
    ``stem``, ``stages.0``, ... of a ConvNeXt. What follows and has none (norms, activations,
    pooling) goes with it. Parameters of the network itself (class tokens, position embeddings) go
    with the first part, as an ``nn.ParameterList``. So every parameter is in exactly one part. The
    lists hold the network's own modules: what is frozen or replaced in them is so in the network. A
    wrapper whose only child is called ``network`` (what an adaptation is handed) is looked into.
    """
    from torch import nn

    network = _unwrapped(network)
    found: dict[str, list[nn.Module]] = {}
    early: list[nn.Module] = []
    for name, module in _items(network):
        if _has_matrix(module):
            found[name] = [module]
        elif found:
            found[next(reversed(found))].append(module)
        else:
            early.append(module)
    own = list(network.parameters(recurse=False))
    if not found:  # a network of vectors alone, or a single layer
        found[type(network).__name__] = []
    first = next(iter(found))
    found[first] = [*([nn.ParameterList(own)] if own else []), *early, *found[first]]
    return {name: nn.ModuleList(modules) for name, modules in found.items()}


def depths(parts: Mapping[str, nn.Module]) -> dict[str, float]:
    """Each part's place from 0 (the input's end) to 1, which is the head's and no part's."""
    return {name: place / len(parts) for place, name in enumerate(parts)}


def called_modules(part: nn.Module) -> Iterator[nn.Module]:
    """The modules of a part that the network calls: lists are not called, their items are."""
    from torch import nn

    if isinstance(part, nn.ModuleList):
        for item in part:
            yield from called_modules(item)
    elif not isinstance(part, nn.ParameterList):
        yield part


def _unwrapped(network: nn.Module) -> nn.Module:
    children = dict(network.named_children())
    wraps = list(children) == ["network"] and not list(network.parameters(recurse=False))
    return children["network"] if wraps else network


def _items(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    trunks = _trunks(network)
    for name, child in network.named_children():
        if name in trunks:
            yield from ((f"{name}.{inner}", item) for inner, item in child.named_children())
        else:
            yield name, child


def _trunks(network: nn.Module) -> set[str]:
    """The containers to look into: those whose items the network's own ``feature_info`` names, or
    that are called so.
    """
    from torch import nn

    known: Any = getattr(network, "feature_info", None) or ()
    named = {str(info["module"]).partition(".")[0] for info in known if "." in str(info["module"])}
    containers = {
        name
        for name, child in network.named_children()
        if isinstance(child, nn.Sequential | nn.ModuleList) and len(child) > 1
    }
    return containers & {name for name in named | _TRUNKS if not name.startswith(("stem", "head"))}


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in module.parameters())
