"""CORAL: source and target features with the same covariance.

Source: Sun and Saenko, Deep CORAL: Correlation Alignment for Deep Domain Adaptation (2016, arXiv
1607.01719).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import Context, Objective, adaptation
from headwater.plugins.two_domains import TwoDomains

if TYPE_CHECKING:
    from torch import Tensor


@adaptation(
    "coral",
    control="from_scratch",
    approach="mapping",
    source_labelled=True,
    needs_source=True,
    pooled=True,
)
def coral(context: Context, *, labelled: bool = True, strength: float = 1.0) -> Objective:
    """The source's task (and the target's), plus the distance between the covariances of the
    features of both.

    Args:
        context: Source and target.
        labelled: Whether the target's labels are used.
        strength: Weight of the distance.

    Returns:
        The objective.

    Raises:
        NotApplicable: The source is no chain.
    """

    def penalty(source: Tensor, target: Tensor, step: int) -> Tensor:
        return strength * distance(source, target)

    return TwoDomains(context, "coral").aligned(labelled, penalty)


def distance(source: Tensor, target: Tensor) -> Tensor:
    """Return ‖C_S − C_T‖²_F / (4D²) of the covariances of features (equation 1).

    It is computed without a D × D matrix: ‖C_S − C_T‖² = ‖C_S‖² + ‖C_T‖² − 2⟨C_S, C_T⟩, and ⟨XᵀX,
    YᵀY⟩ = ‖XYᵀ‖², where n × n' matrices do, and a batch is smaller than D.

    Args:
        source: (n, D).
        target: (n', D).
    """
    source = _centred(source)
    target = _centred(target)
    of_source = _inner(source, source)
    of_target = _inner(target, target)
    squared = of_source + of_target - 2 * _inner(source, target)
    width = source.shape[1]
    return squared / (4 * width**2)


def _centred(features: Tensor) -> Tensor:
    """Return (X − mean)/√(n − 1), so that XᵀX is the covariance."""
    degrees = max(len(features) - 1, 1)
    return (features - features.mean(0)) / degrees**0.5


def _inner(x: Tensor, y: Tensor) -> Tensor:
    """Return ⟨XᵀX, YᵀY⟩ by n × n' inner products of rows."""
    products = x @ y.T
    return (products**2).sum()
