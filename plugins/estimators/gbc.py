"""gbc: how little the classes overlap, each taken for a Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.registry import estimator
from headwater.registry.cards.estimator import Score
from headwater.registry.errors import BadName, NotApplicable
from headwater.registry.evidence.shape import Shape

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.evidence import Evidence

FLOOR = 1e-4
"""Least variance of a class along a component, as a share of the mean variance of the components."""

BLOCK = 1 << 19
"""Values (pairs of classes × components) that are worked on together: 4 MB each."""


def all_overlap(shape: Shape) -> float:
    """−C(C − 1): every class lies upon every other."""
    return -shape.classes * (shape.classes - 1)  # type: ignore[operator]  # None: a TypeError, which Estimator.range reads as unknown


@estimator("gbc", low=all_overlap, high=0.0)
def gbc(evidence: Evidence, *, components: int = 64, covariance: str = "diagonal") -> float:
    """Gaussian Bhattacharyya coefficient: −Σ_{i≠j} exp(−D_B(i, j)) over ordered pairs of classes, after PCA.

    D_B = ⅛ (μ_i − μ_j)ᵀ Σ⁻¹ (μ_i − μ_j) + ½ log(|Σ| / √(|Σ_i| |Σ_j|)), Σ = (Σ_i + Σ_j)/2. ``covariance``: ``diagonal``, or
    ``spherical``, the mean of the variances, whose log term counts once for every component. Variances are maximum likelihood, with
    a floor relative to scale; a class of a single image has the pooled variance within classes. Source: Pándy, Agostinelli, Uijlings,
    Ferrari, Mensink, Transferability Estimation using Bhattacharyya Class Separability (CVPR 2022, arXiv 2111.12780), equation 3.
    """
    import numpy as np

    if covariance not in ("diagonal", "spherical"):
        raise BadName(
            f"gbc[covariance={covariance}]: covariance is diagonal or spherical", subject="gbc"
        )
    scores = evidence.principal.scores(evidence.features, max(components, 1))
    if not scores.size:
        raise NotApplicable(
            "gbc: all images have the same features, so the classes have no extent", subject="gbc"
        )
    counts, means, variances = _gaussians(scores, evidence.labels)
    if covariance == "spherical":
        variances = np.repeat(variances.mean(1, keepdims=True), scores.shape[1], axis=1)
    variances = np.maximum(variances, FLOOR * scores.var(0).mean())
    value, lonely = -_overlap(means, variances), int((counts == 1).sum())
    return Score(
        value,
        f"{lonely} of {len(counts)} classes have one image: pooled variance" if lonely else "",
    )


def _gaussians(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts (C,), means (C, K) and variances (C, K) of classes."""
    import numpy as np
    from scipy.sparse import csr_array

    count = len(labels)
    members = csr_array((np.ones(count), (labels, np.arange(count))))
    counts = np.bincount(labels)
    means = (members @ scores) / counts[:, None]
    squares = members @ (scores - means[labels]) ** 2
    if counts.max() == 1:
        hint = "Give more images a class."
        raise NotApplicable(
            "gbc: every class has a single image, so none has an extent", subject="gbc", hint=hint
        )
    pooled = squares.sum(0) / counts[counts > 1].sum()
    return counts, means, np.where(counts[:, None] > 1, squares / counts[:, None], pooled)


def _overlap(means: np.ndarray, variances: np.ndarray) -> float:
    """Σ_{i≠j} exp(−D_B(i, j)) of diagonal Gaussians, (C, K) each; pairs in blocks, logarithms throughout."""
    import numpy as np

    classes, width = means.shape
    volumes = np.log(variances).sum(1) / 2  # log √|Σ_i|
    total, step = 0.0, max(1, BLOCK // (classes * width))
    for start in range(0, classes, step):
        rows, others = slice(start, start + step), slice(start + 1, None)  # pairs i < j
        between = (variances[rows, None] + variances[None, others]) / 2
        apart = ((means[rows, None] - means[None, others]) ** 2 / between).sum(2) / 8
        apart += (np.log(between).sum(2) - volumes[rows, None] - volumes[None, others]) / 2
        total += float(np.triu(np.exp(-apart)).sum())
    return 2 * total
