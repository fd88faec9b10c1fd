"""parc: whether images that are far apart in features are far apart in labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.plugins.estimators.held_out import mid_ranks
from headwater.registry import estimator
from headwater.registry.cards.estimator import Score
from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.evidence import Evidence


@estimator(
    "parc", low=-100.0, high=100.0, task_types=("classification", "regression", "multilabel")
)
def parc(
    evidence: Evidence, *, components: int = 32, images: int = 500, probes: int = 5, seed: int = 0
) -> float:
    """Pairwise annotation representation comparison: 100 · Spearman correlation of the distances between images.

    Of features 1 − Pearson correlation over their first ``components`` principal components (over the features themselves where
    these are no more, or for 0). Of labels 1 − correlation of one-hot rows; multilabel: the Euclidean distance of flags, which on
    one-hot rows orders the pairs as the correlation does; regression: that of targets, each to unit deviation. Mean over ``probes``
    seeded probe sets of ``images``; all images at once where there are no more. Source: Bolya, Mittapalli, Hoffman, Scalable Diverse
    Model Selection for Accessible Transfer Learning (NeurIPS 2021, arXiv 2111.06977).
    """
    import numpy as np

    count, generator = len(evidence.labels), np.random.default_rng(seed)
    if count <= images:
        return _of_probe(evidence.features, evidence.labels, evidence.task_type, components)
    chosen = [np.sort(generator.choice(count, images, replace=False)) for _ in range(probes)]
    values = [
        _of_probe(evidence.features[rows], evidence.labels[rows], evidence.task_type, components)
        for rows in chosen
    ]
    return Score(
        float(np.mean(values)), f"{probes} probe sets of {images} of {count:,} images, seed {seed}"
    )


def _of_probe(features: np.ndarray, labels: np.ndarray, task_type: str, components: int) -> float:
    from headwater.registry.evidence.principal import Principal

    reduced = 0 < components < features.shape[1]
    kept = (
        Principal.of(features).scores(features, components)
        if reduced
        else features.astype("float64")
    )
    apart = _upper(1 - _correlation(kept))
    truly = _upper(_label_distances(labels, task_type))
    for distances, what in ((apart, "features"), (truly, "labels")):
        if len(distances) < 2 or distances.min() == distances.max():
            raise NotApplicable(
                f"parc: all images are equally far apart in their {what}, so the distances have no order",
                subject="parc",
                hint="It needs images of two classes, two of one class among them, and features that vary.",
            )
    return 100 * _pearson(mid_ranks(apart), mid_ranks(truly))


def _label_distances(labels: np.ndarray, task_type: str) -> np.ndarray:
    """(n, n); of classes 0 or 1: Spearman asks only for the order, and 1 − corr(one-hot) has two values as well."""
    import numpy as np
    from scipy.spatial.distance import pdist, squareform

    if task_type == "classification":
        return np.asarray(labels[:, None] != labels[None, :], dtype=np.float64)
    deviation = labels.std(0) if task_type == "regression" else 1.0
    return np.asarray(squareform(pdist(labels / np.where(deviation > 0, deviation, 1.0))))


def _correlation(rows: np.ndarray) -> np.ndarray:
    """Pearson correlation of every two rows (n, n), to 12 decimals; 0 with a row that does not vary.

    Further decimals are rounding, which would put distances in order that are equal: of two features, all are 0 or 2.
    """
    import numpy as np

    away = rows - rows.mean(1, keepdims=True)
    length = np.sqrt(np.einsum("nd,nd->n", away, away))
    away /= np.where(length > 0, length, 1.0)[:, None]
    return np.asarray(np.round(away @ away.T, 12))


def _upper(square: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.asarray(square[np.triu_indices(len(square), 1)])


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) / float((a @ a) * (b @ b)) ** 0.5
