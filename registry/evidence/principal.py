"""Principal axes: the directions in which features vary, the widest first. Worked out once, shared
by every estimator.

Of X̃ (N, D), the features less their mean, the axes V and the scatter s solve X̃ᵀX̃ = V diag(s) Vᵀ.
Where there are fewer images than features, the smaller X̃X̃ᵀ = U diag(s) Uᵀ has the same scatter, and
V = X̃ᵀU diag(s)^−½ (the method of snapshots, Sirovich 1987).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.moments import Moments

BLOCK_VALUES = 1 << 22
"""Values of a block of rows in float64: 32 MB."""

TIE_TOLERANCE = 1e-6
"""Loadings this close in size count as equal when a sign is chosen, lest rounding choose it."""

MEAN_UNITS = 100.0
"""Units in the last place of the mean, as float64, that its subtraction may leave behind."""


@dataclass(frozen=True)
class Principal:
    """Principal component analysis of features (N, D) of rank R < N.

    Axes of no more scatter than rounding leaves are not among them: constant columns and features
    of low rank are no trouble, and R is 0 where nothing varies. Signs are fixed: of each axis the
    first of its largest loadings is positive.

    Attributes:
        mean: (D,) the mean of the features.
        scatter: (R,) N times the variance along each axis, falling.
        axes: (D, R) orthonormal columns.
    """

    mean: np.ndarray
    scatter: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, moments: Moments | None = None) -> Principal:
        """Find the axes by the smaller of X̃X̃ᵀ (N, N) and X̃ᵀX̃ (D, D).

        Args:
            features: (N, D).
            moments: Theirs, where they were gathered: X̃ᵀX̃ is then read off them.
        """
        import numpy as np

        count, width = features.shape
        if count > width and moments is not None:
            return cls._of_gram(moments.centred.gram, count, moments.mean)
        # About the first image, not the mean, a constant column is exactly zero.
        origin = features[0].astype(np.float64)
        centred = features - origin
        shift = centred.mean(0)
        centred -= shift
        mean = origin + shift
        if count > width:
            return cls._of_gram(centred.T @ centred, count, mean)
        scatter, left_vectors = _varying(centred @ centred.T, count, mean)
        axes = centred.T @ left_vectors / np.sqrt(scatter)
        return cls(mean, scatter, _signed(axes))

    @classmethod
    def _of_gram(cls, gram: np.ndarray, count: int, mean: np.ndarray) -> Principal:
        scatter, axes = _varying(gram, count, mean)
        return cls(mean, scatter, _signed(axes))

    def scores(self, features: np.ndarray, components: int | None = None) -> np.ndarray:
        """Return the images along the first axes, in float64 and in blocks.

        Args:
            features: (N, D).
            components: How many axes; None for all R.

        Returns:
            (N, components); columns of mean 0 for the features that the axes are of.
        """
        import numpy as np

        axes = self.axes[:, :components]
        scores = np.empty((len(features), axes.shape[1]))
        rows = max(1, BLOCK_VALUES // features.shape[1])
        for start in range(0, len(features), rows):
            block = slice(start, start + rows)
            scores[block] = (features[block] - self.mean) @ axes
        return scores


def _varying(gram: np.ndarray, count: int, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues above rounding, falling, and their vectors as columns.

    Two errors leave eigenvalues that mean nothing: that of ``eigh``, ε · size · the largest; and
    what is left of the mean m after its subtraction, N (units · ε)² ‖m‖².

    Args:
        gram: X̃ᵀX̃ or X̃X̃ᵀ.
        count: N: no more than N − 1 axes vary about a mean.
        mean: (D,) m.
    """
    import numpy as np

    values, vectors = np.linalg.eigh(gram)
    epsilon = float(np.finfo(np.float64).eps)
    largest = values[-1]
    solver_error = epsilon * len(gram) * largest
    unit = MEAN_UNITS * epsilon
    squared_norm = float(mean @ mean)
    mean_error = count * unit**2 * squared_norm
    rounding = max(solver_error, mean_error)
    rising = np.flatnonzero(values > rounding)
    falling = rising[::-1]
    varying = falling[: count - 1]
    return values[varying], vectors[:, varying]


def _signed(axes: np.ndarray) -> np.ndarray:
    """Return axes (D, R) with the first of the largest loadings of each positive."""
    import numpy as np

    sizes = np.abs(axes)
    # R is 0 where nothing varies, and an empty maximum needs a start.
    largest = sizes.max(0, initial=0)
    is_largest = sizes >= (1 - TIE_TOLERANCE) * largest
    first = is_largest.argmax(0)
    loadings = np.take_along_axis(axes, first[None], 0)
    return axes * np.sign(loadings)
