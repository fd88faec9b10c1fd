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
            f"{name} gives no feature maps (B, C, h, w), which dense tasks need",
            subject=name,
        )
    # Step 2: one map for each stride.
    sides = [images.shape[-1] // stride for stride in STRIDES]
    sides_of_maps = {features.shape[-1] for features in maps}
    is_plain_transformer = len(sides_of_maps) == 1
    if is_plain_transformer:
        chosen = _at_even_depths(maps, len(sides))
    else:
        chosen = [_nearest(maps, side) for side in sides[:-1]]
        chosen.append(maps[-1])
    # Step 3: each at its stride.
    pairs = zip(chosen, sides, strict=True)
    return [_resized(features, side) for features, side in pairs]


def _maps(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Return a network's maps (B, C, h, w), from first to last; empty where it has none."""
    if hasattr(network, "forward_intermediates"):
        intermediates: Any = network.forward_intermediates
        final, maps = cast(tuple[Any, list[Tensor]], intermediates(images, output_fmt="NCHW"))
    else:
        final = network.forward_features(images)  # type: ignore[operator]
        maps = []
    if not _is_map(final, network):
        # Channels-last and token sequences become maps on the way only; of those the final norm
        # stays the pooled head's.
        return list(maps)
    if maps and final.shape[2:] != maps[-1].shape[2:]:
        return list(maps)
    # The final features have passed the final norm, so they replace the last map of their size.
    return [*maps[:-1], final]


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
    chosen: list[Tensor] = []
    for level in range(1, levels + 1):
        depth = round(level * len(maps) / levels) - 1
        # With fewer maps than levels, the first serves several.
        chosen.append(maps[max(0, depth)])
    return chosen


def _nearest(maps: Sequence[Tensor], side: int) -> Tensor:
    """Return the deepest of the maps whose side is nearest to ``side``, in octaves."""

    def ratio(features: Tensor) -> float:
        width = features.shape[-1]
        return max(width, side) / min(width, side)

    # min takes the first of equals, which in reverse is the deepest.
    return min(reversed(maps), key=ratio)


def _resized(features: Tensor, side: int) -> Tensor:
    """Return maps (B, C, h, w) as (B, C, side, side)."""
    size = (side, side)
    if features.shape[-2:] == size:
        return features
    if features.shape[-1] > side:
        # Bilinear interpolation would look at four places only and skip the others.
        return adaptive_avg_pool2d(features, side)
    return interpolate(features, size=size, mode="bilinear", align_corners=False)
