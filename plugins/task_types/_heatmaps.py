"""Points as means of heat maps, so that they fall between the maps' cells: predictions and loss.

Integral regression: X. Sun et al., "Integral Human Pose Regression", ECCV 2018 (arXiv 1711.08229);
A. Nibali et al., "Numerical Coordinate Regression with Convolutional Neural Networks", 2018 (arXiv
1801.07372, "DSNT").

The softmax p of a point's map of n × n logits is a distribution over cells. With c_j = (j + ½) / n,
the centre of cell j along a side, the predicted point is its mean,
    x = Σ_ij p_ij c_j        y = Σ_ij p_ij c_i
The loss of a visible point (u, v) is, with distances in half sides, as Nibali et al. have
coordinates from -1 to 1,
    2 |(x, y) - (u, v)|  +  JS(p, q)
where q is a normal distribution around (u, v) with a deviation of ``SPREAD`` cells, cut at the
border, and JS the Jensen-Shannon divergence in nats: both where p is and how it is spread are
learned. A batch's loss is the mean over its visible points, 0 if there is none.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

SPREAD = 1.0
"""Deviation of the distribution that is wanted, in cells."""
DIVERGENCE_WEIGHT = 1.0
"""Weight of the divergence from it."""
CONFIDENCE_REACH = 2
"""Cells each way of a point whose share of the map is the confidence in it."""
_TINY = 1e-12


def distributions(maps: Tensor) -> Tensor:
    """Return the softmax over each map, (B, K, n, n) float32, of logits (B, K, n, n)."""
    return maps.float().flatten(2).softmax(2).view_as(maps)


def means(shares: Tensor) -> Tensor:
    """Return x and y, (B, K, 2) as shares of the side, of distributions (B, K, n, n)."""
    at = cell_centres(shares)
    return torch.stack([shares.sum(2) @ at, shares.sum(3) @ at], -1)


def cell_centres(maps: Tensor) -> Tensor:
    """Return the centres of the cells along a side, (n,) as shares of the side, of maps (..., n)."""
    cells = maps.shape[-1]
    return (torch.arange(cells, device=maps.device, dtype=maps.dtype) + 0.5) / cells


def gaussians(places: Tensor, shares: Tensor) -> Tensor:
    """Return the wanted distributions, in the shape (B, K, n, n) of ``shares``, around places (B,
    K, 2).
    """
    side, at = shares.shape[-1], cell_centres(shares)
    across, down = (
        ((at - places[..., axis, None]) * side / SPREAD).square().mul(-0.5).softmax(-1)
        for axis in (0, 1)
    )
    return down[..., :, None] * across[..., None, :]


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence (B, K) of distributions (B, K, n, n), in nats: 0 to log
    2.
    """
    middle = (first + second) / 2
    from_first, from_second = (
        (shares * ((shares + _TINY).log() - (middle + _TINY).log())).sum((2, 3))
        for shares in (first, second)
    )
    return (from_first + from_second) / 2


def heatmap_loss(maps: Tensor, places: Tensor, visible: Tensor) -> Tensor:
    """Return the loss of maps (B, K, n, n) against places (B, K, 2), shares of the side, where
    visible (B, K) is 1.
    """
    shares = distributions(maps)
    distance = 2 * (means(shares) - places).norm(dim=-1)
    each = distance + DIVERGENCE_WEIGHT * divergence(shares, gaussians(places, shares))
    return (each * visible).sum() / visible.sum().clamp(min=1)


def decoded_points(maps: Tensor) -> Tensor:
    """Return (B, K, 3) of logits (B, K, n, n): x, y as shares of the side, and the confidence.

    The confidence is how much of the map lies within ``CONFIDENCE_REACH`` cells each way of the
    point's cell.
    """
    shares = distributions(maps)
    places, side = means(shares), shares.shape[-1]
    column, row = (places * side).long().clamp(0, side - 1).unbind(-1)
    # Sums over windows of the padded map, from its sums over all cells above and to the left.
    reach = CONFIDENCE_REACH
    window = 2 * reach + 1
    total = pad(shares, (reach + 1, reach, reach + 1, reach)).cumsum(2).cumsum(3).flatten(2)
    width = side + window

    def total_at(below: int, right: int) -> Tensor:
        index = (row + below) * width + column + right
        return total.gather(2, index[..., None])[..., 0]

    inside = total_at(window, window) - total_at(0, window) - total_at(window, 0) + total_at(0, 0)
    return torch.cat([places, inside.clamp(0, 1)[..., None]], -1)
