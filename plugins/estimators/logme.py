"""logme: how probable the labels are under the best Bayesian linear regression on the features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.registry import Evidence, Score, estimator
from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    import numpy as np

RESIDUAL = 1e-6
"""The least residual, as a share of Σy²: where features of less than N dimensions interpolate y, the evidence has no bound."""

STEP = 0.25
"""Of the grid over log t. Along it the log evidence is a sum of sigmoids of width 1: nothing hides between two points."""

MARGIN = 6.0
"""How far the grid reaches, in nats, beyond where a residual of RESIDUAL or a single image could matter."""

NEWTON, CLOSE = 20, 1e-4
"""Steps at most, and the last step's length: Newton's next would be its square. From a grid point three suffice."""

WORK = 64
"""The block size that LAPACK is given room for."""


@estimator("logme", task_types=("classification", "regression", "multilabel"))
def logme(evidence: Evidence) -> Score:
    """Log of maximum evidence: the mean over label columns y of max_{α,β} (1/N) log p(y | X, α, β).

    p is that of a Bayesian linear regression without intercept: y ~ N(Xw, 1/β), w ~ N(0, 1/α). Classification: y is one against
    the rest, for each class; regression and multilabel: the columns of the labels; columns of zeros do not count. With t = α/β,
    σ the non-zero eigenvalues of XXᵀ and z the squared components of y along its eigenvectors, β = N / E(t) is best and
    log p = −N/2 (log(2π E(t)/N) + 1) + ½ Σ log(t / (t + σ)), E(t) = Σy² − Σz + Σ z·t/(t + σ): the term (D − k)·log α of log|A| is in
    it. Its maximum over t > 0, limits included, is found on a grid and refined by Newton's method. Unchanged by the scale of the
    features, as by rotations. Where less than N dimensions interpolate y it would rise without bound as β → ∞: the residual is
    then taken as 1e-6 of Σy², and the note says so. Source: You, Liu, Wang, Long, LogME: Practical Assessment of Pre-trained
    Models for Transfer Learning (ICML 2021, arXiv 2102.11005), section 4; the columns' evidence in JMLR 23 (arXiv 2110.10545).
    """
    spectrum = (
        _of_moments(evidence)
        if evidence.features.shape[0] > evidence.features.shape[1]
        else _of_images(evidence)
    )
    if not len(spectrum.values):
        raise NotApplicable("all features are zero", subject="logme")
    per_column = spectrum.maxima() / spectrum.count
    bounded = int(spectrum.interpolated.sum())
    note = (
        f"bounded: the features interpolate {bounded} of the {len(per_column)} label columns"
        if bounded
        else ""
    )
    return Score(float(per_column.mean()), note)


@dataclass(frozen=True)
class _Spectrum:
    """σ (k,), rising; z (K, k); Σy² of each column (K,), and what of it lies outside the features (K,)."""

    count: int
    values: np.ndarray
    components: np.ndarray
    squares: np.ndarray
    residuals: np.ndarray
    interpolated: np.ndarray

    @classmethod
    def of(
        cls, count: int, width: int, values: np.ndarray, components: np.ndarray, squares: np.ndarray
    ) -> _Spectrum:
        """Of all eigenvalues and components: those that rounding makes and columns of zeros left out."""
        import numpy as np

        real, used = values > values[-1] * max(count, width) * np.finfo(np.float64).eps, squares > 0
        values, components, squares = values[real], components[np.ix_(used, real)], squares[used]
        if not len(squares):
            raise NotApplicable("all labels are zero", subject="logme")
        complete = (
            len(values) == count
        )  # the eigenvectors span all of y: the evidence has a limit as β → ∞
        residuals = (
            np.zeros_like(squares) if complete else np.maximum(squares - components.sum(1), 0.0)
        )
        interpolated = (residuals < RESIDUAL * squares) & (not complete)
        residuals = np.where(interpolated, RESIDUAL * squares, residuals)
        return cls(count, values, components, squares, residuals, interpolated)

    def maxima(self) -> np.ndarray:
        """max over t of the log evidence of each column (K,)."""
        import numpy as np

        reach = math.log(self.count) + MARGIN
        grid = np.arange(
            math.log(self.values[0] * RESIDUAL) - reach, math.log(self.values[-1]) + reach, STEP
        )
        shares = 1 / (1 + np.exp(np.log(self.values)[:, None] - grid))
        on_grid = self._log_evidence(
            self.residuals[:, None] + self.components @ shares, np.log(shares).sum(0)
        )
        best = np.maximum(on_grid.max(1), self._log_evidence(self.squares, 0.0))
        if len(self.values) == self.count:
            best = np.maximum(best, self._without_noise())
        return np.maximum(best, self._refined(grid[on_grid.argmax(1)]))

    def _log_evidence(self, energies: np.ndarray, log_shares: np.ndarray | float) -> np.ndarray:
        """At energies E(t) and Σ log(t / (t + σ))."""
        import numpy as np

        value: np.ndarray = (
            -0.5 * self.count * (np.log(2 * math.pi * energies / self.count) + 1) + 0.5 * log_shares
        )
        return value

    def _without_noise(self) -> np.ndarray:
        """The limit t → 0, where y lies in the span of as many eigenvectors as there are images."""
        import numpy as np

        return self._log_evidence(
            (self.components / self.values).sum(1), -np.log(self.values).sum()
        )

    def _refined(self, at: np.ndarray) -> np.ndarray:
        """The log evidence at the maximum next to grid points log t (K,), by Newton's method within one step of the grid."""
        import numpy as np

        low, high = at - STEP, at + STEP
        for _ in range(NEWTON):
            slope, bend = self._derivatives(at)
            step = np.where(bend < 0, -slope / np.where(bend < 0, bend, 1.0), np.sign(slope) * STEP)
            moved = np.clip(at + step, low, high)
            at, furthest = moved, np.abs(moved - at).max()
            if furthest < CLOSE:
                break
        t = np.exp(at)[:, None]
        shares = t / (t + self.values)
        return self._log_evidence(
            self.residuals + np.einsum("ck,ck->c", self.components, shares), np.log(shares).sum(1)
        )

    def _derivatives(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second of the log evidence by log t (K,)."""
        import numpy as np

        t = np.exp(at)[:, None]
        shares = t / (t + self.values)
        slopes = shares * (1 - shares)
        energy = self.residuals + np.einsum("ck,ck->c", self.components, shares)
        first = np.einsum("ck,ck->c", self.components, slopes) / energy
        fall = slopes.sum(1)
        slopes *= 1 - 2 * shares
        second = np.einsum("ck,ck->c", self.components, slopes) / energy - first**2
        return 0.5 * (len(self.values) - shares.sum(1) - self.count * first), -0.5 * (
            fall + self.count * second
        )


def _of_moments(evidence: Evidence) -> _Spectrum:
    """From XᵀX (D, D): σ are its eigenvalues, √z = vᵀXᵀy / √σ."""
    import numpy as np

    raw = evidence.moments.raw
    values, turned = _turned(raw.gram, raw.cross)
    components = np.divide(turned**2, values, out=np.zeros_like(turned), where=values > 0)
    return _Spectrum.of(raw.count, len(values), values, components, raw.label_squares)


def _turned(matrix: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of a symmetric matrix (D,), and rows (K, D) in its eigenvectors' coordinates.

    LAPACK's own dsyevd (tridiagonalise, solve, turn back), but that the K rows are turned rather than the D eigenvectors where
    they are fewer: a quarter of the time is saved.
    """
    from scipy.linalg import eigh, eigh_tridiagonal, lapack

    width, count = len(matrix), len(rows)
    if count > width // 2:
        values, vectors = eigh(matrix, driver="evd", check_finite=False)
        return values, rows @ vectors
    work = int(lapack.dsytrd_lwork(width, lower=1)[0])
    reduced, diagonal, beside, reflectors, _ = lapack.dsytrd(matrix, lower=1, lwork=work)
    values, vectors = eigh_tridiagonal(diagonal, beside, lapack_driver="stevd", check_finite=False)
    turned = rows.T.copy(order="F")  # the reflectors leave the first coordinate alone
    turned[1:] = lapack.dormqr(
        "L", "T", reduced[1:, :-1], reflectors, turned[1:], lwork=WORK * count
    )[0]
    return values, turned.T @ vectors


def _of_images(evidence: Evidence) -> _Spectrum:
    """From XXᵀ (N, N): √z = uᵀy."""
    import numpy as np
    from scipy.linalg import eigh

    features = np.asarray(evidence.features, dtype=np.float64)
    labels = (
        np.eye(int(evidence.labels.max()) + 1)[evidence.labels]
        if evidence.labels.ndim == 1
        else evidence.labels.astype(np.float64)
    )
    values, vectors = eigh(features @ features.T, driver="evd", check_finite=False)
    components = (labels.T @ vectors) ** 2
    return _Spectrum.of(len(labels), features.shape[1], values, components, (labels**2).sum(0))
