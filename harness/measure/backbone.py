"""Build, load and size backbones: sources without their own classifiers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from headwater.harness.measure.pyramid import pyramid_of
from headwater.harness.planning.recipes import Family
from headwater.registry import Pyramid, SourceModel
from headwater.registry.cache import write_atomically
from headwater.registry.errors import BadPlugin, HeadwaterError


class Backbone(nn.Module):
    """Maps normalised images (B, 3, H, W) to features (B, D): the network up to its own classifier.

    Args:
        network: The source's network.
        dense: Give a pyramid of feature maps in place of the vectors.
    """

    def __init__(self, network: nn.Module, *, dense: bool = False) -> None:
        super().__init__()
        self.network = network
        self.dense = dense

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        if self.dense:
            return pyramid_of(self.network, images)
        maps = self.network.forward_features(images)  # type: ignore[operator]
        return self.network.forward_head(maps, pre_logits=True)  # type: ignore[operator]


def build(source: SourceModel, image_size: int, seed: int) -> Backbone:
    """Build a source; one with random weights is drawn from ``seed``.

    Raises:
        BadPlugin: It cannot be built, or does not keep its contract.
    """
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


def normalise_like(reference: SourceModel, backbone: Backbone, source: SourceModel) -> Backbone:
    """Let a source's backbone take images that are normalised for ``reference``; it sees them
    normalised for itself.

    Both normalise a pixel p to (p - mean) / std, so one affine map leads from the one to the other.
    """
    if (reference.mean, reference.std) == (source.mean, source.std):
        return backbone
    mean, std, own_mean, own_std = (
        torch.tensor(values)[:, None, None]
        for values in (reference.mean, reference.std, source.mean, source.std)
    )
    scale = std / own_std
    shift = (mean - own_mean) / own_std

    def normalise(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        images = inputs[0]
        return (images * scale.to(images) + shift.to(images),)

    backbone.register_forward_pre_hook(normalise)
    return backbone


@torch.no_grad()
def width_of(backbone: nn.Module, image_size: int) -> int | Pyramid:
    """Return a backbone's number of features D, or the pyramid of its maps, by running it on one
    blank image.
    """
    training = backbone.training
    features = backbone.eval()(torch.zeros(1, 3, image_size, image_size))
    backbone.train(training)
    if isinstance(features, list):
        return Pyramid(tuple(maps.shape[1] for maps in features))
    if features.ndim != 2:
        raise BadPlugin(f"features have shape {tuple(features.shape)}, (1, D) was expected")
    return int(features.shape[1])


def family_of(network: nn.Module) -> Family:
    """Return the family of a network, whose recipe it is trained by.

    A network with layer norms and without batch norms counts as a transformer, ConvNeXt included;
    every other one as a CNN.
    """
    modules = list(network.modules())
    if any(isinstance(module, _BATCH_NORMS) for module in modules):
        return "cnn"
    if any(isinstance(module, nn.LayerNorm | nn.RMSNorm) for module in modules):
        return "transformer"
    return "cnn"


_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class BackboneCache:
    """Keeps the last few built sources, so that the cells of one source load its weights once.

    Args:
        room: How many sources are kept.
    """

    def __init__(self, room: int = 2) -> None:
        self.room = room
        self.built: dict[object, tuple[Backbone, dict[bool, int | Pyramid]]] = {}
        """Each source's backbone, with its width as vectors (False) and as maps (True) once they
        are known.
        """

    def get(
        self,
        source: SourceModel,
        image_size: int,
        *,
        seed: int,
        checkpoint: Path | None,
        dense: bool = False,
    ) -> tuple[Backbone, int | Pyramid]:
        """Return a fresh copy of a source and its width.

        Args:
            source: The source.
            image_size: Side of the images, in pixels.
            seed: What a source with random weights is drawn from.
            checkpoint: A chain's trained weights (safetensors).
            dense: Return a backbone that gives maps.
        """
        backbone, widths = self._built(source, image_size, seed, checkpoint)
        backbone.dense = dense
        if dense not in widths:
            widths[dense] = width_of(backbone, image_size)
        return copy.deepcopy(backbone), widths[dense]

    def built_backbone(
        self, source: SourceModel, image_size: int, *, seed: int, checkpoint: Path | None
    ) -> Backbone:
        """Return the kept backbone itself, to be looked at and never changed."""
        return self._built(source, image_size, seed, checkpoint)[0]

    def _built(
        self, source: SourceModel, image_size: int, seed: int, checkpoint: Path | None
    ) -> tuple[Backbone, dict[bool, int | Pyramid]]:
        key = (source.identity(), image_size, seed if source.random else None, str(checkpoint))
        if key not in self.built:
            backbone = build(source, image_size, seed)
            if checkpoint:
                load_weights(backbone, checkpoint)
            self.built[key] = backbone, {}
            while len(self.built) > self.room:
                oldest = next(iter(self.built))
                del self.built[oldest]
        return self.built[key]


def save_weights(backbone: Backbone, path: Path) -> None:
    """Write a backbone's weights, without a head, as safetensors."""
    save_state(backbone.network, path)


def save_state(network: nn.Module, path: Path, facts: Mapping[str, str] | None = None) -> None:
    """Write a network's whole state as safetensors, with ``facts`` in its header.

    Weights that modules share are written for each of them.
    """
    from safetensors.torch import save_file

    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }
    write_atomically(path, lambda temporary: save_file(state, temporary, dict(facts or {})))


def load_weights(backbone: Backbone, path: Path) -> None:
    """Load what ``save_weights`` wrote."""
    from safetensors.torch import load_file

    backbone.network.load_state_dict(load_file(path))
