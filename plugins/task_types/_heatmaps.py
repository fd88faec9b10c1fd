"""Points as means of heat maps, so that they fall between the maps' cells: predictions and loss.

Integral regression: X. Sun et al., "Integral Human Pose Regression", ECCV 2018 (arXiv 1711.08229);
A. Nibali et al., "Numerical Coordinate Regression with Convolutional Neural Networks", 2018 (arXiv
1801.07372, "DSNT").

The softmax p of a point's map of n × n logits is a distribution over cells. With c_j = (j + ½) / n,
the centre of cell j along a side, the predicted point is its mean,

    x = Σ_ij p_ij c_j        y = Σ_ij p_ij c_i

The loss of a visible point (u, v) is, with distances in half sides, as Nibali et al. have
coordinates from -1 to 1,

    2 |(x, y) - (u, v)|  +  JS(p, q),        JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m),  m = ½ (p + q)

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
TINY_SHARE = 1e-12
"""Added to a share before its logarithm is taken, which of 0 would be infinite."""


def distributions(maps: Tensor) -> Tensor:
    """Return the softmax over each map, (B, K, n, n) float32, of logits (B, K, n, n)."""
    logits = maps.float().flatten(2)
    return logits.softmax(2).view_as(maps)


def means(shares: Tensor) -> Tensor:
    """Return x and y, (B, K, 2) as shares of the side, of distributions (B, K, n, n)."""
    centres = cell_centres(shares)
    # Rows are axis 2: summed over, what is left is the distribution along x.
    x = shares.sum(2) @ centres
    y = shares.sum(3) @ centres
    return torch.stack([x, y], -1)


def cell_centres(maps: Tensor) -> Tensor:
    """Return the centres of the cells along a side, (n,) as shares of the side, of maps (..., n)."""
    cells = maps.shape[-1]
    numbers = torch.arange(cells, device=maps.device, dtype=maps.dtype)
    return (numbers + 0.5) / cells


def gaussians(places: Tensor, shares: Tensor) -> Tensor:
    """Return the distributions q that are wanted around places.

    A normal distribution of two independent coordinates is the product of one along x and one along
    y; a softmax makes each sum to 1, whatever the border cuts off.

    Args:
        places: (B, K, 2) x and y as shares of the side.
        shares: (B, K, n, n) maps whose shape the result takes.
    """
    across = _gaussian_along_side(places[..., 0], shares)
    down = _gaussian_along_side(places[..., 1], shares)
    return down[..., :, None] * across[..., None, :]


def _gaussian_along_side(coordinate: Tensor, shares: Tensor) -> Tensor:
    """Return the normal distributions (B, K, n) over the cells along a side, around coordinates
    (B, K).
    """
    side = shares.shape[-1]
    offset = cell_centres(shares) - coordinate[..., None]
    in_deviations = offset * side / SPREAD
    log_density = in_deviations.square().mul(-0.5)
    return log_density.softmax(-1)


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence (B, K) of distributions (B, K, n, n), in nats: 0 to log
    2.
    """
    middle = (first + second) / 2
    from_first = _relative_entropy(first, middle)
    from_second = _relative_entropy(second, middle)
    return (from_first + from_second) / 2


def _relative_entropy(shares: Tensor, reference: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence (B, K) of distributions from a reference."""
    log_shares = (shares + TINY_SHARE).log()
    log_reference = (reference + TINY_SHARE).log()
    log_ratio = log_shares - log_reference
    return (shares * log_ratio).sum((2, 3))


def heatmap_loss(maps: Tensor, places: Tensor, visible: Tensor) -> Tensor:
    """Return the loss of a batch.

    Args:
        maps: (B, K, n, n) logits.
        places: (B, K, 2) x and y as shares of the side.
        visible: (B, K), 1 where a point is visible and 0 where its loss does not count.
    """
    shares = distributions(maps)
    # The side is 2 long in the coordinates of Nibali et al.
    distance = 2 * (means(shares) - places).norm(dim=-1)
    wanted = gaussians(places, shares)
    spread_loss = DIVERGENCE_WEIGHT * divergence(shares, wanted)
    by_point = distance + spread_loss
    count = visible.sum().clamp(min=1)
    return (by_point * visible).sum() / count


def decoded_points(maps: Tensor) -> Tensor:
    """Return (B, K, 3) of logits (B, K, n, n): x, y as shares of the side, and the confidence.

    The confidence is how much of the map lies within ``CONFIDENCE_REACH`` cells each way of the
    point's cell.
    """
    shares = distributions(maps)
    places = means(shares)
    side = shares.shape[-1]
    cells = (places * side).long().clamp(0, side - 1)
    column, row = cells.unbind(-1)
    # The sum over a window is a difference of four sums over all cells above and to the left of its
    # corners. Zeros around the map keep the windows at its border inside.
    reach = CONFIDENCE_REACH
    window = 2 * reach + 1
    padded = pad(shares, (reach + 1, reach, reach + 1, reach))
    total = padded.cumsum(2).cumsum(3).flatten(2)
    width = side + window

    def total_at(below: int, right: int) -> Tensor:
        index = (row + below) * width + column + right
        return total.gather(2, index[..., None])[..., 0]

    right_part = total_at(window, window) - total_at(0, window)
    inside = right_part - total_at(window, 0) + total_at(0, 0)
    confidence = inside.clamp(0, 1)
    return torch.cat([places, confidence[..., None]], -1)
