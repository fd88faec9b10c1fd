"""Pyramids: the feature maps that a dense task's head is given, from any network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from registry import Pyramid
from registry.errors import NotApplicable

STRIDES = Pyramid(()).strides


def pyramid_of(network: nn.Module, images: Tensor) -> list[Tensor]:
    """(B, 3, S, S) -> maps (B, C_i, S / s, S / s) at strides 4, 8, 16 and 32; S is a multiple of 32.

    Of each stride the network's deepest map, where it tells of its maps (timm's ``forward_intermediates``); the last is what
    ``forward_features`` gives, so that all of the network is used. Where it has none of a stride, the nearest one is resized: of
    a plain vision transformer, whose maps are all of one stride, four from evenly spaced depths (as Li et al. 2022, arXiv 2203.16527,
    make a simple feature pyramid, without its learned layers). Raises NotApplicable for features that are no maps.
    """
    final, maps = _maps(network, images)
    if final is not None:
        maps[-1:] = [final]
    if not maps:
        name = type(network).__name__
        raise NotApplicable(f"{name} gives no feature maps (B, C, h, w), which dense tasks need", subject=name)
    wanted = [images.shape[-1] // stride for stride in STRIDES]
    if len({found.shape[-1] for found in maps}) == 1:  # a plain transformer
        depths = [round((level + 1) * len(maps) / len(wanted)) - 1 for level in range(len(wanted))]
        return [_resized(maps[max(0, depth)], side) for depth, side in zip(depths, wanted, strict=True)]
    return [_resized(_nearest(maps, side), side) for side in wanted]


def _maps(network: nn.Module, images: Tensor) -> tuple[Tensor | None, list[Tensor]]:
    """What ``forward_features`` gives, where it is a map, and the maps on the way, all (B, C, h, w)."""
    if hasattr(network, "forward_intermediates"):
        final, maps = cast(tuple[Tensor, list[Tensor]], network.forward_intermediates(images, output_fmt="NCHW"))  # type: ignore[operator]
        maps = list(maps)
    else:
        final, maps = cast(Tensor, network.forward_features(images)), []  # type: ignore[operator]
    # Channels-last and token sequences come to maps in ``maps`` only; their final norm then stays the head's of pooled features.
    is_map = final.ndim == 4 and (not maps or final.shape[2:] == maps[-1].shape[2:])
    return (final if is_map else None), maps


def _nearest(maps: Sequence[Tensor], side: int) -> Tensor:
    """The deepest of the maps whose side is nearest to ``side``, in octaves."""
    return min(reversed(maps), key=lambda found: max(found.shape[-1], side) / min(found.shape[-1], side))


def _resized(found: Tensor, side: int) -> Tensor:
    if found.shape[-2:] == (side, side):
        return found
    if found.shape[-1] > side:
        return adaptive_avg_pool2d(found, side)
    return interpolate(found, size=(side, side), mode="bilinear", align_corners=False)
