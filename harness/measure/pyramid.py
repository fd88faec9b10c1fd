"""Get the feature maps that a dense task's head is given, from any network.

A head wants maps at four strides; a network gives what it has. Three steps lead from the one to the
other:

1. Ask the network for its maps, from first to last: timm's ``forward_intermediates``, else
  ``forward_features`` alone.
2. Choose one for each stride. A network that halves its maps as it deepens gives the deepest map
  whose side is nearest to the stride's. For the last stride it is always the deepest of all, so
  that all of the network is used. A plain vision transformer, whose maps are all of one side, gives
  maps of four evenly spaced depths instead, as the simple feature pyramid of Li et al. 2022 (arXiv
  2203.16527) does, without its learned layers.
3. Resize each to its stride: averages to go down, bilinear interpolation to go up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from headwater.registry import Pyramid
from headwater.registry.errors import NotApplicable

STRIDES = Pyramid(()).strides


def pyramid_of(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Return a network's maps of square images at the strides 4, 8, 16 and 32.

    Args:
        network: Built by a source.
        images: (B, 3, S, S), S a multiple of 32.

    Returns:
        For each stride s a map (B, C, S / s, S / s).

    Raises:
        NotApplicable: The network's features are no maps.
    """
    maps = _maps(network, images)
    if not maps:
        name = type(network).__name__
        raise NotApplicable(
            f"{name} gives no feature maps (B, C, h, w), which dense tasks need", subject=name
        )
    sides = [images.shape[-1] // stride for stride in STRIDES]
    is_plain_transformer = len({features.shape[-1] for features in maps}) == 1
    if is_plain_transformer:
        chosen = _at_even_depths(maps, len(sides))
    else:
        chosen = [*(_nearest(maps, side) for side in sides[:-1]), maps[-1]]
    return [_resized(features, side) for features, side in zip(chosen, sides, strict=True)]


def _maps(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Return a network's maps (B, C, h, w), from first to last; empty where it has none."""
    if hasattr(network, "forward_intermediates"):
        intermediates: Any = network.forward_intermediates
        final, maps = cast(tuple[Any, list[Tensor]], intermediates(images, output_fmt="NCHW"))
    else:
        final = network.forward_features(images)  # type: ignore[operator]
        maps = []
    # The final features replace the last map where they are a map of the same size: they have passed the final norm.
    # Channels-last and token sequences become maps on the way only; of those the final norm stays the pooled head's.
    if _is_map(final, network) and (not maps or final.shape[2:] == maps[-1].shape[2:]):
        return [*maps[:-1], final]
    return list(maps)


def _is_map(features: Any, network: nn.Module) -> bool:
    """Return whether features are (B, C, h, w); of a square image h equals w.

    timm's networks whose channels are last say so in ``output_fmt``.
    """
    if not isinstance(features, Tensor) or features.ndim != 4:
        return False
    is_square = features.shape[2] == features.shape[3]
    return is_square and getattr(network, "output_fmt", "NCHW") == "NCHW"


def _at_even_depths(maps: Sequence[Tensor], levels: int) -> list[Tensor]:
    """Return as many maps as there are levels, of evenly spaced depths, the last one last."""
    depths = [round((level + 1) * len(maps) / levels) - 1 for level in range(levels)]
    return [maps[max(0, depth)] for depth in depths]


def _nearest(maps: Sequence[Tensor], side: int) -> Tensor:
    """Return the deepest of the maps whose side is nearest to ``side``, in octaves."""

    def ratio(features: Tensor) -> float:
        return max(features.shape[-1], side) / min(features.shape[-1], side)

    return min(reversed(maps), key=ratio)


def _resized(features: Tensor, side: int) -> Tensor:
    if features.shape[-2:] == (side, side):
        return features
    if features.shape[-1] > side:
        return adaptive_avg_pool2d(features, side)
    return interpolate(features, size=(side, side), mode="bilinear", align_corners=False)
