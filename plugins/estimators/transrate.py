"""transrate: how much fewer bits the features take once the class is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.registry import estimator
from headwater.registry.errors import BadName, NotApplicable

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.evidence import Evidence

BLOCK = 1 << 22
"""Values of a block of rows in float64: 32 MB."""


@estimator("transrate", low=0.0)
def transrate(evidence: Evidence, *, epsilon: float = 1e-4) -> float:
    """Coding rate of the features less that of each class: R(Z) − Σ_c (n_c/N) R(Z_c), in nats.

    R(Z) = ½ log det(I + ZᵀZ/(n ε)) of n rows. Z are the features less the mean of all of them, scaled so that the rows' mean squared
    length is 1; ``epsilon`` is the distortion on that scale. Source: Huang, Huang, Rong, Yang, Wei, Frustratingly Easy
    Transferability Estimation (ICML 2022, arXiv 2106.09362), equations 3 to 5. By concavity of log det it is at least 0.
    """
    import numpy as np

    if epsilon <= 0:
        raise BadName(f"transrate[epsilon={epsilon}]: a distortion is above 0", subject="transrate")
    principal, labels = evidence.principal, evidence.labels
    count, spread = len(labels), float(principal.scatter.sum())
    if not spread:
        raise NotApplicable(
            "transrate: all images have the same features, which nothing scales to length 1",
            subject="transrate",
        )
    distortion = epsilon * spread / count  # in the features' own units
    whole = 0.5 * float(np.log1p(principal.scatter / (count * distortion)).sum())
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    classes = (order[end - size : end] for end, size in zip(np.cumsum(sizes), sizes, strict=True))
    within = sum(
        len(rows) / count * _rate(evidence.features, rows, principal.mean, distortion)
        for rows in classes
    )
    return whole - within


def _rate(features: np.ndarray, rows: np.ndarray, mean: np.ndarray, distortion: float) -> float:
    """½ log det(I + ZᵀZ/(n · distortion)) of z = features − mean of n rows; by Sylvester's identity from the smaller of ZᵀZ and ZZᵀ."""
    import numpy as np

    width = features.shape[1]
    if len(rows) < width:
        away = features[rows] - mean
        gram = away @ away.T
    else:
        gram, step = np.zeros((width, width)), max(1, BLOCK // width)
        for start in range(0, len(rows), step):
            away = features[rows[start : start + step]] - mean
            gram += away.T @ away
    gram /= len(rows) * distortion
    gram.flat[:: len(gram) + 1] += 1
    return float(np.log(np.diagonal(np.linalg.cholesky(gram))).sum())
