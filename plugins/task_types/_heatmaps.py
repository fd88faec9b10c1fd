"""Heat maps of points: their coordinates are the mean of the map, so that they fall between its cells.

Integral regression (Sun et al. 2018, arXiv 1711.08229; Nibali et al. 2018, arXiv 1801.07372, "DSNT"): the softmax of a point's map is a
distribution over cells, its mean the point. Both where it is and how it is spread are learned.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import horizontal_flip
from torchvision.tv_tensors import KeyPoints

SPREAD = 1.0
"""Deviation of the distribution that is wanted, in cells."""
REGULARISED = 1.0
"""Weight of the divergence from it."""
NEAR = 2
"""Cells each way of a point whose share of the map is the confidence in it."""
SHIFT, SCALE = 0.1, (0.8, 1.2)
"""Of augmentation: the largest shift, as a share of the side, and the range of zooms."""
_TINY = 1e-12


def distributions(maps: Tensor) -> Tensor:
    """(B, K, n, n) float32 that add up to 1 over each map."""
    return maps.float().flatten(2).softmax(2).view_as(maps)


def means(found: Tensor) -> Tensor:
    """(B, K, 2): x and y of distributions (B, K, n, n), as shares of the side; a cell stands at its centre."""
    at = centres(found)
    return torch.stack([found.sum(2) @ at, found.sum(3) @ at], -1)


def centres(found: Tensor) -> Tensor:
    """(n,) of the cells along a side."""
    return (
        torch.arange(found.shape[-1], device=found.device, dtype=found.dtype) + 0.5
    ) / found.shape[-1]


def gaussians(places: Tensor, found: Tensor) -> Tensor:
    """The distributions (B, K, n, n) that are wanted of points (B, K, 2): normal around them, cut at the border."""
    side, at = found.shape[-1], centres(found)
    across, down = (
        ((at - places[..., axis, None]) * side / SPREAD).square().mul(-0.5).softmax(-1)
        for axis in (0, 1)
    )
    return down[..., :, None] * across[..., None, :]


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """(B, K) Jensen-Shannon divergence of distributions (B, K, n, n), in nats: 0 to log 2."""
    middle = (one + other) / 2
    kept = [
        (side * ((side + _TINY).log() - (middle + _TINY).log())).sum((2, 3))
        for side in (one, other)
    ]
    return (kept[0] + kept[1]) / 2


def loss_of(maps: Tensor, places: Tensor, visible: Tensor) -> Tensor:
    """The mean over visible points, 0 where none is, of the distance from the point and the divergence from its distribution.

    ``maps`` (B, K, n, n); ``places`` (B, K, 2); ``visible`` (B, K). Distances are in half sides: Nibali et al. have coordinates of −1 to 1.
    """
    found = distributions(maps)
    distance = 2 * (means(found) - places).norm(dim=-1)
    each = distance + REGULARISED * divergence(found, gaussians(places, found))
    return (each * visible).sum() / visible.sum().clamp(min=1)


def decoded(maps: Tensor) -> Tensor:
    """(B, K, 3): x, y as shares of the side, and the confidence: how much of the map lies within two cells each way of the point."""
    found = distributions(maps)
    places, side = means(found), found.shape[-1]
    cell = (places * side).long().clamp(0, side - 1)
    # Sums over windows of the padded map, from its sums over all cells above and to the left.
    total = pad(found, (NEAR + 1, NEAR, NEAR + 1, NEAR)).cumsum(2).cumsum(3).flatten(2)
    width, (column, row) = side + 2 * NEAR + 1, cell.unbind(-1)
    corner = [
        total.gather(2, ((row + below) * width + column + beside)[..., None])[..., 0]
        for below, beside in (
            (2 * NEAR + 1, 2 * NEAR + 1),
            (0, 2 * NEAR + 1),
            (2 * NEAR + 1, 0),
            (0, 0),
        )
    ]
    confidence = (corner[0] - corner[1] - corner[2] + corner[3]).clamp(0, 1)
    return torch.cat([places, confidence[..., None]], -1)


class MovedPoints(v2.Transform):
    """Shifts, zooms and, where it may, mirrors an image with its points.

    ``points`` are KeyPoints (K, 2) as shares of the side; ``visible`` (K,) and ``partner`` (K,) are theirs, by number: in a mirror a point
    becomes its partner. Points without partners are never mirrored.
    """

    def __init__(self, mirror: bool) -> None:
        super().__init__()
        self.mirror = mirror
        self.move = v2.RandomAffine(
            0, (SHIFT, SHIFT), SCALE, interpolation=v2.InterpolationMode.BILINEAR, fill=0
        )

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        if self.mirror and bool((sample["partner"] >= 0).all()) and bool(torch.rand(()) < 0.5):
            sample = _mirrored(sample)
        height, width = sample["image"].shape[-2:]
        size = torch.tensor((width, height), device=sample["points"].device)
        given = KeyPoints(sample["points"].as_subclass(Tensor) * size, canvas_size=(height, width))
        moved = self.move({"image": sample["image"], "points": given})
        return sample | {
            "image": moved["image"],
            "points": KeyPoints(moved["points"].as_subclass(Tensor) / size, canvas_size=(1, 1)),
        }


def _mirrored(sample: dict[str, Any]) -> dict[str, Any]:
    # Not torchvision's own: it takes coordinates of pixels, from which its affine maps, of corners, differ by half a pixel.
    order, points = sample["partner"].long(), sample["points"].as_subclass(Tensor)
    flipped = torch.stack([1 - points[:, 0], points[:, 1]], 1)[order]
    points = KeyPoints(flipped, canvas_size=(1, 1))
    return sample | {
        "image": horizontal_flip(sample["image"]),
        "points": points,
        "visible": sample["visible"][order],
    }
