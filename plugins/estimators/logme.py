"""logme: how probable the labels are under the best Bayesian linear regression on the features.

The model is y ~ N(Xw, 1/β), w ~ N(0, 1/α), without intercept. With t = α/β, σ the non-zero
eigenvalues of XXᵀ and z the squared components of y along its eigenvectors, let

    E(t) = Σy² − Σz + Σ z·t/(t + σ)

which is β⁻¹ times the energy at the best w. β = N/E(t) is best, and

    log p(y | X, t) = −N/2 (log(2π E(t)/N) + 1) + ½ Σ log(t/(t + σ))

The term (D − k)·log α of log|A| is in it. Its maximum over t > 0, limits included, is found on a
grid over log t and refined by Newton's method. With s = t/(t + σ), ds/dlog t = s(1 − s), so that

    ∂ log p/∂ log t = ½ (Σ(1 − s) − N·E'/E),    E' = Σ z s(1 − s).

Source: You, Liu, Wang, Long, LogME: Practical Assessment of Pre-trained Models for Transfer
Learning (ICML 2021, arXiv 2102.11005), section 4; the columns' evidence in JMLR 23 (arXiv
2110.10545).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater import NotApplicable, Score, estimator

if TYPE_CHECKING:
    import numpy as np

    from headwater import Evidence

MIN_RESIDUAL = 1e-6
"""Least residual, as a share of Σy²: where features of less than N dimensions interpolate y, the
evidence has no bound.
"""

GRID_STEP = 0.25
"""Step of the grid over log t. Along it the log evidence is a sum of sigmoids of width 1: nothing
hides between two points.
"""
GRID_MARGIN = 6.0
"""Reach of the grid, in nats, beyond where a residual of ``MIN_RESIDUAL`` or a single image could
matter.
"""

MAX_NEWTON_STEPS = 20
"""From a grid point three steps suffice."""
NEWTON_TOLERANCE = 1e-4
"""Length of the last Newton step: the next would be its square."""

LAPACK_BLOCK = 64
"""Block size that LAPACK is given room for."""


@estimator("logme", labels=("classes", "numbers", "flags"))
def logme(evidence: Evidence) -> Score:
    """Log of maximum evidence: the mean over label columns y of max_{α,β} (1/N) log p(y | X, α, β).

    Classification: a column for each class, it against the rest; regression and multilabel: the
    columns of the labels. Columns of zeros do not count. Unchanged by the scale of the features, as
    by rotations. Where less than N dimensions interpolate y it would rise without bound as β → ∞:
    the residual is then taken as 1e-6 of Σy², and the note says so.

    Args:
        evidence: Features and labels.

    Returns:
        The score in nats an image.

    Raises:
        NotApplicable: All features or all labels are zero.
    """
    images, width = evidence.features.shape
    # The non-zero eigenvalues of XXᵀ and XᵀX are the same: the smaller matrix is decomposed.
    if images > width:
        spectrum = spectrum_of_moments(evidence)
    else:
        spectrum = spectrum_of_images(evidence)
    if not len(spectrum.sigma):
        raise NotApplicable("all features are zero", subject="logme")
    per_column = spectrum.maxima() / spectrum.count
    interpolated = int(spectrum.interpolated.sum())
    note = ""
    if interpolated:
        note = f"bounded: the features interpolate {interpolated} of the {len(per_column)} label columns"
    return Score(float(per_column.mean()), note)


@dataclass(frozen=True)
class LabelSpectrum:
    """Label columns along the eigenvectors of XXᵀ.

    Attributes:
        count: N, the number of images.
        sigma: (k,) non-zero eigenvalues σ of XXᵀ, rising.
        z: (K, k) squared components of each label column along the eigenvectors.
        squares: (K,) Σy².
        residuals: (K,) Σy² − Σz: the part outside the features.
        interpolated: (K,) flags of columns whose residual is ``MIN_RESIDUAL``, since the features
            interpolate them.
    """

    count: int
    sigma: np.ndarray
    z: np.ndarray
    squares: np.ndarray
    residuals: np.ndarray
    interpolated: np.ndarray

    @classmethod
    def of(
        cls, shape: tuple[int, int], values: np.ndarray, z: np.ndarray, squares: np.ndarray
    ) -> LabelSpectrum:
        """Leave out eigenvalues that are rounding, and columns of zeros.

        Args:
            shape: (N, D) of the features.
            values: All eigenvalues, rising.
            z: (columns, eigenvalues) squared components.
            squares: (columns,) Σy².
        """
        import numpy as np

        count = shape[0]
        is_real = values > values[-1] * max(shape) * np.finfo(np.float64).eps
        is_used = squares > 0
        sigma = values[is_real]
        z = z[np.ix_(is_used, is_real)]
        squares = squares[is_used]
        if not len(squares):
            raise NotApplicable("all labels are zero", subject="logme")
        # Where the eigenvectors span all of y, the evidence has a limit as β → ∞.
        if len(sigma) == count:
            residuals = np.zeros_like(squares)
            interpolated = np.zeros(len(squares), dtype=bool)
        else:
            residuals = np.maximum(squares - z.sum(1), 0.0)
            interpolated = residuals < MIN_RESIDUAL * squares
        residuals = np.where(interpolated, MIN_RESIDUAL * squares, residuals)
        return cls(count, sigma, z, squares=squares, residuals=residuals, interpolated=interpolated)

    def maxima(self) -> np.ndarray:
        """Return the maximum over t of the log evidence of each column (K,)."""
        import numpy as np

        reach = math.log(self.count) + GRID_MARGIN
        lowest = math.log(self.sigma[0] * MIN_RESIDUAL) - reach
        highest = math.log(self.sigma[-1]) + reach
        grid = np.arange(lowest, highest, GRID_STEP)
        # s = t/(t + σ) by the logistic function of log t − log σ, (eigenvalues, grid points).
        log_sigma = np.log(self.sigma)[:, None]
        shares = 1 / (1 + np.exp(log_sigma - grid))
        energies = self.residuals[:, None] + self.z @ shares
        on_grid = self._log_evidence(energies, np.log(shares).sum(0))

        # As t → ∞ the weights are 0: E(t) = Σy² and Σ log s = 0.
        at_infinity = self._log_evidence(self.squares, 0.0)
        best = np.maximum(on_grid.max(1), at_infinity)
        if len(self.sigma) == self.count:
            best = np.maximum(best, self._limit_without_noise())
        refined = self._refine(grid[on_grid.argmax(1)])
        return np.maximum(best, refined)

    def _log_evidence(self, energies: np.ndarray, log_shares: np.ndarray | float) -> np.ndarray:
        """Return the log evidence of E(t) and Σ log(t/(t + σ))."""
        import numpy as np

        fit = np.log(2 * math.pi * energies / self.count) + 1
        value: np.ndarray = -0.5 * self.count * fit + 0.5 * log_shares
        return value

    def _limit_without_noise(self) -> np.ndarray:
        """Return the limit for t → 0, where y lies in the span of as many eigenvectors as there are
        images.
        """
        import numpy as np

        # E(t) → t Σ z/σ and s → t/σ: the powers of t in both terms cancel.
        energies = (self.z / self.sigma).sum(1)
        return self._log_evidence(energies, -np.log(self.sigma).sum())

    def _refine(self, log_t: np.ndarray) -> np.ndarray:
        """Return the log evidence at the maximum next to grid points log t (K,), by Newton's method
        within one grid step.
        """
        import numpy as np

        low = log_t - GRID_STEP
        high = log_t + GRID_STEP
        for _ in range(MAX_NEWTON_STEPS):
            first, second = self._derivatives(log_t)
            # Where the curve bends upwards, Newton's step would lead to a minimum: uphill instead.
            is_concave = second < 0
            newton = -first / np.where(is_concave, second, 1.0)
            uphill = np.sign(first) * GRID_STEP
            step = np.where(is_concave, newton, uphill)
            moved = np.clip(log_t + step, low, high)
            longest_step = np.abs(moved - log_t).max()
            log_t = moved
            if longest_step < NEWTON_TOLERANCE:
                break
        shares = self._shares(log_t)
        energies = self.residuals + np.einsum("ck,ck->c", self.z, shares)
        return self._log_evidence(energies, np.log(shares).sum(1))

    def _shares(self, log_t: np.ndarray) -> np.ndarray:
        """Return s = t/(t + σ) (K, k) of log t (K,)."""
        import numpy as np

        t = np.exp(log_t)[:, None]
        shares: np.ndarray = t / (t + self.sigma)
        return shares

    def _derivatives(self, log_t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and second derivative of the log evidence by log t (K,)."""
        import numpy as np

        # With E' and E″ the derivatives of E by log t, those of log E are E'/E and E″/E − (E'/E)².
        shares = self._shares(log_t)
        slopes = shares * (1 - shares)
        energy = self.residuals + np.einsum("ck,ck->c", self.z, shares)
        log_energy_slope = np.einsum("ck,ck->c", self.z, slopes) / energy
        sum_of_slopes = slopes.sum(1)
        bends = slopes
        bends *= 1 - 2 * shares  # the derivative of s(1 − s) is s(1 − s)(1 − 2s)
        energy_bend = np.einsum("ck,ck->c", self.z, bends) / energy
        log_energy_bend = energy_bend - log_energy_slope**2

        sum_of_rest = len(self.sigma) - shares.sum(1)
        first = 0.5 * (sum_of_rest - self.count * log_energy_slope)
        second = -0.5 * (sum_of_slopes + self.count * log_energy_bend)
        return first, second


def spectrum_of_moments(evidence: Evidence) -> LabelSpectrum:
    """Return the spectrum by XᵀX (D, D): σ are its eigenvalues too, and √z = vᵀXᵀy/√σ of its
    eigenvectors v.
    """
    import numpy as np

    raw = evidence.moments.raw
    sigma, cross = rotate_to_eigenvectors(raw.gram, raw.cross)
    z = np.divide(cross**2, sigma, out=np.zeros_like(cross), where=sigma > 0)
    shape = (raw.count, len(sigma))
    return LabelSpectrum.of(shape, sigma, z, raw.label_squares)


def rotate_to_eigenvectors(matrix: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of a symmetric matrix, and rows in the coordinates of its
    eigenvectors.

    It is LAPACK's own dsyevd (tridiagonalise, solve, rotate back), except that the K rows are
    rotated rather than the D eigenvectors where they are fewer: that saves a quarter of the time.

    Args:
        matrix: (D, D).
        rows: (K, D).

    Returns:
        The eigenvalues (D,), rising, and the rotated rows (K, D).
    """
    from scipy.linalg import eigh, eigh_tridiagonal, lapack

    width = len(matrix)
    count = len(rows)
    if count > width // 2:
        values, vectors = eigh(matrix, driver="evd", check_finite=False)
        return values, rows @ vectors
    work = int(lapack.dsytrd_lwork(width, lower=1)[0])
    reduced, diagonal, off_diagonal, reflectors, _ = lapack.dsytrd(matrix, lower=1, lwork=work)
    values, vectors = eigh_tridiagonal(
        diagonal, off_diagonal, lapack_driver="stevd", check_finite=False
    )
    rotated = rows.T.copy(order="F")
    # The reflectors leave the first coordinate as it is.
    work = LAPACK_BLOCK * count
    factors = reduced[1:, :-1]
    rotated[1:] = lapack.dormqr("L", "T", factors, reflectors, rotated[1:], lwork=work)[0]
    return values, rotated.T @ vectors


def spectrum_of_images(evidence: Evidence) -> LabelSpectrum:
    """Return the spectrum by XXᵀ (N, N): √z = uᵀy of its eigenvectors u."""
    import numpy as np
    from scipy.linalg import eigh

    features = np.asarray(evidence.features, dtype=np.float64)
    if evidence.labels.ndim == 1:
        y = np.eye(int(evidence.labels.max()) + 1)[evidence.labels]
    else:
        y = evidence.labels.astype(np.float64)
    values, vectors = eigh(features @ features.T, driver="evd", check_finite=False)
    z = (y.T @ vectors) ** 2
    return LabelSpectrum.of(features.shape, values, z, (y**2).sum(0))
