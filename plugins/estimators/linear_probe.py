"""linear_probe: how well a ridge regression on the features predicts images it was not fitted on.

The ridge of targets Y on features X minimises ‖Y − XW − b‖² + λ‖W‖². Along the principal axes, with
scatters s (the squared singular values of the centred features), whitened scores U (UᵀU = I) and g
= s/(s + λ), its predictions are

    Ŷ = mean(Y) + U diag(g) UᵀY,    with the hat matrix H = U diag(g) Uᵀ + 1/N

The residuals of a fold f, predicted by the fit on all other images, follow from the one fit on all
images:

    Y_f − Ŷ_f(without f) = (I − H_ff)⁻¹ (Y_f − Ŷ_f)

so that the cross-validation costs one small system for each fold and strength. Source: Hastie,
Tibshirani, Friedman, The Elements of Statistical Learning (2009), section 7.10, for one image;
docs/estimators/linear_probe.md for a fold.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headwater import BadName, LabelKind, Score, estimator
from headwater.plugins.estimators.held_out import quality

if TYPE_CHECKING:
    import numpy as np

    from headwater import Evidence

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties λ, as shares of the mean scatter of the principal axes."""

MAX_FOLD_IMAGES = 100
"""Most images of a fold: the closed form solves one system of that size for each fold and strength.
"""


@estimator("linear_probe", low=0.0, high=1.0, labels=("classes", "numbers", "flags"))
def linear_probe(
    evidence: Evidence, *, folds: int = 10, images: int = 5000, seed: int = 0
) -> Score:
    """Cross-validated accuracy of ridge regression onto one-hot classes, the best over a sweep of
    strengths.

    The largest output is the class. Numbers: R²; flags: area under the ROC curve of the
    outputs, both as in ``held_out.quality``.

    Args:
        evidence: Features and labels.
        folds: Seeded folds, stratified by class; as many more as it takes that none holds over 100
            images. Each is predicted by a fit on all others.
        images: Where there are more images, whole folds are left unpredicted, evenly spaced, until
            about as many are predicted; every fit is still on all others.
        seed: Seed of the folds.

    Returns:
        The best quality over the strengths, in [0, 1].

    Raises:
        BadName: There are fewer than two folds.
    """
    import numpy as np

    if folds < 2:
        raise BadName(
            f"linear_probe[folds={folds}]: cross-validation needs two folds or more",
            subject="linear_probe",
        )
    labels = evidence.labels
    count = len(labels)
    least_folds = math.ceil(count / MAX_FOLD_IMAGES)
    folds = min(count, max(folds, least_folds))
    fold_of = assign_folds(labels, evidence.label_kind, folds, seed)
    every = max(1, round(count / images))
    rows_of_folds = [np.flatnonzero(fold_of == fold) for fold in range(0, folds, every)]
    rows = np.concatenate(rows_of_folds)
    truth = labels[rows]
    qualities = []
    for predicted in predict_held_out(evidence, rows_of_folds):
        qualities.append(quality(predicted, truth, evidence.label_kind, "linear_probe"))
    best = int(np.argmax(qualities))
    note = f"ridge {STRENGTHS[best]:g}"
    if len(rows) < count:
        note += f"; {len(rows):,} of {count:,} images predicted"
    return Score(qualities[best], note)


def assign_folds(labels: np.ndarray, kind: LabelKind, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each image (N,): images are shuffled, then dealt out class by class."""
    import numpy as np

    count = len(labels)
    order = np.random.default_rng(seed).permutation(count)
    # A stable sort leaves the images of a class shuffled.
    if kind is LabelKind.CLASSES:
        order = order[np.argsort(labels[order], kind="stable")]
    fold_of = np.empty(count, dtype=np.int64)
    fold_of[order] = np.arange(count) % folds
    return fold_of


def predict_held_out(evidence: Evidence, folds: list[np.ndarray]) -> np.ndarray:
    """Predict the images of each fold by the ridges fitted on all other images.

    Args:
        evidence: Features and labels.
        folds: Indices of the images of each fold.

    Returns:
        Of classes: classes (strengths, images). Else values (strengths, images, K). Images come
            fold by fold.
    """
    import numpy as np

    principal = evidence.principal
    moments = evidence.moments
    # I − H is near singular where the axes are nearly as many as the images: float32 only where
    # they are not.
    is_tall = len(evidence.labels) >= 2 * len(principal.scatter)
    is_single = is_tall and evidence.features.dtype == np.float32
    kind = np.float32 if is_single else np.float64
    whitening = principal.axes / np.sqrt(principal.scatter)
    # UᵀY, the targets along the whitened axes, (R, K).
    slopes = (whitening.T @ moments.centred.cross.T).astype(kind)
    shrinkage = _shrinkage(principal.scatter).astype(kind)
    whitening = whitening.astype(kind)
    centre = moments.label_sums / moments.count
    predicted = []
    for rows in folds:
        centred = (evidence.features[rows] - principal.mean).astype(kind)
        u = centred @ whitening
        shrunk = u * shrinkage[:, None]  # (strengths, images, R)
        hat = shrunk @ u.T + kind(1 / moments.count)
        y = (_target_columns(evidence, rows) - centre).astype(kind)

        # (I − H_ff)⁻¹ (Y_f − Ŷ_f): what the fit without the fold misses the targets by.
        identity = np.eye(len(rows), dtype=kind)
        residuals = np.linalg.solve(identity - hat, y - shrunk @ slopes)
        outputs = np.asarray(y - residuals, dtype=np.float64) + centre
        if evidence.label_kind is LabelKind.CLASSES:
            predicted.append(outputs.argmax(2))
        else:
            predicted.append(outputs)
    return np.concatenate(predicted, axis=1)


def _shrinkage(scatter: np.ndarray) -> np.ndarray:
    """Return g = s/(s + λ), the share of the fit that each strength leaves along each axis,
    (strengths, R).
    """
    import numpy as np

    # As shares of the scatter the strengths mean the same for features of every scale.
    mean_scatter = scatter.mean() if scatter.size else 1.0
    penalties = np.array(STRENGTHS) * mean_scatter
    shares: np.ndarray = scatter / (scatter + penalties[:, None])
    return shares


def _target_columns(evidence: Evidence, rows: np.ndarray) -> np.ndarray:
    """Return the targets of some images (n, K), one-hot where they are classes."""
    import numpy as np

    labels = evidence.labels[rows]
    if evidence.label_kind is not LabelKind.CLASSES:
        return labels.astype(np.float64)
    classes = np.arange(int(evidence.labels.max()) + 1)
    return np.asarray(labels[:, None] == classes, dtype=np.float64)
