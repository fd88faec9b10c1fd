"""Pyramids: the feature maps that a dense task's head is given, from any network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from headwater.registry import Pyramid
from headwater.registry.errors import NotApplicable

STRIDES = Pyramid(()).strides


def pyramid_of(network: nn.Module, images: Tensor) -> list[Tensor]:
    """(B, 3, S, S) -> maps (B, C_i, S / s, S / s) at strides 4, 8, 16 and 32; S is a multiple of 32.

    Of each stride the network's deepest map, where it tells of its maps (timm's ``forward_intermediates``); of the last one always its
    deepest of all, so that all of the network is used: what ``forward_features`` gives, where that is a map of the same size. Where it
    has none of a stride, the nearest one is resized: of a plain vision transformer, whose maps are all of one stride, four from evenly
    spaced depths (as Li et al. 2022, arXiv 2203.16527, make a simple feature pyramid, without its learned layers). Raises NotApplicable
    for features that are no maps.
    """
    maps = _maps(network, images)
    if not maps:
        name = type(network).__name__
        raise NotApplicable(
            f"{name} gives no feature maps (B, C, h, w), which dense tasks need", subject=name
        )
    wanted = [images.shape[-1] // stride for stride in STRIDES]
    if len({found.shape[-1] for found in maps}) == 1:  # a plain transformer
        depths = [round((level + 1) * len(maps) / len(wanted)) - 1 for level in range(len(wanted))]
        return [
            _resized(maps[max(0, depth)], side) for depth, side in zip(depths, wanted, strict=True)
        ]
    return [
        *(_resized(_nearest(maps, side), side) for side in wanted[:-1]),
        _resized(maps[-1], wanted[-1]),
    ]


def _maps(network: nn.Module, images: Tensor) -> list[Tensor]:
    """(B, C, h, w), from first to last."""
    if hasattr(network, "forward_intermediates"):
        intermediates: Any = network.forward_intermediates
        final, maps = cast(tuple[Any, list[Tensor]], intermediates(images, output_fmt="NCHW"))
    else:
        final, maps = network.forward_features(images), []  # type: ignore[operator]
    # Channels-last and token sequences come to maps on the way only; their final norm then stays the head's of pooled features.
    if _is_map(final, network) and (not maps or final.shape[2:] == maps[-1].shape[2:]):
        return [*maps[:-1], final]
    return list(maps)


def _is_map(final: Any, network: nn.Module) -> bool:
    """Whether it is (B, C, h, w): of a square image as high as wide. timm's networks whose channels are last say so."""
    is_square = isinstance(final, Tensor) and final.ndim == 4 and final.shape[2] == final.shape[3]
    return is_square and getattr(network, "output_fmt", "NCHW") == "NCHW"


def _nearest(maps: Sequence[Tensor], side: int) -> Tensor:
    """The deepest of the maps whose side is nearest to ``side``, in octaves."""
    return min(
        reversed(maps), key=lambda found: max(found.shape[-1], side) / min(found.shape[-1], side)
    )


def _resized(found: Tensor, side: int) -> Tensor:
    if found.shape[-2:] == (side, side):
        return found
    if found.shape[-1] > side:
        return adaptive_avg_pool2d(found, side)
    return interpolate(found, size=(side, side), mode="bilinear", align_corners=False)
