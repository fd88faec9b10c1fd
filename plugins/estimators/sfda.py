"""sfda: how surely classes are told apart after each image was pulled towards the other classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from headwater.registry import Evidence, Score, estimator
from headwater.registry.evidence.discriminant import Discriminant, float64_blocks
from headwater.registry.evidence.moments import Moments
from headwater.registry.evidence.sums import Sums, label_columns

if TYPE_CHECKING:
    import numpy as np


@estimator("sfda", low=0.0, high=1.0)
def sfda(evidence: Evidence) -> Score:
    """Self-challenging Fisher discriminant analysis: the mean posterior of the true class, in two steps.

    First a linear discriminant with the covariance within classes W shrunk by s = max(exp(−5 λ_max(W)), 1e-10) gives each image
    the posterior of its class, softened by one more softmax over the classes: p. Then the images are mixed (ConfMix),
    x̃ = p·x + (1 − p)·(mean of the other classes' means); a discriminant of the same s is fitted to x̃, and its posterior of the
    true class averaged. As in the authors' code, from which it differs by the exact λ_max and by not changing the features; the
    paper averages the logarithm. Not scale-invariant: s depends on λ. Source: Shao et al., Not All Models Are Equal: Predicting
    Model Transferability in a Self-Challenging Fisher Space (ECCV 2022, arXiv 2207.03036).
    """
    first, moments, labels = evidence.discriminant, evidence.moments, evidence.labels
    classes = len(moments.label_sums)
    others = moments.mean + (moments.class_means.sum(0) - moments.class_means) / (classes - 1)
    weights = evidence.posteriors.softened

    def mixed() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        start = 0
        for features, own in float64_blocks(evidence.features, labels):
            share = weights[start : start + len(own), None]
            start += len(own)
            yield share * features + (1 - share) * others[own], own

    blocks = (
        (features, label_columns(own, "classification", classes)) for features, own in mixed()
    )
    second = Discriminant.of(
        Moments.of_sums(Sums(moments.mean, classes).add_all(blocks)), first.shrinkage
    )
    value = sum(float(own.sum()) for _, own in second.chances(mixed())) / len(labels)
    return Score(min(value, 1.0), _note(evidence))


def _note(evidence: Evidence) -> str:
    count, width = evidence.features.shape
    return (
        f"says little: {width} features tell {count} images apart whatever their labels"
        if width >= count - 1
        else ""
    )
