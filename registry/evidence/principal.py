"""Principal axes: the directions in which features vary, the widest first. Worked out once, shared
by every estimator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.moments import Moments

BLOCK = 1 << 22
"""Values of a block of rows in float64: 32 MB."""

TIE = 1e-6
"""Loadings this close in size count as equal when a sign is chosen, lest rounding choose it."""

MEAN = 100.0
"""Digits of the mean, in units of the last place of float64, that its subtraction may leave behind.
"""


@dataclass(frozen=True)
class Principal:
    """Principal component analysis of features (N, D) of rank R < N: ``scatter`` (R,) = N ·
    variance, falling; ``axes`` (D, R).

    Axes of no more scatter than rounding leaves are not among them: constant columns and features
    of low rank are no trouble, and R is 0 where nothing varies. Signs are fixed: of each axis the
    first of its largest loadings is positive.
    """

    mean: np.ndarray
    scatter: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, moments: Moments | None = None) -> Principal:
        """By the smaller of X̃X̃ᵀ (N, N) and X̃ᵀX̃ (D, D); the latter from ``moments`` where they
        are given.
        """
        import numpy as np

        count, width = features.shape
        if count > width and moments is not None:
            return cls._of_gram(moments.centred.gram, count, moments.mean)
        origin = features[0].astype(np.float64)
        away = features - origin  # a constant column is exactly zero
        shift = away.mean(0)
        away -= shift
        if count > width:
            return cls._of_gram(away.T @ away, count, origin + shift)
        scatter, left = _varying(away @ away.T, count, origin + shift)
        return cls(origin + shift, scatter, _signed(away.T @ left / np.sqrt(scatter)))

    @classmethod
    def _of_gram(cls, gram: np.ndarray, count: int, mean: np.ndarray) -> Principal:
        scatter, axes = _varying(gram, count, mean)
        return cls(mean, scatter, _signed(axes))

    def scores(self, features: np.ndarray, components: int | None = None) -> np.ndarray:
        """The images along the first ``components`` axes, all of them without: (N, components or R)
        float64, columns of mean 0.
        """
        import numpy as np

        axes = self.axes[:, :components]
        scores = np.empty((len(features), axes.shape[1]))
        rows = max(1, BLOCK // features.shape[1])
        for start in range(0, len(features), rows):
            scores[start : start + rows] = (features[start : start + rows] - self.mean) @ axes
        return scores


def _varying(gram: np.ndarray, count: int, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues above rounding, falling, and their vectors as columns."""
    import numpy as np

    values, vectors = np.linalg.eigh(gram)
    epsilon = float(np.finfo(np.float64).eps)
    rounding = max(
        epsilon * len(gram) * values[-1], count * (MEAN * epsilon) ** 2 * float(mean @ mean)
    )
    kept = np.flatnonzero(values > rounding)[::-1][: count - 1]
    return values[kept], vectors[:, kept]


def _signed(axes: np.ndarray) -> np.ndarray:
    import numpy as np

    sizes = np.abs(axes)
    first = (sizes >= (1 - TIE) * sizes.max(0, initial=0)).argmax(0)
    return axes * np.sign(np.take_along_axis(axes, first[None], 0))
