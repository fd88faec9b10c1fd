"""sfda: how surely classes are told apart after each image was pulled towards the other classes.

1. A linear discriminant with the covariance within classes W shrunk by s = max(exp(−5 λ_max(W)),
   1e-10) gives each image the posterior of its class, softened by one more softmax over the
   classes: p.
2. The images are mixed (ConfMix): x̃ = p·x + (1 − p)·(mean of the other classes' means).
3. A discriminant of the same s is fitted to x̃, and its posterior of the true class averaged.

This is as in the authors' code, from which it differs by the exact λ_max and by not changing the
features; the paper averages the logarithm.

Source: Shao et al., Not All Models Are Equal: Predicting Model Transferability in a
Self-Challenging Fisher Space (ECCV 2022, arXiv 2207.03036).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from headwater import (
    Discriminant,
    Evidence,
    LabelKind,
    Moments,
    Score,
    Sums,
    estimator,
    float64_blocks,
    label_columns,
)

if TYPE_CHECKING:
    import numpy as np


@estimator("sfda", low=0.0, high=1.0)
def sfda(evidence: Evidence) -> Score:
    """Self-challenging Fisher discriminant analysis: the mean posterior of the true class, in two
    steps.

    Not scale-invariant: the shrinkage depends on λ_max.

    Args:
        evidence: Features and classes.

    Returns:
        The score, between 0 and 1.
    """
    moments = evidence.moments
    labels = evidence.labels
    classes = len(moments.label_sums)
    sum_of_others = moments.class_means.sum(0) - moments.class_means
    mean_of_others = moments.mean + sum_of_others / (classes - 1)
    p = _softened_posteriors(evidence)

    # Mixed anew in each of the two passes: they are as large as the features.
    def mixed_blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        start = 0
        for features, classes_of_block in float64_blocks(evidence.features, labels):
            end = start + len(classes_of_block)
            share = p[start:end, None]
            mixed = share * features + (1 - share) * mean_of_others[classes_of_block]
            yield mixed, classes_of_block
            start = end

    blocks = (
        (features, label_columns(classes_of_block, LabelKind.CLASSES, classes))
        for features, classes_of_block in mixed_blocks()
    )
    sums = Sums(moments.mean, classes).add_all(blocks)
    second = Discriminant.of(Moments.of_sums(sums), evidence.discriminant.shrinkage)
    total = 0.0
    for _, of_true_class in second.chances(mixed_blocks()):
        total += float(of_true_class.sum())
    return Score(min(total / len(labels), 1.0), _note(evidence))


def _softened_posteriors(evidence: Evidence) -> np.ndarray:
    """Return p (N,): the posterior of each image's own class after one more softmax over the
    classes.
    """
    import numpy as np

    softened = []
    blocks = float64_blocks(evidence.features, evidence.labels)
    for posteriors, of_true_class in evidence.discriminant.chances(blocks):
        softened.append(np.exp(of_true_class) / np.exp(posteriors).sum(1))
    return np.concatenate(softened)


def _note(evidence: Evidence) -> str:
    """Return what makes the score say little, or nothing."""
    images, width = evidence.features.shape
    # Of as many features as images less one, a discriminant tells any labels apart.
    if width < images - 1:
        return ""
    return f"says little: {width} features tell {images} images apart whatever their labels"
