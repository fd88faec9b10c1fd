"""CORAL: source and target features with the same covariance (Deep CORAL: Sun & Saenko 2016, arXiv 1607.01719)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.plugins.two_domains import TwoDomains
from headwater.registry import Context, Objective, adaptation

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
    """The source's task (and the target's), plus the distance between the covariances of the features of both."""
    domains = TwoDomains(context, "coral")
    return domains.aligned(
        labelled, lambda source, target, step: strength * distance(source, target)
    )


def distance(source: Tensor, target: Tensor) -> Tensor:
    """‖C_S − C_T‖²_F / (4D²) of (n, D) and (n', D) features (equation 1), without a D × D matrix.

    ‖C_S − C_T‖² = ‖C_S‖² + ‖C_T‖² − 2⟨C_S, C_T⟩, and ⟨XᵀX, YᵀY⟩ = ‖XYᵀ‖²: n × n' matrices do, and a batch is smaller than D.
    """
    source, target = _centred(source), _centred(target)
    squared = _inner(source, source) + _inner(target, target) - 2 * _inner(source, target)
    return squared / (4 * source.shape[1] ** 2)


def _centred(features: Tensor) -> Tensor:
    """(X − mean)/√(n − 1): XᵀX is then the covariance."""
    return (features - features.mean(0)) / max(len(features) - 1, 1) ** 0.5


def _inner(one: Tensor, other: Tensor) -> Tensor:
    return ((one @ other.T) ** 2).sum()
