"""Linear probe: the backbone frozen, a linear classifier on its features."""

from __future__ import annotations

from registry import Features, Solution, adaptation

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Inverse regularisation strengths tried; the one best on validation is reported, the strongest among equals."""


@adaptation("linear_probe", on="features", approach="network", task_types=("classification",))
def linear_probe(features: Features, *, iterations: int = 200) -> Solution:
    """Multinomial logistic regression on standardised frozen features, its strength chosen on validation."""
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fit(strength: float) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a capped solver is the budget, not a mistake
            return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=iterations)).fit(
                features.train, features.train_targets
            )

    def scores(model: object, x: np.ndarray) -> np.ndarray:
        # A class without training images scores -inf: it exists, and is never predicted.
        wide = np.full((len(x), features.outputs), -np.inf)
        wide[:, model.classes_] = model.predict_log_proba(x)  # type: ignore[attr-defined]
        return wide

    models = {strength: fit(strength) for strength in STRENGTHS}
    quality = {s: features.measure(scores(model, features.validation), features.validation_targets) for s, model in models.items()}
    best = max(STRENGTHS, key=lambda strength: (quality[strength], -strength))
    return Solution(predict=lambda x: scores(models[best], x), choice={"strength": best, "validation": quality[best]})
