"""Linear discriminants: how surely features tell the class, by Fisher's discriminant with a shrunk
covariance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.moments import Moments

STEEPNESS = 5.0
"""Shrinkage is exp(−5 λ), λ the largest eigenvalue of the covariance within classes (Shao et al.
2022).
"""

MIN_SHRINKAGE = 1e-10
"""The least that it is."""

BLOCK = 1 << 21
"""Values in a block of rows: 16 MB."""

EIGENVALUE_TOLERANCE = 1e-9
"""Relative error allowed of the largest eigenvalue."""

MAX_WHOLE_SPECTRUM = 128
"""Features up to which all eigenvalues are no dearer than the largest alone."""


@dataclass(frozen=True)
class Discriminant:
    """δ_c(x) = (x − m)ᵀ S⁻¹ μ_c − ½ μ_cᵀ S⁻¹ μ_c + log π_c, with class means μ_c about the mean m
    and shares π_c of the images.

    S = (1 − s)·W + s·(tr W / D)·I, with W the covariance within classes (each class's divided by
    its count, averaged by π) and ``shrinkage`` s. ``coefficients``: (C, D); ``intercepts``: (C,).
    """

    mean: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    shrinkage: float

    @classmethod
    def of(cls, moments: Moments, shrinkage: float | None = None) -> Discriminant:
        """From sufficient statistics; raises NotApplicable where no feature varies within a class."""
        import numpy as np
        from scipy.linalg import cho_factor, cho_solve

        within, width = moments.within, len(moments.mean)
        spread = float(np.trace(within)) / width
        if spread <= 0:
            raise NotApplicable(
                "features do not vary within the classes: there is no spread to hold class means against"
            )
        if shrinkage is None:
            shrinkage = max(math.exp(-STEEPNESS * largest_eigenvalue(within)), MIN_SHRINKAGE)
        shrunk = (1 - shrinkage) * within
        shrunk.flat[:: width + 1] += shrinkage * spread
        factor = cho_factor(shrunk, lower=True, overwrite_a=True, check_finite=False)
        means = moments.class_means
        coefficients = cho_solve(factor, means.T, check_finite=False).T
        intercepts = np.log(moments.label_sums / moments.count) - 0.5 * np.einsum(
            "cd,cd->c", means, coefficients
        )
        return cls(moments.mean, coefficients, intercepts, shrinkage)

    def chances(
        self, blocks: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Of each block of features (B, D) float64 and labels (B,): posteriors (B, C), and those of
        the images' own classes (B,).
        """
        import numpy as np

        intercepts = self.intercepts - self.coefficients @ self.mean
        for features, labels in blocks:
            scores = features @ self.coefficients.T
            scores += intercepts
            scores -= scores.max(1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(1, keepdims=True)
            yield scores, scores[np.arange(len(labels)), labels]


def float64_blocks(
    features: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows in float64, of as many as keep the features, and as many scores, within BLOCK values."""
    import numpy as np

    rows = max(1, BLOCK // max(features.shape[1], int(labels.max()) + 1))
    for start in range(0, len(features), rows):
        block = slice(start, start + rows)
        yield np.asarray(features[block], dtype=np.float64), labels[block]


def largest_eigenvalue(matrix: np.ndarray) -> float:
    """Of a positive semi-definite matrix."""
    import numpy as np
    from scipy.linalg import eigvalsh
    from scipy.sparse.linalg import eigsh

    if len(matrix) <= MAX_WHOLE_SPECTRUM:
        return float(eigvalsh(matrix)[-1])
    start = np.random.default_rng(0).normal(
        size=len(matrix)
    )  # else ARPACK draws one, and no two runs agree to the last digit
    return float(
        eigsh(matrix, k=1, v0=start, tol=EIGENVALUE_TOLERANCE, return_eigenvectors=False)[0]
    )
