"""MMD: source and target features of one distribution, as kernels see it.

Source: Long et al., Learning Transferable Features with Deep Adaptation Networks (DAN, 2015, arXiv
1502.02791); the statistic is that of Gretton et al. 2012 (JMLR 13:723), equation 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import Context, Objective, adaptation
from headwater.plugins.two_domains import TwoDomains

if TYPE_CHECKING:
    from torch import Tensor

WIDTHS = tuple(2.0**k for k in range(-2, 3))
"""Bandwidths of the kernels, as multiples of the mean squared distance."""


@adaptation(
    "mmd",
    control="from_scratch",
    approach="mapping",
    source_labelled=True,
    needs_source=True,
    pooled=True,
)
def mmd(context: Context, *, labelled: bool = True, strength: float = 1.0) -> Objective:
    """The source's task (and the target's), plus the maximum mean discrepancy between the features
    of both.

    Args:
        context: Source and target.
        labelled: Whether the target's labels are used.
        strength: Weight of the discrepancy.

    Returns:
        The objective.

    Raises:
        NotApplicable: The source is no chain.
    """

    def penalty(source: Tensor, target: Tensor, step: int) -> Tensor:
        return strength * discrepancy(source, target)

    return TwoDomains(context, "mmd").aligned(labelled, penalty)


def discrepancy(source: Tensor, target: Tensor) -> Tensor:
    """Return the squared MMD of features: the unbiased U-statistic.

    It is the mean over i ≠ j of k(s_i, s_j) + k(t_i, t_j) − k(s_i, t_j) − k(s_j, t_i), where k is
    the mean of five Gaussian kernels exp(−‖x − y‖²/(2^m γ)), m = −2..2, and γ the mean squared
    distance of two different features of both batches, a constant to the gradient. It is below 0 by
    chance where the distributions are alike.

    Args:
        source: (n, D), of which the first min(n, n') count.
        target: (n', D), of which the first min(n, n') count.
    """
    import torch

    count = min(len(source), len(target))
    # There is no pair i ≠ j.
    if count < 2:
        return source.new_zeros(())
    both = torch.cat([source[:count], target[:count]])
    squared = _squared_distances(both)
    ordered_pairs = 2 * count * (2 * count - 1)
    gamma = squared.detach().sum() / ordered_pairs
    # Features that are all the same have γ = 0, and kernels of 1.
    scaled = squared / gamma.clamp(min=torch.finfo(squared.dtype).tiny)
    kernels = [torch.exp(-scaled / width) for width in WIDTHS]
    kernel = torch.stack(kernels).mean(0)

    within_source = kernel[:count, :count]
    within_target = kernel[count:, count:]
    cross = kernel[:count, count:]
    terms = within_source + within_target - cross - cross.T
    off_diagonal = terms.sum() - terms.diagonal().sum()
    return off_diagonal / (count * (count - 1))


def _squared_distances(features: Tensor) -> Tensor:
    """Return the squared distances (N, N) of features (N, D): ‖x‖² + ‖y‖² − 2 xᵀy."""
    # Distances do not depend on the mean, but rounding does: of large norms little would be left.
    centred = features - features.detach().mean(0)
    norms = (centred**2).sum(1)
    sums_of_norms = norms[:, None] + norms[None]
    squared = sums_of_norms - 2 * centred @ centred.T
    # Rounding may have left a distance below 0.
    return squared.clamp(min=0)
