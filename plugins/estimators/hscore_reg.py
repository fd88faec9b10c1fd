"""hscore_reg: the H-score with a covariance that can be inverted however few the images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.plugins.estimators.hscore import hscore, most
from headwater.registry import Score, estimator
from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    from headwater.registry.evidence.moments import Moments


@estimator("hscore_reg", low=0.0, high=most)
def hscore_reg(moments: Moments) -> Score:
    """Regularised H-score: (1 − s)·tr(Σ_s⁻¹ cov(E[X|y])), with Ledoit and Wolf's Σ_s = (1 − s)·Σ + s·(tr Σ / D)·I.

    The shrinkage s is that of ``sklearn.covariance.ledoit_wolf_shrinkage``; both covariances are divided by N. Unchanged by the
    scale of the features and by rotations. Where s is 0 it is the H-score. Raises NotApplicable where no feature varies.
    Source: Ibrahim, Ponomareva, Mazumder, Newer is Not Always Better: Rethinking Transferability Metrics, Their Peculiarities,
    Stability and Performance (ECML-PKDD 2022, arXiv 2110.06893), section 3.
    """
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve

    shrinkage = ledoit_wolf(moments)
    if shrinkage == 0.0:
        return hscore.score(moments)  # type: ignore[return-value]
    width = len(moments.mean)
    covariance = moments.centred.gram * ((1 - shrinkage) / moments.count)
    covariance.flat[:: width + 1] += (
        shrinkage * np.trace(moments.centred.gram) / moments.count / width
    )
    factor = cho_factor(covariance, overwrite_a=True, check_finite=False)
    means = moments.class_means
    turned = cho_solve(factor, means.T, check_finite=False).T
    shares = moments.label_sums / moments.count
    value = (1 - shrinkage) * float(shares @ np.einsum("cd,cd->c", means, turned))
    return Score(min(max(value, 0.0), len(means) - 1))


def ledoit_wolf(moments: Moments) -> float:
    """The shrinkage of least expected squared error of a covariance, between 0 and 1 (Ledoit & Wolf 2004, lemma 3.2 ff.)."""
    import numpy as np

    centred, n, width = moments.centred, moments.count, len(moments.mean)
    variance = float(np.trace(centred.gram)) / n / width
    if variance <= 0.0:
        raise NotApplicable("all images have the same features", subject="hscore_reg")
    if width == 1:
        return 0.0  # the target is the covariance itself, and what tells them apart rounding
    square = float(np.vdot(centred.gram, centred.gram)) / n**2
    apart = (square - width * variance**2) / width
    error = (centred.fourths / n - square) / (width * n)
    error = min(error, apart)
    return 0.0 if error <= 0.0 or apart <= 0.0 else error / apart
