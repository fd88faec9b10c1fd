"""Held-out predictions: how good they are, between 0 and 1 for every task type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.plugins.estimators.ranks import mid_ranks
from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    import numpy as np


def quality(predicted: np.ndarray, labels: np.ndarray, task_type: str, name: str) -> float:
    """Of predictions of images that took no part in making them.

    Classification: accuracy of predicted classes (N,). Regression: R² of predictions (N, K), mean over the columns that vary,
    each no less than 0, where it is no better than their mean. Multilabel: area under the ROC curve of scores (N, K), mean over
    the labels that some images have and some have not. Raises NotApplicable, for the estimator ``name``, where no column varies.
    """
    if task_type == "classification":
        return float((predicted == labels).mean())
    of_column = r_squared if task_type == "regression" else area_under_roc
    varying = [
        column
        for column in range(labels.shape[1])
        if labels[:, column].min() < labels[:, column].max()
    ]
    if not varying:
        raise NotApplicable(
            f"{name}: every image has the same labels, so there is nothing to predict", subject=name
        )
    return sum(of_column(predicted[:, column], labels[:, column]) for column in varying) / len(
        varying
    )


def r_squared(predicted: np.ndarray, truth: np.ndarray) -> float:
    """1 − Σ(y − ŷ)²/Σ(y − ȳ)², no less than 0."""
    away, open_ = truth - predicted, truth - truth.mean()
    return max(0.0, 1.0 - float(away @ away) / float(open_ @ open_))


def area_under_roc(scores: np.ndarray, flags: np.ndarray) -> float:
    """The probability that an image with the label scores above one without, equal scores counting half (Mann–Whitney)."""
    ranks, positive = mid_ranks(scores), flags > 0
    count = int(positive.sum())
    above = float(ranks[positive].sum()) - count * (count + 1) / 2
    return above / (count * (len(flags) - count))
