"""Linear probe: the backbone frozen, a linear classifier on its features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry import Features, Solution, adaptation

if TYPE_CHECKING:
    import numpy as np

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths tried; the one best on validation is reported, the most regular among equals."""


@adaptation("linear_probe", on="features", approach="network", task_types=("classification",))
def linear_probe(features: Features, *, iterations: int = 200) -> Solution:
    """Multinomial logistic regression on standardised frozen features, its strength chosen on validation."""
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    project = _projection(features.train)
    z_train, z_validation = project(features.train), project(features.validation)

    def fit(strength: float) -> LogisticRegression:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a capped solver is the budget, not a mistake
            return LogisticRegression(C=strength, max_iter=iterations).fit(z_train, features.train_targets)

    def scores(model: LogisticRegression, z: np.ndarray) -> np.ndarray:
        # A class without training images scores -inf: it exists, and is never predicted.
        wide = np.full((len(z), features.outputs), -np.inf)
        wide[:, model.classes_] = model.predict_log_proba(z)
        return wide

    models = {strength: fit(strength) for strength in STRENGTHS}
    quality = {s: features.measure(scores(model, z_validation), features.validation_targets) for s, model in models.items()}
    best = max(STRENGTHS, key=lambda strength: (quality[strength], -strength))
    return Solution(predict=lambda x: scores(models[best], project(x)), choice={"strength": best, "validation": quality[best]})


class _projection:
    """Standardises features (N, D), then rotates them into the span of the training rows.

    An L2-penalised solution lies in that span, so that this changes nothing but the cost: N columns, not D,
    where there are fewer images than features.
    """

    def __init__(self, train: np.ndarray) -> None:
        import numpy as np

        self.mean = train.mean(axis=0, dtype=np.float64)
        deviation = train.std(axis=0, dtype=np.float64)
        self.scale = np.where(deviation > 0, deviation, 1.0)
        standard = (train - self.mean) / self.scale
        self.basis = np.linalg.svd(standard, full_matrices=False)[2].T if len(train) < train.shape[1] else None

    def __call__(self, features: np.ndarray) -> np.ndarray:
        standard: np.ndarray = (features - self.mean) / self.scale
        return standard if self.basis is None else standard @ self.basis
