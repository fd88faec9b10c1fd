"""hscore: how much of the features' variance, each direction counted alike, lies between the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.registry import Score, estimator
from headwater.registry.errors import NotApplicable
from headwater.registry.evidence.shape import Shape

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.moments import Moments

EXPLAINED = 1e-10
"""A feature is left out once the others explain all but this share of its variance; rounding of float32 features is 1e-14 of it."""

CONSTANT = 1e-13
"""A feature whose deviation is less than this share of its mean is constant: rounding of float64 is 1e-16."""


def most(shape: Shape) -> float:
    """min(D, C − 1): there are no more canonical correlations, and each is at most 1."""
    return min(shape.features or float("inf"), shape.classes - 1)  # type: ignore[operator]  # None: unknown


@estimator("hscore", low=0.0, high=most)
def hscore(moments: Moments) -> Score:
    """H-score: tr(cov(X)⁺ cov(E[X|y])), the sum of the squared canonical correlations of features and classes.

    Unchanged by any invertible linear map of the features. The pseudo-inverse is that over a largest set of linearly independent
    features, chosen by a pivoted Cholesky factorisation of their correlations, which gives the same trace. Where the images are
    no more than the independent features + 1, it is C − 1 whatever the labels: the note says so. Raises NotApplicable where no
    feature varies. Source: Bao et al., An Information-Theoretic Approach to Transferability in Task Transfer Learning (ICIP 2019).
    """
    import numpy as np
    from scipy.linalg import solve_triangular

    factor, chosen, deviations = _independent(moments)
    means = (
        moments.class_means[:, chosen] / deviations[chosen] * np.sqrt(moments.label_sums)[:, None]
    )
    explained = solve_triangular(factor, means.T, trans="T", check_finite=False)
    value = min(float((explained**2).sum()), len(chosen), len(means) - 1)
    return Score(value, note_of(len(chosen), moments.count, len(means)))


def note_of(rank: int, images: int, classes: int) -> str:
    """What to say of a score of features of this rank."""
    if rank < images - 1:
        return ""
    return f"says nothing: {images} images of {rank} independent features have C - 1 = {classes - 1} whatever their labels; take hscore_reg"


def _independent(moments: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upper Cholesky factor (R, R) of the chosen features' correlations, the chosen features (R,), and root scatters (D,)."""
    import numpy as np
    from scipy.linalg.lapack import dpstrf

    gram = moments.centred.gram
    scatter = gram.diagonal()
    live = np.flatnonzero(scatter > moments.count * (CONSTANT * moments.mean) ** 2)
    if not len(live):
        raise NotApplicable("all images have the same features", subject="hscore")
    deviations = np.sqrt(np.maximum(scatter, 0.0))
    correlations = gram[np.ix_(live, live)] / np.outer(deviations[live], deviations[live])
    factor, pivots, rank, _ = dpstrf(correlations, tol=EXPLAINED)
    return factor[:rank, :rank], live[pivots[:rank] - 1], deviations
