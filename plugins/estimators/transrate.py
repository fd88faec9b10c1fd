"""transrate: how much fewer bits the features take once the class is known.

The coding rate of n rows Z at distortion ε is R(Z) = ½ log det(I + ZᵀZ/(n ε)), and the score R(Z) −
Σ_c (n_c/N) R(Z_c) of the rows Z_c of each class. Z are the features less the mean of all of them,
scaled so that the mean squared length of the rows is 1; instead of the features, the distortion is
scaled here. By Sylvester's identity det(I + ZᵀZ/a) = det(I + ZZᵀ/a), of which the smaller is taken.
By concavity of log det the score is at least 0.

Source: Huang, Huang, Rong, Yang, Wei, Frustratingly Easy Transferability Estimation (ICML 2022,
arXiv 2106.09362), equations 3 to 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import BadName, NotApplicable, estimator

if TYPE_CHECKING:
    import numpy as np

    from headwater import Evidence

BLOCK_NUMBERS = 1 << 22
"""Numbers of a block of rows in float64: 32 MB."""


@estimator("transrate", low=0.0)
def transrate(evidence: Evidence, *, epsilon: float = 1e-4) -> float:
    """Coding rate of the features less that of each class: R(Z) − Σ_c (n_c/N) R(Z_c), in nats.

    Args:
        evidence: Features and classes.
        epsilon: Distortion, where the mean squared length of the features is 1.

    Returns:
        The score, at least 0.

    Raises:
        BadName: The distortion is not above 0.
        NotApplicable: All images have the same features.
    """
    import numpy as np

    if epsilon <= 0:
        raise BadName(f"transrate[epsilon={epsilon}]: a distortion is above 0", subject="transrate")
    principal, labels = evidence.principal, evidence.labels
    count = len(labels)
    spread = float(principal.scatter.sum())
    if not spread:
        raise NotApplicable(
            "transrate: all images have the same features, which nothing scales to length 1",
            subject="transrate",
        )
    distortion = epsilon * spread / count  # in the features' own units
    rate = 0.5 * float(np.log1p(principal.scatter / (count * distortion)).sum())
    by_class = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    rate_within = 0.0
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        rows = by_class[end - size : end]
        rate_of_class = _coding_rate(evidence.features, rows, principal.mean, distortion)
        rate_within += len(rows) / count * rate_of_class
    return rate - rate_within


def _coding_rate(
    features: np.ndarray, rows: np.ndarray, mean: np.ndarray, distortion: float
) -> float:
    """Return ½ log det(I + ZᵀZ/(n · distortion)) of n rows z = features − mean."""
    import numpy as np

    width = features.shape[1]
    if len(rows) < width:
        z = features[rows] - mean
        gram = z @ z.T
    else:
        gram = np.zeros((width, width))
        step = max(1, BLOCK_NUMBERS // width)
        for start in range(0, len(rows), step):
            z = features[rows[start : start + step]] - mean
            gram += z.T @ z
    gram /= len(rows) * distortion
    gram.flat[:: len(gram) + 1] += 1
    # With the Cholesky factor L, ½ log det(LLᵀ) = Σ log L_ii.
    return float(np.log(np.diagonal(np.linalg.cholesky(gram))).sum())
