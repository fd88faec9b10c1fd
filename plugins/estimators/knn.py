"""knn: how often an image's nearest neighbours, itself left out, have its label.

For an image q, the others x are ordered by a likeness that falls with the distance:

    cosine:  qᵀx / (‖q‖ ‖x‖)
    l2:      qᵀx − ½‖x‖² = ½‖q‖² − ½‖q − x‖²,  of which ½‖q‖² is the same for all x

so that both are one matrix product a block of images. Source: Cover and Hart, Nearest Neighbor
Pattern Classification (1967), by leaving one out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headwater import BadName, LabelKind, Score, estimator
from headwater.plugins.estimators.held_out import quality

if TYPE_CHECKING:
    import numpy as np

    from headwater import Evidence

BLOCK_NUMBERS = 1 << 23
"""Numbers of a block in float32 (32 MB): rows of features, and images × images."""

EXACT_NUMBERS = 1 << 20
"""Features of at most this many numbers are compared in float64, and rounded to ``EXACT_DECIMALS``.
"""
EXACT_DECIMALS = 12
"""Decimals of the likeness; images that agree in all of them are equally near."""

SAMPLE_ROWS = 256
"""Rows, evenly spaced, that location and scale of the features are computed from."""


@estimator("knn", low=0.0, high=1.0, labels=("classes", "numbers", "flags"))
def knn(
    evidence: Evidence, *, k: int = 5, metric: str = "cosine", images: int = 2000, seed: int = 0
) -> float:
    """Leave-one-out accuracy of the k nearest neighbours by ``metric``, ``cosine`` or ``l2``.

    The k neighbours vote; among classes with equally many votes that of the nearest neighbour wins,
    and among equally near images the earlier one is nearer. Regression: R² of the neighbours' mean.
    Multilabel: area under the ROC curve of the share of neighbours that have the label.

    Args:
        evidence: Features and labels.
        k: Neighbours; all others where there are fewer.
        metric: ``cosine`` or ``l2``.
        images: Images to predict; a sample where there are more. Each is predicted from all others.
        seed: Seed of the sample.

    Returns:
        The quality of the predictions, as in ``held_out.quality``.

    Raises:
        BadName: An option has a value that is not allowed.
    """
    import numpy as np

    if metric not in ("cosine", "l2"):
        raise BadName(f"knn[metric={metric}]: metric is cosine or l2", subject="knn")
    if k < 1:
        raise BadName(f"knn[k={k}]: an image needs a neighbour", subject="knn")
    labels = evidence.labels
    count = len(labels)
    queries = np.arange(count)
    note = ""
    if count > images:
        generator = np.random.default_rng(seed)
        queries = np.sort(generator.choice(count, images, replace=False))
        note = f"of {images:,} of {count:,} images, seed {seed}"
    neighbours = nearest_neighbours(evidence.features, queries, min(k, count - 1), metric)
    neighbour_labels = labels[neighbours]
    if evidence.label_kind is LabelKind.CLASSES:
        predicted = vote(neighbour_labels)
    else:
        predicted = neighbour_labels.mean(1)
    value = quality(predicted, labels[queries], evidence.label_kind, "knn")
    return Score(value, note)


def vote(classes: np.ndarray) -> np.ndarray:
    """Return the class (n,) with most votes among the classes of neighbours (n, k), the nearest
    first.
    """
    import numpy as np

    images, k = classes.shape
    votes_by_rank = np.empty((images, k), dtype=np.int64)
    for rank in range(k):
        agrees = classes == classes[:, [rank]]
        votes_by_rank[:, rank] = agrees.sum(1)
    # argmax takes the first, and so the nearest, of equals.
    winner = votes_by_rank.argmax(1)
    voted: np.ndarray = classes[np.arange(images), winner]
    return voted


def nearest_neighbours(
    features: np.ndarray, queries: np.ndarray, k: int, metric: str
) -> np.ndarray:
    """Return the nearest other images of some images, in blocks of images: never all pairs are in
    memory at once.

    Args:
        features: (N, D).
        queries: (n,) indices of images.
        k: Neighbours.
        metric: ``cosine`` or ``l2``.

    Returns:
        (n, k) indices, the nearest first.
    """
    import numpy as np

    # In float64 rounding can make equal likenesses equal again, so that ties fall as they should.
    is_exact = features.size <= EXACT_NUMBERS
    kind: type = np.float64 if is_exact else np.float32
    prepare = _unit_length if metric == "cosine" else _standardise(features)
    query_rows: np.ndarray = prepare(features[queries]).astype(kind, copy=False)
    nearest = np.empty((len(queries), 0), dtype=np.int64)
    nearest_likeness = np.empty((len(queries), 0), dtype=query_rows.dtype)
    step = max(1, BLOCK_NUMBERS // max(features.shape[1], len(queries)))
    for start in range(0, len(features), step):
        end = start + step
        block: np.ndarray = prepare(features[start:end]).astype(kind, copy=False)
        likeness = query_rows @ block.T
        if metric == "l2":
            likeness -= np.einsum("nd,nd->n", block, block) / 2
        if is_exact:
            likeness = np.round(likeness, EXACT_DECIMALS)
        # No image is its own neighbour.
        in_block = np.flatnonzero((queries >= start) & (queries < end))
        likeness[in_block, queries[in_block] - start] = -np.inf

        # The nearest so far come before the block's: a stable sort leaves the earlier of equally
        # near images first.
        columns, values = _largest(likeness, min(k, len(block)))
        nearest = np.hstack([nearest, columns + start])
        nearest_likeness = np.hstack([nearest_likeness, values])
        order = np.argsort(-nearest_likeness, axis=1, kind="stable")[:, :k]
        nearest = np.take_along_axis(nearest, order, 1)
        nearest_likeness = np.take_along_axis(nearest_likeness, order, 1)
    return nearest


def _unit_length(rows: np.ndarray) -> np.ndarray:
    """Return rows of length 1; rows of zeros stay zero, equally far from all."""
    import numpy as np

    squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    lengths = np.sqrt(squares)
    divisors = np.where(lengths > 0, lengths, 1.0).astype(rows.dtype)
    scaled: np.ndarray = rows / divisors[:, None]
    return scaled


def _standardise(features: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a map of rows to near the origin, and to a size near 1.

    It leaves the order of distances, and gives float32 the digits to tell them apart.
    """
    import numpy as np

    every = max(1, len(features) // SAMPLE_ROWS)
    sample = features[::every].astype(np.float64)
    shift = sample.mean(0)
    scale = float(sample.std(0).max()) or 1.0
    return lambda rows: (rows - shift) / scale


def _largest(likeness: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k largest of each row, the largest first; of equal values the first comes first.

    Args:
        likeness: (n, N); overwritten.
        k: How many.

    Returns:
        Columns (n, k) and values (n, k).
    """
    import numpy as np

    rows = np.arange(len(likeness))
    columns = np.empty((len(rows), k), dtype=np.int64)
    values = np.empty((len(rows), k), dtype=likeness.dtype)
    for rank in range(k):
        # k passes, since a partition would lose the order of ties.
        best = likeness.argmax(1)
        columns[:, rank] = best
        values[:, rank] = likeness[rows, best]
        likeness[rows, best] = -np.inf
    return columns, values
