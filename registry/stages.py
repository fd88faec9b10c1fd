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
    """Return the parts of a network without its classifier, in the order of definition, by name.

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
    names: list[str] = []
    parts: list[list[nn.Module]] = []
    # What comes before the first part with a matrix belongs to no other part: it joins that one.
    before_first: list[nn.Module] = []
    for name, module in _items(network):
        if _has_matrix(module):
            names.append(name)
            parts.append([module])
        elif parts:
            parts[-1].append(module)
        else:
            before_first.append(module)
    if not parts:
        # A network of vectors alone, or a single layer: one part, so that no parameter is missed.
        names.append(type(network).__name__)
        parts.append([])
    direct_parameters = list(network.parameters(recurse=False))
    if direct_parameters:
        before_first.insert(0, nn.ParameterList(direct_parameters))
    parts[0] = before_first + parts[0]
    return {name: nn.ModuleList(part) for name, part in zip(names, parts, strict=True)}


def depths(parts: Mapping[str, nn.Module]) -> dict[str, float]:
    """Return each part's place from 0 (at the input) to 1, which is the head's and no part's."""
    return {name: index / len(parts) for index, name in enumerate(parts)}


def called_modules(part: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of a part that the network calls: a list is not called, its items are."""
    from torch import nn

    if isinstance(part, nn.ModuleList):
        for item in part:
            yield from called_modules(item)
    elif not isinstance(part, nn.ParameterList):
        yield part


def _unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside a wrapper that adds no parameters; else the network itself."""
    children = dict(network.named_children())
    has_parameters = any(True for _ in network.parameters(recurse=False))
    if list(children) == ["network"] and not has_parameters:
        return children["network"]
    return network


def _items(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield top-level modules by name, and in place of each trunk the items of it."""
    trunks = _trunks(network)
    for name, child in network.named_children():
        if name not in trunks:
            yield name, child
            continue
        for item_name, item in child.named_children():
            yield f"{name}.{item_name}", item


def _trunks(network: nn.Module) -> set[str]:
    """Return the names of the containers to look into.

    They are those whose items the network's own ``feature_info`` names (``stages.0``), and those
    that are usually called so.
    """
    from torch import nn

    names = set(_TRUNKS)
    feature_info: Any = getattr(network, "feature_info", None) or ()
    for info in feature_info:
        container, dot, _ = str(info["module"]).partition(".")
        if dot:
            names.add(container)
    trunks: set[str] = set()
    for name, child in network.named_children():
        is_container = isinstance(child, nn.Sequential | nn.ModuleList) and len(child) > 1
        # A stem or a head of several layers is one part: its layers are no stages.
        if is_container and name in names and not name.startswith(("stem", "head")):
            trunks.add(name)
    return trunks


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in module.parameters())
