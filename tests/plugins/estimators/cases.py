"""Small inputs on which every estimator must be right: the awkward ones, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Case:
    """Features (N, D), labels (N,), and probabilities (N, Cs) of a source's classes that know something of the labels."""

    features: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def encoded(self) -> np.ndarray:
        """Labels as 0 to C − 1 of those that occur."""
        return np.unique(self.labels, return_inverse=True)[1].reshape(-1)

    @property
    def classes(self) -> int:
        return len(np.unique(self.labels))

    def scaled(self, factor: float) -> Case:
        return replace(self, features=self.features * np.asarray(factor, self.features.dtype))


def make(count: int, width: int, classes: int = 3, seed: int = 0, spread: float = 1.0) -> Case:
    """Classes around centres of their own, as balanced as can be; a source of classes + 2 classes."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % classes)
    features = (
        random.normal(size=(classes, width))[labels] * spread
        + random.normal(size=(count, width))
        + 0.5
    )
    outputs = random.normal(size=(count, classes + 2))
    outputs[np.arange(count), labels] += 1.5
    weights = np.exp(outputs)
    return Case(features, labels, weights / weights.sum(1, keepdims=True))


def few_features() -> Case:
    return make(40, 5)


def few_images() -> Case:
    return make(18, 30, seed=1)


def as_many() -> Case:
    return make(20, 20, seed=2)


def rank_deficient() -> Case:
    """Eight features of rank three."""
    case = make(40, 3, seed=3)
    return replace(case, features=case.features @ np.random.default_rng(30).normal(size=(3, 8)))


def rank_deficient_few_images() -> Case:
    """Thirty features of rank four of eighteen images."""
    case = make(18, 4, seed=4)
    return replace(case, features=case.features @ np.random.default_rng(40).normal(size=(4, 30)))


def constant_columns() -> Case:
    """Two of seven features are the same for all images: a dead unit, and one that is far from zero."""
    case = make(40, 7, seed=5)
    features = case.features.copy()
    features[:, 2], features[:, 5] = 0.0, 1234.567
    return replace(case, features=features)


def unbalanced() -> Case:
    """Classes of 30, 6, and a single image."""
    case = make(37, 5, seed=6)
    labels = np.repeat([0, 1, 2], [30, 6, 1])
    return replace(case, labels=labels, features=case.features + labels[:, None])


def missing_class() -> Case:
    """Labels 0, 1 and 4: classes 2 and 3 have no image."""
    case = make(40, 5, seed=7)
    return replace(case, labels=np.array([0, 1, 4])[case.labels])


def strange_labels() -> Case:
    """Labels −7, 12 and 1000."""
    case = make(40, 5, seed=8)
    return replace(case, labels=np.array([1000, -7, 12])[case.labels])


def named_labels() -> Case:
    case = make(40, 5, seed=9)
    return replace(case, labels=np.array(["zebra", "ant", "yak"])[case.labels])


def two_classes() -> Case:
    return make(30, 4, classes=2, seed=10)


def many_classes() -> Case:
    """Ten classes in four features."""
    return make(60, 4, classes=10, seed=11)


def single_precision() -> Case:
    case = make(40, 5, seed=12)
    return replace(
        case,
        features=case.features.astype(np.float32),
        probabilities=case.probabilities.astype(np.float32),
    )


def single_precision_few_images() -> Case:
    case = make(18, 30, seed=13)
    return replace(
        case,
        features=case.features.astype(np.float32),
        probabilities=case.probabilities.astype(np.float32),
    )


def far_from_zero() -> Case:
    """Features a thousand deviations away from zero."""
    case = make(40, 5, seed=14)
    return replace(case, features=case.features + 1000.0)


def tiny() -> Case:
    return make(40, 5, seed=15).scaled(1e-3)


def huge() -> Case:
    return make(40, 5, seed=16).scaled(1e3)


def separable() -> Case:
    """Classes far apart: every image is nearest to its own."""
    return make(40, 5, seed=17, spread=8.0)


CASES: tuple[Callable[[], Case], ...] = (
    few_features,
    few_images,
    as_many,
    rank_deficient,
    rank_deficient_few_images,
    constant_columns,
    unbalanced,
    missing_class,
    strange_labels,
    named_labels,
    two_classes,
    many_classes,
    single_precision,
    single_precision_few_images,
    far_from_zero,
    tiny,
    huge,
    separable,
)
"""``@pytest.mark.parametrize("case", CASES, ids=name)``, then ``case()``."""


def name(case: Callable[[], Case]) -> str:
    return case.__name__


def constant() -> Case:
    """All images have the same features: no score, but a reason."""
    case = make(40, 5, seed=18)
    return replace(case, features=np.full((40, 5), 0.1))
