"""gbc: how little the classes overlap, each taken for a Gaussian.

After a principal component analysis, class i is a Gaussian with mean μ_i and diagonal covariance
Σ_i, of maximum likelihood. With Σ = (Σ_i + Σ_j)/2, the Bhattacharyya distance of two classes is

    D_B(i, j) = ⅛ (μ_i − μ_j)ᵀ Σ⁻¹ (μ_i − μ_j) + ½ log(|Σ| / √(|Σ_i| |Σ_j|))

and the score is −Σ_{i≠j} exp(−D_B(i, j)) over ordered pairs: 0 where no classes overlap.

Source: Pándy, Agostinelli, Uijlings, Ferrari, Mensink, Transferability Estimation using
Bhattacharyya Class Separability (CVPR 2022, arXiv 2111.12780), equation 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import BadName, Bound, NotApplicable, Score, Shape, estimator

if TYPE_CHECKING:
    import numpy as np

    from headwater import Evidence

FLOOR = 1e-4
"""Least variance of a class along a component, as a share of the mean variance of the components.
"""

BLOCK_NUMBERS = 1 << 19
"""Numbers (pairs of classes × components) that are worked on together: 4 MB each."""


def full_overlap(shape: Shape) -> float:
    """Return the score where every class lies upon every other."""
    # Where C is None, Bound reads the TypeError as: not known.
    return -shape.classes * (shape.classes - 1)  # type: ignore[operator]


@estimator("gbc", low=Bound("−C(C − 1)", full_overlap), high=0.0)
def gbc(evidence: Evidence, *, components: int = 64, covariance: str = "diagonal") -> float:
    """Gaussian Bhattacharyya coefficient: −Σ_{i≠j} exp(−D_B(i, j)) over ordered pairs of classes,
    after PCA.

    Variances have a floor relative to scale; a class of a single image has the pooled variance
    within classes.

    Args:
        evidence: Features and classes.
        components: Principal components.
        covariance: ``diagonal``, or ``spherical``, the mean of the variances, whose log term counts
            once for every component.

    Returns:
        The score, between −C(C − 1) and 0.

    Raises:
        BadName: There is no such covariance.
        NotApplicable: All features are the same, or every class has a single image.
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
        mean_variance = variances.mean(1, keepdims=True)
        variances = np.repeat(mean_variance, scores.shape[1], axis=1)
    # Without a floor a class that does not vary along one component would overlap with none.
    least_variance = FLOOR * scores.var(0).mean()
    variances = np.maximum(variances, least_variance)
    note = ""
    single = int((counts == 1).sum())
    if single:
        note = f"{single} of {len(counts)} classes have one image: pooled variance"
    return Score(-_overlap(means, variances), note)


def _gaussians(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return counts (C,), means (C, K) and variances (C, K) of the classes."""
    import numpy as np
    from scipy.sparse import csr_array

    # Row c of ``members`` is 1 at the images of class c: its products are sums over the class.
    count = len(labels)
    members = csr_array((np.ones(count), (labels, np.arange(count))))
    counts = np.bincount(labels)
    means = (members @ scores) / counts[:, None]
    deviations = scores - means[labels]
    squares = members @ deviations**2
    if counts.max() == 1:
        raise NotApplicable(
            "gbc: every class has a single image, so none has an extent",
            subject="gbc",
            hint="Give more images a class.",
        )
    is_several = counts > 1
    pooled = squares.sum(0) / counts[is_several].sum()
    class_variances = squares / counts[:, None]
    variances = np.where(is_several[:, None], class_variances, pooled)
    return counts, means, variances


def _overlap(means: np.ndarray, variances: np.ndarray) -> float:
    """Return Σ_{i≠j} exp(−D_B(i, j)) of Gaussians with means and variances (C, K), in blocks of
    pairs.
    """
    import numpy as np

    classes, width = means.shape
    log_volumes = np.log(variances).sum(1) / 2  # log √|Σ_i|
    step = max(1, BLOCK_NUMBERS // (classes * width))
    total = 0.0
    for start in range(0, classes, step):
        # The distance is symmetric: pairs i < j suffice. Those of a block are on and above its
        # diagonal, since its columns begin one class later.
        i = slice(start, start + step)
        j = slice(start + 1, None)
        mean_variances = (variances[i, None] + variances[None, j]) / 2
        differences = means[i, None] - means[None, j]
        distances = (differences**2 / mean_variances).sum(2) / 8
        log_determinants = np.log(mean_variances).sum(2)
        log_ratios = log_determinants - log_volumes[i, None] - log_volumes[None, j]
        distances += log_ratios / 2
        coefficients = np.triu(np.exp(-distances))
        total += float(coefficients.sum())
    return 2 * total
