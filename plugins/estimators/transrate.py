"""transrate: how much fewer bits the features take once the class is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry import estimator
from registry.errors import NotApplicable

if TYPE_CHECKING:
    import numpy as np

    from registry.evidence import Evidence


@estimator("transrate", low=0.0)
def transrate(evidence: Evidence, *, epsilon: float = 1e-4) -> float:
    """Coding rate of the features less that of each class: R(Z) − Σ_c (n_c/N) R(Z_c), in nats.

    R(Z) = ½ log det(I + ZᵀZ/(n ε)) of n rows. Z are the features less the mean of all of them, scaled so that the rows' mean squared
    length is 1; ``epsilon`` is the distortion on that scale. Source: Huang, Huang, Rong, Yang, Wei, Frustratingly Easy
    Transferability Estimation (ICML 2022, arXiv 2106.09362), equations 3 to 5. By concavity of log det it is at least 0.
    """
    import numpy as np

    principal, labels = evidence.principal, evidence.labels
    count, spread = len(labels), float(principal.scatter.sum())
    if not spread:
        raise NotApplicable("transrate: all images have the same features, which nothing scales to length 1", subject="transrate")
    scale = spread / count * epsilon  # 1/ε on the scale where the mean squared length is 1
    whole = 0.5 * float(np.log1p(principal.scatter / (count * scale)).sum())
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    ends = np.cumsum(sizes)
    within = sum(
        (end - start) / count * _rate(evidence.features[order[start:end]], principal.mean, scale)
        for start, end in zip(ends - sizes, ends, strict=True)
    )
    return max(0.0, whole - float(within))


def _rate(rows: np.ndarray, mean: np.ndarray, scale: float) -> float:
    """½ log det(I + ZᵀZ/(n · scale)) of z = row − mean; by Sylvester's identity from the smaller of ZᵀZ and ZZᵀ."""
    import numpy as np

    away = rows - mean
    count, width = away.shape
    gram = away @ away.T if count < width else away.T @ away
    gram /= count * scale
    gram.flat[:: len(gram) + 1] += 1
    return float(np.log(np.diagonal(np.linalg.cholesky(gram))).sum())
