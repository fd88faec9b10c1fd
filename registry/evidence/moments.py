"""Moments: the sufficient statistics of features and labels. One pass, any number of shards, exact
when merged.

They are sums about a point near the mean, so that features far from zero lose no digits to
cancellation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import TYPE_CHECKING, Any

from headwater.registry.errors import DataError
from headwater.registry.evidence.sums import Sums, in_blocks, label_columns

if TYPE_CHECKING:
    import numpy as np

SAMPLE = 256
"""Rows, evenly spaced, whose mean the sums are taken about."""


@dataclass(frozen=True)
class Moments:
    """Sums over N images of z = x − ``origin``, in float64; labels are columns y: one-hot classes,
    flags, or targets.

    ``sums``: Σz (D,). ``gram``: Σzzᵀ (D, D). ``cross``: Σyzᵀ (K, D), the class sums.
        ``label_sums``: Σy (K,), the class counts.
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
    def of(
        cls,
        features: np.ndarray,
        labels: np.ndarray,
        *,
        task_type: str = "classification",
        classes: int | None = None,
    ) -> Moments:
        """Of features (N, D) and an Evidence's labels, in blocks. ``classes``: C, where a shard may
        lack the last of them.
        """
        import numpy as np

        sample = features[:: max(1, len(features) // SAMPLE)]
        origin = sample.mean(0, dtype=np.float64) if len(sample) else np.zeros(features.shape[1])
        width = _width(labels, task_type, classes)

        def columns(part: slice) -> Any:
            return label_columns(labels[part], task_type, width)

        return reduce(
            add, map(cls.of_sums, in_blocks(features, columns, lambda: Sums(origin, width)))
        )

    @classmethod
    def of_sums(cls, sums: Sums) -> Moments:
        labels = sums.label_sums, sums.label_squares
        return cls(
            sums.count,
            sums.origin,
            sums.sums,
            sums.gram,
            sums.cross,
            *labels,
            sums.cubes,
            sums.fourths,
        )

    def about(self, point: np.ndarray) -> Moments:
        """The same moments about another point (D,)."""
        import numpy as np

        move, n = self.origin - point, self.count
        square, trace, along = move @ move, np.trace(self.gram), self.sums @ move
        gram = self.gram + np.outer(self.sums, move) + np.outer(move, self.sums + n * move)
        turned = self.gram @ move
        cubes = (
            self.cubes
            + trace * move
            + 2 * turned
            + 2 * along * move
            + square * self.sums
            + n * square * move
        )
        fourths = (
            self.fourths
            + 4 * move @ turned
            + n * square**2
            + 4 * move @ self.cubes
            + 2 * square * trace
            + 4 * square * along
        )
        cross = self.cross + np.outer(self.label_sums, move)
        return Moments(
            n,
            np.asarray(point),
            self.sums + n * move,
            gram,
            cross,
            self.label_sums,
            self.label_squares,
            cubes,
            float(fourths),
        )

    def __add__(self, other: Moments) -> Moments:
        """Return those of two shards together."""
        if self.cross.shape != other.cross.shape:
            raise DataError(
                f"shards of {self.cross.shape[1]} features and {self.cross.shape[0]} classes do not add up with"
                f" {other.cross.shape[1]} and {other.cross.shape[0]}",
                subject="moments",
                hint="Give classes= to Moments.of where a shard may lack a class.",
            )
        moved = other if other.origin is self.origin else other.about(self.origin)
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


def _width(labels: np.ndarray, task_type: str, classes: int | None) -> int:
    if task_type != "classification":
        return int(labels.shape[1])
    return max(classes or 0, int(labels.max(initial=-1)) + 1)
