"""hscore_reg: the H-score with a covariance that can be inverted however few the images.

With Ledoit and Wolf's shrunk covariance Σ_s = (1 − s)·Σ + s·(tr Σ/D)·I, where s minimises the
expected squared error, the score is (1 − s)·tr(Σ_s⁻¹ cov(E[X|y])). Both covariances are divided by
N.

With μ = tr Σ/D, ‖·‖² the squared Frobenius norm and z the centred rows, s is (Ledoit and Wolf 2004,
lemma 3.2 ff.)

    δ = ‖Σ − μI‖²/D = (‖Σ‖² − Dμ²)/D,    β = (Σ_i ‖z_i‖⁴/N − ‖Σ‖²)/(D·N),    s = min(β, δ)/δ

Source: Ibrahim, Ponomareva, Mazumder, Newer is Not Always Better: Rethinking Transferability
Metrics, Their Peculiarities, Stability and Performance (ECML-PKDD 2022, arXiv 2110.06893), section
3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import NotApplicable, Score, estimator
from headwater.plugins.estimators.hscore import MAX_HSCORE, hscore

if TYPE_CHECKING:
    from headwater import Moments


@estimator("hscore_reg", low=0.0, high=MAX_HSCORE)
def hscore_reg(moments: Moments) -> Score:
    """Regularised H-score: (1 − s)·tr(Σ_s⁻¹ cov(E[X|y])), with Ledoit and Wolf's Σ_s = (1 − s)·Σ +
    s·(tr Σ / D)·I.

    Unchanged by the scale of the features and by rotations. Where s is 0 it is the H-score.

    Args:
        moments: Moments of features and classes.

    Returns:
        The score, between 0 and C − 1.

    Raises:
        NotApplicable: No feature varies.
    """
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve

    s = ledoit_wolf(moments)
    if s == 0.0:
        return hscore.score(moments)  # type: ignore[return-value]
    width = len(moments.mean)
    gram = moments.centred.gram
    covariance = gram * ((1 - s) / moments.count)
    # Every (width + 1)-th number lies on the diagonal.
    covariance.flat[:: width + 1] += s * np.trace(gram) / moments.count / width

    # cov(E[X|y]) is the covariance of the class means, each as often as its class has images:
    # tr(Σ_s⁻¹ cov) is the mean over the images of μ_yᵀ Σ_s⁻¹ μ_y.
    factor = cho_factor(covariance, overwrite_a=True, check_finite=False)
    means = moments.class_means
    solved = cho_solve(factor, means.T, check_finite=False).T
    class_shares = moments.label_sums / moments.count
    distances = np.einsum("cd,cd->c", means, solved)
    value = (1 - s) * float(class_shares @ distances)
    most = len(means) - 1
    return Score(min(max(value, 0.0), most))


def ledoit_wolf(moments: Moments) -> float:
    """Return the shrinkage s of least expected squared error, in [0, 1]: that of
    ``sklearn.covariance.ledoit_wolf_shrinkage``.

    Raises:
        NotApplicable: No feature varies.
    """
    import numpy as np

    centred = moments.centred
    n = moments.count
    d = len(moments.mean)
    mu = float(np.trace(centred.gram)) / n / d
    if mu <= 0.0:
        raise NotApplicable("all images have the same features", subject="hscore_reg")
    # Of one feature the target of the shrinkage is the covariance itself: δ would be rounding.
    if d == 1:
        return 0.0
    squared_norm = float(np.vdot(centred.gram, centred.gram)) / n**2
    delta = (squared_norm - d * mu**2) / d
    beta = (centred.fourths / n - squared_norm) / (d * n)
    if beta <= 0.0 or delta <= 0.0:
        return 0.0
    return min(beta, delta) / delta
