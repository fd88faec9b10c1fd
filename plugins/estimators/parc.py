"""parc: whether images that are far apart in features are far apart in labels.

With the distances d_X(i, j) of features and d_Y(i, j) of labels over all pairs i < j of images, the
score is 100 · their Spearman
correlation: the Pearson correlation of their ranks. d_X is 1 − Pearson correlation of the images'
features, along their first principal components. d_Y is

    classification: 1 − Pearson correlation of one-hot rows
    multilabel:     the Euclidean distance of flags, which on one-hot rows orders the pairs as the
        correlation does
    regression:     the Euclidean distance of targets, each scaled to unit deviation

Source: Bolya, Mittapalli, Hoffman, Scalable Diverse Model Selection for Accessible Transfer
Learning (NeurIPS 2021, arXiv 2111.06977).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import LabelKind, NotApplicable, Score, estimator
from headwater.plugins.estimators.held_out import mid_ranks

if TYPE_CHECKING:
    import numpy as np

    from headwater import Evidence

DECIMALS = 12
"""Decimals of a correlation. Further ones are rounding, and would order distances that are equal:
of two features, all are 0 or 2.
"""


@estimator("parc", low=-100.0, high=100.0, labels=("classes", "numbers", "flags"))
def parc(
    evidence: Evidence, *, components: int = 32, images: int = 500, probes: int = 5, seed: int = 0
) -> float:
    """Pairwise annotation representation comparison: 100 · Spearman correlation of the distances
    between images.

    Args:
        evidence: Features and labels.
        components: Principal components of the features; the features themselves where these are no
            more, or for 0.
        images: Images of a probe set; all at once where there are no more.
        probes: Probe sets, whose mean is the score.
        seed: Seed of the probe sets.

    Returns:
        The score, between −100 and 100.

    Raises:
        NotApplicable: All distances of features or all distances of labels are equal.
    """
    import numpy as np

    features, labels, kind = evidence.features, evidence.labels, evidence.label_kind
    count = len(labels)
    if count <= images:
        return _score_probe(features, labels, kind, components)
    generator = np.random.default_rng(seed)
    probe_sets = [np.sort(generator.choice(count, images, replace=False)) for _ in range(probes)]
    values = [_score_probe(features[rows], labels[rows], kind, components) for rows in probe_sets]
    note = f"{probes} probe sets of {images} of {count:,} images, seed {seed}"
    return Score(float(np.mean(values)), note)


def _score_probe(
    features: np.ndarray, labels: np.ndarray, kind: LabelKind, components: int
) -> float:
    from headwater import Principal

    if 0 < components < features.shape[1]:
        rows = Principal.of(features).scores(features, components)
    else:
        rows = features.astype("float64")
    of_features = _pairs(1 - _correlation(rows))
    of_labels = _pairs(_label_distances(labels, kind))
    for distances, what in ((of_features, "features"), (of_labels, "labels")):
        if len(distances) < 2 or distances.min() == distances.max():
            raise NotApplicable(
                f"parc: all images are equally far apart in their {what}, so the distances have no order",
                subject="parc",
                hint="It needs images of two classes, two of one class among them, and features that vary.",
            )
    return 100 * _pearson(mid_ranks(of_features), mid_ranks(of_labels))


def _label_distances(labels: np.ndarray, kind: LabelKind) -> np.ndarray:
    """Return the distances (n, n) of labels; of classes 0 or 1, since only the order counts, and 1
    − corr(one-hot) has two values too.
    """
    import numpy as np
    from scipy.spatial.distance import pdist, squareform

    if kind is LabelKind.CLASSES:
        return np.asarray(labels[:, None] != labels[None, :], dtype=np.float64)
    deviation = labels.std(0) if kind is LabelKind.NUMBERS else 1.0
    scale = np.where(deviation > 0, deviation, 1.0)
    return np.asarray(squareform(pdist(labels / scale)))


def _correlation(rows: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation of every two rows (n, n), rounded; 0 with a row that does not
    vary.
    """
    import numpy as np

    centred = rows - rows.mean(1, keepdims=True)
    length = np.sqrt(np.einsum("nd,nd->n", centred, centred))
    centred /= np.where(length > 0, length, 1.0)[:, None]
    return np.asarray(np.round(centred @ centred.T, DECIMALS))


def _pairs(square: np.ndarray) -> np.ndarray:
    """Return the entries of pairs i < j."""
    import numpy as np

    return np.asarray(square[np.triu_indices(len(square), 1)])


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) / float((a @ a) * (b @ b)) ** 0.5
