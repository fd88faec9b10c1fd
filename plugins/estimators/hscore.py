"""hscore: how much of the features' variance, each direction counted alike, lies between the
classes.

The H-score is tr(cov(X)⁺ cov(E[X|y])), the sum of the squared canonical correlations of features
and classes. It is unchanged by any invertible linear map of the features, so these are scaled to
unit deviation first. With the Cholesky factorisation RᵀR of the correlations of a largest set of
linearly independent features, found by pivoting, and M the class means of those features, each
weighed by √n_c,

    tr((RᵀR)⁻¹ MᵀM) = ‖R⁻ᵀ Mᵀ‖²

which is the trace over the pseudo-inverse.

Source: Bao et al., An Information-Theoretic Approach to Transferability in Task Transfer Learning
(ICIP 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import Bound, NotApplicable, Score, Shape, estimator

if TYPE_CHECKING:
    import numpy as np

    from headwater import Moments

MIN_UNEXPLAINED = 1e-10
"""A feature is left out once the others explain all but this share of its variance; rounding of
float32 features is 1e-14 of it.
"""

CONSTANT_DEVIATION = 1e-13
"""A feature whose deviation is less than this share of its mean is constant: rounding of float64 is
1e-16.
"""


def max_hscore(shape: Shape) -> float:
    """Return the number of canonical correlations at most: each is at most 1."""
    # Where C is None, Bound reads the TypeError as: not known.
    return min(shape.features or float("inf"), shape.classes - 1)  # type: ignore[operator]


MAX_HSCORE = Bound("min(D, C − 1)", max_hscore)


@estimator("hscore", low=0.0, high=MAX_HSCORE)
def hscore(moments: Moments) -> Score:
    """H-score: tr(cov(X)⁺ cov(E[X|y])), the sum of the squared canonical correlations of features
    and classes.

    Where the images are no more than the independent features + 1, it is C − 1 whatever the labels:
    the note says so.

    Args:
        moments: Moments of features and classes.

    Returns:
        The score, between 0 and min(D, C − 1).

    Raises:
        NotApplicable: No feature varies.
    """
    import numpy as np
    from scipy.linalg import solve_triangular

    r, independent, deviations = _independent_features(moments)
    scaled_means = moments.class_means[:, independent] / deviations[independent]
    means = scaled_means * np.sqrt(moments.label_sums)[:, None]
    whitened = solve_triangular(r, means.T, trans="T", check_finite=False)
    rank, classes = len(independent), len(means)
    value = min(float((whitened**2).sum()), rank, classes - 1)
    note = ""
    if rank >= moments.count - 1:
        note = (
            f"says nothing: {moments.count} images of {rank} independent features have C - 1 = {classes - 1} "
            "whatever their labels; take hscore_reg"
        )
    return Score(value, note)


def _independent_features(moments: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find a largest set of linearly independent features.

    Returns:
        The upper Cholesky factor (R, R) of their correlations, their indices (R,), and the root
        scatters of all features (D,).
    """
    import numpy as np
    from scipy.linalg.lapack import dpstrf

    gram = moments.centred.gram
    scatter = gram.diagonal()
    varies = scatter > moments.count * (CONSTANT_DEVIATION * moments.mean) ** 2
    varying = np.flatnonzero(varies)
    if not len(varying):
        raise NotApplicable("all images have the same features", subject="hscore")
    deviations = np.sqrt(np.maximum(scatter, 0.0))
    scale = np.outer(deviations[varying], deviations[varying])
    correlations = gram[np.ix_(varying, varying)] / scale
    factor, pivots, rank, _ = dpstrf(correlations, tol=MIN_UNEXPLAINED)
    return factor[:rank, :rank], varying[pivots[:rank] - 1], deviations
