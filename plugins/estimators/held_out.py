"""Quality of held-out predictions, between 0 and 1 for every kind of labels, and the ranks that it is
computed by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import LabelKind, NotApplicable

if TYPE_CHECKING:
    import numpy as np


def quality(predicted: np.ndarray, labels: np.ndarray, kind: LabelKind, estimator: str) -> float:
    """Return the quality of predictions for images that took no part in making them.

    Args:
        predicted: Of classes: classes (N,). Of numbers: values (N, K). Of flags: scores (N,
            K).
        labels: The true ones, in the same shape.
        kind: What the labels are.
        estimator: Name of the estimator, for the error.

    Returns:
        Of classes: accuracy. Of numbers: R², no less than 0 for a column, where it is no better
        than the mean of the column; the mean over the columns that vary. Of flags: area under the
        ROC curve, the mean over the labels that some images have and some have not.

    Raises:
        NotApplicable: No column varies.
    """
    if kind is LabelKind.CLASSES:
        return float((predicted == labels).mean())
    of_column = r_squared if kind is LabelKind.NUMBERS else area_under_roc
    qualities = []
    for column in range(labels.shape[1]):
        truth = labels[:, column]
        if truth.min() < truth.max():
            qualities.append(of_column(predicted[:, column], truth))
    if not qualities:
        raise NotApplicable(
            f"{estimator}: every image has the same labels, so there is nothing to predict",
            subject=estimator,
        )
    return sum(qualities) / len(qualities)


def r_squared(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return 1 − Σ(y − ŷ)²/Σ(y − ȳ)², no less than 0."""
    residual = truth - predicted
    deviation = truth - truth.mean()
    unexplained = float(residual @ residual) / float(deviation @ deviation)
    return max(0.0, 1.0 - unexplained)


def area_under_roc(scores: np.ndarray, flags: np.ndarray) -> float:
    """Return the probability that an image with the label scores above one without it, equal scores
    counting half.

    It is the Mann–Whitney statistic: the rank sum of the positives less its least value, over the
    number of pairs.
    """
    ranks = mid_ranks(scores)
    is_positive = flags > 0
    positives = int(is_positive.sum())
    negatives = len(flags) - positives
    rank_sum = float(ranks[is_positive].sum())
    # The positives' ranks are 1, 2, … where they score below all others.
    pairs_won = rank_sum - positives * (positives + 1) / 2
    return pairs_won / (positives * negatives)


def mid_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each of (n,) values, from 1; equal values share the mean of their ranks.

    It is that of scipy.stats, whose import takes longer than the estimators that need it.
    """
    import numpy as np

    _, positions, counts = np.unique(values, return_inverse=True, return_counts=True)
    # The last rank of a value is how many there are up to it; the mean is (counts − 1)/2 before.
    last_ranks = np.cumsum(counts)
    mean_ranks = last_ranks - (counts - 1) / 2
    ranks: np.ndarray = mean_ranks[positions]
    return ranks
