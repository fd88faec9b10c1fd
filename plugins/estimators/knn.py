"""knn: how often an image's nearest neighbours, itself left out, have its label."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from headwater.plugins.estimators.held_out import quality
from headwater.registry import estimator
from headwater.registry.cards.estimator import Score
from headwater.registry.errors import BadName

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.evidence import Evidence

BLOCK = 1 << 23
"""Values of a block in float32 (32 MB): rows of features, and images × images."""

SMALL, EQUAL = 1 << 20, 12
"""Features of no more values than this are compared in float64, and images within as many decimals are equally near."""

SAMPLE = 256
"""Rows, evenly spaced, that say where the features lie and how large they are."""


@estimator("knn", low=0.0, high=1.0, task_types=("classification", "regression", "multilabel"))
def knn(
    evidence: Evidence, *, k: int = 5, metric: str = "cosine", images: int = 2000, seed: int = 0
) -> float:
    """Leave-one-out accuracy of the k nearest neighbours by ``metric``, ``cosine`` or ``l2``.

    The k neighbours vote; of classes with equally many votes that of the nearest neighbour among them wins, and of equally near images
    the earlier is nearer. Regression: R² of the neighbours' mean. Multilabel: area under the ROC curve of the share of neighbours
    that have the label; both as in ``held_out.quality``. Where there are more than ``images``, a seeded sample of as many is
    predicted, each from all others. Source: Cover and Hart, Nearest Neighbor Pattern Classification (1967); leave-one-out.
    """
    import numpy as np

    if metric not in ("cosine", "l2"):
        raise BadName(f"knn[metric={metric}]: metric is cosine or l2", subject="knn")
    if k < 1:
        raise BadName(f"knn[k={k}]: an image needs a neighbour", subject="knn")
    count = len(evidence.labels)
    asked = np.arange(count)
    if count > images:
        asked = np.sort(np.random.default_rng(seed).choice(count, images, replace=False))
    nearest = _neighbours(evidence.features, asked, min(k, count - 1), metric)
    known = evidence.labels[nearest]
    predicted = _voted(known) if evidence.task_type == "classification" else known.mean(1)
    value = quality(predicted, evidence.labels[asked], evidence.task_type, "knn")
    return Score(value, f"of {images:,} of {count:,} images, seed {seed}" if count > images else "")


def _voted(known: np.ndarray) -> np.ndarray:
    """The class with most votes among neighbours (n, k), the nearest first: (n,)."""
    import numpy as np

    votes = np.stack([(known == known[:, [rank]]).sum(1) for rank in range(known.shape[1])], axis=1)
    return np.asarray(known[np.arange(len(known)), votes.argmax(1)])


def _neighbours(features: np.ndarray, asked: np.ndarray, k: int, metric: str) -> np.ndarray:
    """Of the images ``asked`` the k nearest others, nearest first: (n, k) rows. Blocks of images, never all pairs at once."""
    import numpy as np

    exact = features.size <= SMALL
    prepare = partial(
        _unit_length if metric == "cosine" else _centred(features),
        kind=np.float64 if exact else np.float32,
    )
    queries = prepare(features[asked])
    found, near = (
        np.empty((len(asked), 0), dtype=np.int64),
        np.empty((len(asked), 0), dtype=queries.dtype),
    )
    step = max(1, BLOCK // max(features.shape[1], len(asked)))
    for start in range(0, len(features), step):
        block = prepare(features[start : start + step])
        likeness = queries @ block.T
        if metric == "l2":
            likeness -= (
                np.einsum("nd,nd->n", block, block) / 2
            )  # −½‖q − x‖² but for a term of the query alone
        if exact:
            likeness = np.round(likeness, EQUAL)
        own = np.flatnonzero((asked >= start) & (asked < start + step))
        likeness[own, asked[own] - start] = -np.inf
        columns, values = _largest(likeness, min(k, len(block)))
        found, near = np.hstack([found, columns + start]), np.hstack([near, values])
        best = np.argsort(-near, axis=1, kind="stable")[
            :, :k
        ]  # stable: of equally near ones the earlier first
        found, near = np.take_along_axis(found, best, 1), np.take_along_axis(near, best, 1)
    return found


def _unit_length(rows: np.ndarray, kind: type) -> np.ndarray:
    """Rows of length 1; those of zeros stay zero, equally far from all."""
    import numpy as np

    length = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    return (rows / np.where(length > 0, length, 1.0)[:, None].astype(rows.dtype)).astype(
        kind, copy=False
    )


def _centred(features: np.ndarray) -> Callable[..., np.ndarray]:
    """Rows near the origin and of size near 1, which leaves the order of distances: float32 then has digits to tell them apart."""
    import numpy as np

    sample = features[:: max(1, len(features) // SAMPLE)].astype(np.float64)
    shift, scale = sample.mean(0), float(sample.std(0).max()) or 1.0

    def prepare(rows: np.ndarray, kind: type) -> np.ndarray:
        return ((rows - shift) / scale).astype(kind, copy=False)

    return prepare


def _largest(likeness: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of the k largest of each row, falling, the first of equal ones first. Overwrites ``likeness``."""
    import numpy as np

    rows = np.arange(len(likeness))
    columns, values = (
        np.empty((len(rows), k), dtype=np.int64),
        np.empty((len(rows), k), dtype=likeness.dtype),
    )
    for rank in range(k):
        columns[:, rank] = likeness.argmax(1)
        values[:, rank] = likeness[rows, columns[:, rank]]
        likeness[rows, columns[:, rank]] = -np.inf
    return columns, values
