"""linear_probe: how well a ridge regression on the features predicts images it was not fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.plugins.estimators.held_out import quality
from headwater.registry import estimator
from headwater.registry.cards.estimator import Score
from headwater.registry.errors import BadName

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.evidence import Evidence

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties, as shares of the mean scatter of the principal axes."""

FOLD = 100
"""Images that a fold holds at most: the closed form solves one system of that size a fold and strength."""


@estimator(
    "linear_probe", low=0.0, high=1.0, task_types=("classification", "regression", "multilabel")
)
def linear_probe(
    evidence: Evidence, *, folds: int = 10, images: int = 5000, seed: int = 0
) -> Score:
    """Cross-validated accuracy of ridge regression onto one-hot classes, the best over a sweep of strengths.

    min_{W,b} ‖Y − XW − b‖² + λ‖W‖²; the largest output is the class. ``folds`` seeded folds, stratified by class, and as many more as
    it takes that none holds over 100 images; each is predicted by a fit on all others. Regression: R², multilabel: area under the ROC
    curve of the outputs; both as in ``held_out.quality``. Where there are more than ``images``, whole folds are left unpredicted, evenly
    spaced, until about as many images are; every fit is still on all others. In closed form: Hastie, Tibshirani, Friedman, The
    Elements of Statistical Learning (2009), section 7.10, for one image; see docs/estimators/linear_probe.md for a fold.
    """
    import numpy as np

    if folds < 2:
        raise BadName(
            f"linear_probe[folds={folds}]: cross-validation needs two folds or more",
            subject="linear_probe",
        )
    count = len(evidence.labels)
    folds = min(count, max(folds, -(-count // FOLD)))
    fold_of = _assigned(evidence.labels, evidence.task_type, folds, seed)
    held = [
        np.flatnonzero(fold_of == fold) for fold in range(0, folds, max(1, round(count / images)))
    ]
    predicted = _held_out(evidence, held)
    rows = np.concatenate(held)
    values = [
        quality(of_strength, evidence.labels[rows], evidence.task_type, "linear_probe")
        for of_strength in predicted
    ]
    best = int(np.argmax(values))
    note = f"ridge {STRENGTHS[best]:g}" + (
        f"; {len(rows):,} of {count:,} images predicted" if len(rows) < count else ""
    )
    return Score(values[best], note)


def _assigned(labels: np.ndarray, task_type: str, folds: int, seed: int) -> np.ndarray:
    """The fold of each image (N,): shuffled, then dealt out class by class."""
    import numpy as np

    count = len(labels)
    order = np.random.default_rng(seed).permutation(count)
    if task_type == "classification":
        order = order[np.argsort(labels[order], kind="stable")]
    fold_of = np.empty(count, dtype=np.int64)
    fold_of[order] = np.arange(count) % folds
    return fold_of


def _held_out(evidence: Evidence, held: list[np.ndarray]) -> np.ndarray:
    """Predictions for the images of each fold by the ridges fitted on all others: (strengths, images), or (…, K) of targets.

    With the hat matrix H of the fit on all images and residuals r = y − Hy, those of fold f left out are (I − H_ff)⁻¹ r_f.
    """
    import numpy as np

    principal, moments = evidence.principal, evidence.moments
    single = (
        len(evidence.labels) >= 2 * len(principal.scatter) and evidence.features.dtype == np.float32
    )
    kind = (
        np.float32 if single else np.float64
    )  # I − H is near singular where the axes are nearly as many as the images
    whitening = principal.axes / np.sqrt(principal.scatter)
    slopes = (whitening.T @ moments.centred.cross.T).astype(
        kind
    )  # of the targets along whitened axes: (R, K)
    kept = _kept(principal.scatter).astype(kind)
    whitening, centre = whitening.astype(kind), moments.label_sums / moments.count
    predicted = []
    for rows in held:
        scores = (evidence.features[rows] - principal.mean).astype(kind) @ whitening
        weighted = scores * kept[:, None]  # (strengths, images, R)
        hat = weighted @ scores.T + kind(1 / moments.count)
        truth = (_columns(evidence, rows) - centre).astype(kind)
        missed = np.linalg.solve(np.eye(len(rows), dtype=kind) - hat, truth - weighted @ slopes)
        left = np.asarray(truth - missed, dtype=np.float64) + centre
        predicted.append(left.argmax(2) if evidence.task_type == "classification" else left)
    return np.concatenate(predicted, axis=1)


def _kept(scatter: np.ndarray) -> np.ndarray:
    """What each strength leaves of the fit along each axis: s/(s + λ), (strengths, R)."""
    import numpy as np

    penalties = np.array(STRENGTHS) * (scatter.mean() if scatter.size else 1.0)
    return np.asarray(scatter / (scatter + penalties[:, None]))


def _columns(evidence: Evidence, rows: np.ndarray) -> np.ndarray:
    """Targets of these images: (n, K), one-hot where they are classes."""
    import numpy as np

    labels = evidence.labels[rows]
    if evidence.task_type == "classification":
        return np.asarray(
            labels[:, None] == np.arange(int(evidence.labels.max()) + 1), dtype=np.float64
        )
    return labels.astype(np.float64)
