"""Linear discriminants: how surely features tell the class, by Fisher's discriminant with a shrunk
covariance.

Classes c are taken as Gaussians with means μ_c about the mean m of all images, shares π_c of them,
and one covariance S. The logarithm of π_c times the density at x is then, up to what all classes
share,

    δ_c(x) = (x − m)ᵀ S⁻¹ μ_c − ½ μ_cᵀ S⁻¹ μ_c + log π_c,

so that the posterior of c is the softmax of δ over the classes (Hastie, Tibshirani and Friedman,
The Elements of Statistical Learning, 2009, section 4.3). With D features and few images W, the
covariance within classes, is singular; it is drawn towards a sphere of the same trace,

    S = (1 − s) W + s (tr W / D) I,    s = exp(−5 λ₁),

where λ₁ is the largest eigenvalue of W (self-challenging Fisher discriminant, Shao et al. 2022,
arXiv 2207.03036).
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

SHRINKAGE_RATE = 5.0
"""The 5 of s = exp(−5 λ₁)."""

MIN_SHRINKAGE = 1e-10
"""The least s: exp(−5 λ₁) of features of large scale is 0, and S would be singular again."""

BLOCK_VALUES = 1 << 21
"""Values in a block of rows: 16 MB."""

EIGENVALUE_TOLERANCE = 1e-9
"""Relative error allowed of the largest eigenvalue."""

MAX_WHOLE_SPECTRUM = 128
"""Features up to which all eigenvalues are no dearer than the largest alone."""


@dataclass(frozen=True)
class Discriminant:
    """The scores δ_c(x) of C classes, as linear functions of x − m.

    Attributes:
        mean: (D,) m.
        coefficients: (C, D) the rows S⁻¹ μ_c.
        intercepts: (C,) −½ μ_cᵀ S⁻¹ μ_c + log π_c.
        shrinkage: s.
    """

    mean: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    shrinkage: float

    @classmethod
    def of(cls, moments: Moments, shrinkage: float | None = None) -> Discriminant:
        """Fit the discriminant to sufficient statistics.

        Args:
            moments: Of features and classes.
            shrinkage: s; by default exp(−5 λ₁).

        Raises:
            NotApplicable: No feature varies within a class.
        """
        import numpy as np
        from scipy.linalg import cho_factor, cho_solve

        within = moments.within
        width = len(moments.mean)
        mean_variance = float(np.trace(within)) / width
        if mean_variance <= 0:
            raise NotApplicable(
                "features do not vary within the classes: "
                "there is no spread to hold class means against"
            )
        if shrinkage is None:
            by_spread = math.exp(-SHRINKAGE_RATE * largest_eigenvalue(within))
            shrinkage = max(by_spread, MIN_SHRINKAGE)
        shrunk = (1 - shrinkage) * within
        shrunk.flat[:: width + 1] += shrinkage * mean_variance
        # S is positive definite: Cholesky costs half of a general solver, and overwrites S.
        factor = cho_factor(shrunk, lower=True, overwrite_a=True, check_finite=False)
        means = moments.class_means
        coefficients = cho_solve(factor, means.T, check_finite=False).T
        half_norms = 0.5 * np.einsum("cd,cd->c", means, coefficients)
        intercepts = np.log(moments.label_sums / moments.count) - half_norms
        return cls(moments.mean, coefficients, intercepts, shrinkage)

    def chances(
        self, blocks: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the posteriors of each block.

        Args:
            blocks: Features (B, D) float64 and classes (B,).

        Yields:
            The posteriors (B, C), and those of the images' true classes (B,).
        """
        import numpy as np

        intercepts = self.intercepts - self.coefficients @ self.mean
        for features, labels in blocks:
            scores = features @ self.coefficients.T
            scores += intercepts
            # The largest score of a row becomes 0, so that exp does not overflow.
            scores -= scores.max(1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(1, keepdims=True)
            yield scores, scores[np.arange(len(labels)), labels]


def float64_blocks(
    features: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of rows in float64, so long that neither features nor scores pass 16 MB.

    Args:
        features: (N, D).
        labels: (N,) classes.
    """
    import numpy as np

    classes = int(labels.max()) + 1
    rows = max(1, BLOCK_VALUES // max(features.shape[1], classes))
    for start in range(0, len(features), rows):
        block = slice(start, start + rows)
        yield np.asarray(features[block], dtype=np.float64), labels[block]


def largest_eigenvalue(matrix: np.ndarray) -> float:
    """Return the largest eigenvalue of a positive semi-definite matrix (D, D)."""
    import numpy as np
    from scipy.linalg import eigvalsh
    from scipy.sparse.linalg import eigsh

    size = len(matrix)
    if size <= MAX_WHOLE_SPECTRUM:
        return float(eigvalsh(matrix)[-1])
    # Without a start ARPACK draws one, and no two runs agree to the last digit.
    start = np.random.default_rng(0).normal(size=size)
    values = eigsh(matrix, k=1, v0=start, tol=EIGENVALUE_TOLERANCE, return_eigenvectors=False)
    return float(values[0])
