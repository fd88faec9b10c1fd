"""Backbones: a source without its own classifier, built, loaded and sized."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from headwater.harness.measure.pyramid import pyramid_of
from headwater.registry import Pyramid, SourceModel
from headwater.registry.errors import BadPlugin, HeadwaterError


class Backbone(nn.Module):
    """(B, 3, H, W) normalised images -> (B, D) features: the network up to its own classifier; ``dense``: a pyramid of maps."""

    def __init__(self, network: nn.Module, *, dense: bool = False) -> None:
        super().__init__()
        self.network = network
        self.dense = dense

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        if self.dense:
            return pyramid_of(self.network, images)
        return self.network.forward_head(self.network.forward_features(images), pre_logits=True)  # type: ignore[operator]


def build(source: SourceModel, image_size: int, seed: int) -> Backbone:
    """Build a source; a random one is drawn from ``seed``. Raises BadPlugin where it does not keep its contract."""
    torch.manual_seed(seed)
    try:
        network = source.network(image_size)
    except HeadwaterError:
        raise
    except Exception as error:
        raise BadPlugin(
            f"{source.name} could not be built: {type(error).__name__}: {error}",
            subject=source.name,
            hint=f"Try it by itself: headwater check {source.name}",
        ) from error
    missing = [name for name in ("forward_features", "forward_head") if not hasattr(network, name)]
    if missing:
        raise BadPlugin(
            f"{source.name} builds a {type(network).__name__} without {' and '.join(missing)}",
            subject=source.name,
        )
    return Backbone(network)


def normalise_like(given: SourceModel, backbone: Backbone, source: SourceModel) -> Backbone:
    """A source's backbone that takes images normalised as those of ``given``, and sees them normalised as its own."""
    if (given.mean, given.std) != (source.mean, source.std):
        mean, std, own_mean, own_std = (
            torch.tensor(values)[:, None, None]
            for values in (given.mean, given.std, source.mean, source.std)
        )
        scale, shift = std / own_std, (mean - own_mean) / own_std
        backbone.register_forward_pre_hook(
            lambda _, images: (images[0] * scale.to(images[0]) + shift.to(images[0]),)
        )
    return backbone


@torch.no_grad()
def width_of(backbone: nn.Module, image_size: int) -> int | Pyramid:
    """D, or the pyramid of maps, by a look at what comes out."""
    training = backbone.training
    features = backbone.eval()(torch.zeros(1, 3, image_size, image_size))
    backbone.train(training)
    if isinstance(features, list):
        return Pyramid(tuple(maps.shape[1] for maps in features))
    if features.ndim != 2:
        raise BadPlugin(f"features have shape {tuple(features.shape)}, (1, D) was expected")
    return int(features.shape[1])


class BackboneCache:
    """Keeps the last few built sources, so that the cells of one source load its weights once."""

    def __init__(self, room: int = 2) -> None:
        self.room = room
        self.kept: dict[object, tuple[Backbone, dict[bool, int | Pyramid]]] = {}

    def get(
        self,
        source: SourceModel,
        image_size: int,
        seed: int,
        checkpoint: Path | None,
        *,
        dense: bool = False,
    ) -> tuple[Backbone, int | Pyramid]:
        """A fresh copy and its width; ``checkpoint`` holds a chain's trained weights (safetensors). ``dense``: one that gives maps."""
        key = (source.identity(), image_size, seed if source.random else None, str(checkpoint))
        if key not in self.kept:
            backbone = build(source, image_size, seed)
            if checkpoint:
                load_weights(backbone, checkpoint)
            self.kept[key] = backbone, {}
            while len(self.kept) > self.room:
                del self.kept[next(iter(self.kept))]
        backbone, widths = self.kept[key]
        backbone.dense = dense
        if dense not in widths:
            widths[dense] = width_of(backbone, image_size)
        return copy.deepcopy(backbone), widths[dense]


def save_weights(backbone: Backbone, path: Path) -> None:
    save_state(backbone.network, path)


def save_state(network: nn.Module, path: Path, facts: Mapping[str, str] | None = None) -> None:
    """A network's whole state as safetensors, with ``facts`` in its header; weights that modules share are written for each."""
    from safetensors.torch import save_file

    from headwater.registry.cache import write_atomically

    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }
    write_atomically(path, lambda temporary: save_file(state, temporary, dict(facts or {})))


def load_weights(backbone: Backbone, path: Path) -> None:
    from safetensors.torch import load_file

    backbone.network.load_state_dict(load_file(path))
