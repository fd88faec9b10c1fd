"""Moments: the sufficient statistics of features and labels. One pass, any number of shards, exact when merged.

They are sums about a point near the mean, so that features far from zero lose no digits to cancellation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from registry.errors import DataError

if TYPE_CHECKING:
    import numpy as np

BLOCK = 1 << 22
"""Values in a block of rows: 32 MB of float64, whatever the number of images."""

SAMPLE = 256
"""Rows, evenly spaced, whose mean the sums are taken about."""


@dataclass(frozen=True)
class Moments:
    """Sums over N images of z = x − ``origin``, in float64; labels are columns y: one-hot classes, flags, or targets.

    ``sums``: Σz (D,). ``gram``: Σzzᵀ (D, D). ``cross``: Σyzᵀ (K, D), the class sums. ``label_sums``: Σy (K,), the class counts.
    ``label_squares``: Σy² (K,). ``cubes``: Σ‖z‖²z (D,). ``fourths``: Σ‖z‖⁴.
    """

    count: int
    origin: np.ndarray
    sums: np.ndarray
    gram: np.ndarray
    cross: np.ndarray
    label_sums: np.ndarray
    label_squares: np.ndarray
    cubes: np.ndarray
    fourths: float

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, *, task_type: str = "classification", classes: int | None = None) -> Moments:
        """Of features (N, D) and an Evidence's labels, in blocks. ``classes``: C, where a shard may lack the last of them."""
        import numpy as np

        sample = features[:: max(1, len(features) // SAMPLE)]
        origin = sample.mean(0, dtype=np.float64) if len(sample) else np.zeros(features.shape[1])
        width = _width(labels, task_type, classes)
        rows = max(1, BLOCK // features.shape[1])
        blocks = (slice(start, start + rows) for start in range(0, len(features), rows))
        return cls.of_blocks(((features[block], columns_of(labels[block], task_type, width)) for block in blocks), origin, width)

    @classmethod
    def of_blocks(cls, blocks: Iterable[tuple[np.ndarray, Any]], origin: np.ndarray, columns: int) -> Moments:
        """About a point (D,), of blocks of features (B, D) and label columns (B, K), dense or sparse."""
        sums = _Sums(origin, columns)
        for features, labels in blocks:
            sums.add(features, labels)
        return sums.all()

    def about(self, point: np.ndarray) -> Moments:
        """The same moments about another point (D,)."""
        import numpy as np

        move, n = self.origin - point, self.count
        square, trace, along = move @ move, np.trace(self.gram), self.sums @ move
        gram = self.gram + np.outer(self.sums, move) + np.outer(move, self.sums + n * move)
        turned = self.gram @ move
        cubes = self.cubes + trace * move + 2 * turned + 2 * along * move + square * self.sums + n * square * move
        fourths = self.fourths + 4 * move @ turned + n * square**2 + 4 * move @ self.cubes + 2 * square * trace + 4 * square * along
        cross = self.cross + np.outer(self.label_sums, move)
        return Moments(n, np.asarray(point), self.sums + n * move, gram, cross, self.label_sums, self.label_squares, cubes, float(fourths))

    def __add__(self, other: Moments) -> Moments:
        """Those of two shards together."""
        if self.cross.shape != other.cross.shape:
            raise DataError(
                f"shards of {self.cross.shape[1]} features and {self.cross.shape[0]} classes do not add up with"
                f" {other.cross.shape[1]} and {other.cross.shape[0]}",
                subject="moments",
                hint="Give classes= to Moments.of where a shard may lack a class.",
            )
        moved = other.about(self.origin)
        return Moments(
            self.count + moved.count,
            self.origin,
            self.sums + moved.sums,
            self.gram + moved.gram,
            self.cross + moved.cross,
            self.label_sums + moved.label_sums,
            self.label_squares + moved.label_squares,
            self.cubes + moved.cubes,
            self.fourths + moved.fourths,
        )

    @cached_property
    def mean(self) -> np.ndarray:
        """(D,)."""
        return self.origin + self.sums / self.count

    @cached_property
    def centred(self) -> Moments:
        """About the mean: ``centred.gram / N`` is the covariance."""
        return self.about(self.mean)

    @cached_property
    def raw(self) -> Moments:
        """About zero: ``raw.gram`` is XᵀX, ``raw.cross`` YᵀX."""
        import numpy as np

        return self.about(np.zeros_like(self.origin))

    @cached_property
    def class_means(self) -> np.ndarray:
        """(C, D) about the mean of all images; of classes that occur."""
        return self.centred.cross / self.label_sums[:, None]

    @cached_property
    def within(self) -> np.ndarray:
        """(D, D) covariance within classes: Σ_c Σ_{i∈c} (x − μ_c)(x − μ_c)ᵀ / N."""
        weighted = self.class_means * self.label_sums[:, None]
        within: np.ndarray = (self.centred.gram - weighted.T @ self.class_means) / self.count
        return within


class _Sums:
    """Sums under way."""

    def __init__(self, origin: np.ndarray, columns: int) -> None:
        import numpy as np

        width = len(origin)
        self.origin, self.count, self.fourths = origin, 0, 0.0
        self.sums, self.cubes = np.zeros(width), np.zeros(width)
        self.gram = np.zeros((width, width), order="F")
        self.cross = np.zeros((columns, width))
        self.label_sums, self.label_squares = np.zeros(columns), np.zeros(columns)
        self.room = np.empty((0, width))

    def add(self, x: np.ndarray, y: Any) -> None:
        """A block of features (B, D) and its label columns (B, K)."""
        import numpy as np
        from scipy.linalg.blas import dsyrk

        if len(self.room) < len(x):
            self.room = np.empty(x.shape)
        z = np.subtract(x, self.origin, out=self.room[: len(x)])
        squares = np.einsum("nd,nd->n", z, z)
        self.count += len(z)
        self.sums += np.ones(len(z)) @ z
        self.cubes += squares @ z
        self.fourths += float(squares @ squares)
        self.gram = dsyrk(1.0, z.T, beta=1.0, c=self.gram, overwrite_c=True)  # the upper triangle
        self.cross += y.T @ z
        self.label_sums += np.asarray(y.sum(0)).reshape(-1)
        self.label_squares += np.asarray((y * y).sum(0)).reshape(-1)

    def all(self) -> Moments:
        import numpy as np

        below = np.tril_indices(len(self.gram), -1)
        self.gram[below] = self.gram.T[below]
        labels = self.label_sums, self.label_squares
        return Moments(self.count, self.origin, self.sums, self.gram, self.cross, *labels, self.cubes, self.fourths)


def _width(labels: np.ndarray, task_type: str, classes: int | None) -> int:
    if task_type != "classification":
        return int(labels.shape[1])
    return max(classes or 0, int(labels.max(initial=-1)) + 1)


def columns_of(labels: np.ndarray, task_type: str, width: int) -> Any:
    """Label columns (B, K): one-hot rows are sparse."""
    import numpy as np
    from scipy.sparse import csr_array

    if task_type != "classification":
        return labels.astype(np.float64)
    count = len(labels)
    return csr_array((np.ones(count), labels, np.arange(count + 1)), shape=(count, width))
