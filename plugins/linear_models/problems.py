"""Problems of linear models, their standardised rows, and the models that solve them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater import DataError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, dtype

CONSTANT_DEVIATION = 1e-6
"""Deviation of a feature, relative to its mean, below which nothing but rounding varies in it."""


@dataclass(frozen=True)
class LinearProblem:
    """A subset of rows and their targets.

    Attributes:
        features: (N, D) float32, shared by many problems.
        rows: (n,) indices into ``features``.
        targets: (n,) classes, or for least squares also (n, ``classes``) numbers, each column by
            itself.
        classes: Number of classes, or of columns.
    """

    features: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    classes: int

    @property
    def is_tall(self) -> bool:
        """Return whether there are at least as many rows as features."""
        return len(self.rows) >= self.features.shape[1]


@dataclass(frozen=True)
class LinearModel:
    """A linear map from features to scores.

    Attributes:
        mean: (D,) mean of the training rows.
        weight: (C, D), for features less ``mean``.
        bias: (C,); -inf for a class without training rows, so that it is never predicted.
    """

    mean: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return scores (N, C) of features (N, D)."""
        scores: np.ndarray = (features - self.mean) @ self.weight.T + self.bias
        return scores

    def log_probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the logarithm of the softmax of the scores, (N, C), of features (N, D)."""
        return log_softmax(self.scores(features))


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Return the logarithm of the softmax over the last axis."""
    import numpy as np

    shifted = scores - scores.max(-1, keepdims=True)
    logs: np.ndarray = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return logs


def scores_of_path(path: Sequence[LinearModel], features: np.ndarray) -> np.ndarray:
    """Return the scores by each model of a problem's path: in one product, since all models share a
    mean.

    Args:
        path: The models of one problem, by strength (S of them).
        features: (N, D).

    Returns:
        (S, N, C).
    """
    import numpy as np

    weight = np.concatenate([model.weight for model in path])
    bias = np.stack([model.bias for model in path])
    products = weight @ (features - path[0].mean).T
    by_strength = products.reshape(len(path), -1, len(features)).swapaxes(1, 2)
    scores: np.ndarray = by_strength + bias[:, None]
    return scores


@dataclass(frozen=True)
class StandardisedRows:
    """The rows of a problem in standard coordinates.

    Attributes:
        data: (n, d) rows; d is D, or less where ``basis`` spans the rows.
        targets: (n,) classes, or (n, C) numbers.
        classes: C.
        mean: (D,) mean of the rows.
        scale: (D,) deviation of the rows; infinite for constant features, so that their weights are
            0.
        basis: (D, d) orthonormal, or None where the coordinates are the features.
        energies: (d,) squared singular values of the rows along ``basis``, the largest first; None
            without it.
    """

    data: Tensor
    targets: Tensor
    classes: int
    mean: Tensor
    scale: Tensor
    basis: Tensor | None
    energies: Tensor | None

    @classmethod
    def of(
        cls, problem: LinearProblem, kind: dtype, device: str, *, rotated: bool
    ) -> StandardisedRows:
        """Standardise the rows of a problem.

        Args:
            problem: The problem.
            kind: Floating-point type to compute in.
            device: Device to compute on.
            rotated: Whether to rotate the rows into their own span.

        Raises:
            DataError: The features are not finite.
        """
        import numpy as np
        import torch

        rows = np.ascontiguousarray(problem.features[problem.rows])
        data = torch.from_numpy(rows).to(device, kind)
        mean = data.mean(0)
        data = data.sub_(mean)
        scale = data.square().mean(0).sqrt()
        if not bool(scale.isfinite().all()):
            raise DataError(
                "the features hold values that are no numbers, or too large for float32",
                hint="Look at the source's weights.",
            )
        is_constant = scale <= CONSTANT_DEVIATION * mean.abs()
        data = data.mul_(torch.where(is_constant, 0.0, 1 / scale))
        target_kind = np.int64 if problem.targets.ndim == 1 else np.float64
        targets = torch.from_numpy(np.asarray(problem.targets, dtype=target_kind)).to(device)
        basis, energies = principal_axes(data) if rotated else (None, None)
        return cls(
            data=data if basis is None else data @ basis,
            targets=targets,
            classes=problem.classes,
            mean=mean,
            scale=torch.where(is_constant, torch.inf, scale),
            basis=basis,
            energies=energies,
        )

    @property
    def has_rows(self) -> Tensor:
        """Return (C,) flags: whether a class has a row. Columns of numbers always have."""
        if self.targets.ndim > 1:
            return self.targets.new_ones(self.classes).bool()
        return self.targets.bincount(minlength=self.classes) > 0

    @property
    def target_columns(self) -> Tensor:
        """Return (n, C) float64: the numbers, or for classes +1 in the column of the row's class
        and −1 elsewhere.
        """
        import torch

        if self.targets.ndim > 1:
            return self.targets
        return torch.nn.functional.one_hot(self.targets, self.classes).double() * 2 - 1

    def model(self, weight: Tensor, bias: Tensor) -> LinearModel:
        """Return a solution in these coordinates as a model of the features themselves.

        Args:
            weight: (C, d).
            bias: (C,).
        """
        of_features = weight if self.basis is None else weight @ self.basis.T
        of_features = of_features / self.scale
        bias = bias.masked_fill(~self.has_rows, -float("inf"))
        return LinearModel(
            mean=self.mean.float().cpu().numpy(),
            weight=of_features.float().cpu().numpy(),
            bias=bias.float().cpu().numpy(),
        )


def principal_axes(data: Tensor) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis of the span of a few rows, from the eigenvectors U of their Gram
    matrix ZZᵀ = U diag(e) Uᵀ.

    The axes are ZᵀU diag(e)^(−½). Those with less energy than the rounding of the Gram matrix are
    left out; no penalty that is large beside rounding can tell them.

    Args:
        data: (n, D) rows, n < D.

    Returns:
        The axes (D, r) and their energies (r,), the largest first.
    """
    import torch

    energies, vectors = torch.linalg.eigh(data @ data.T)
    energies, vectors = energies.flip(0), vectors.flip(1)
    rounding = len(data) * torch.finfo(data.dtype).eps * energies[0]
    is_real = energies > rounding
    axes = data.T @ (vectors[:, is_real] / energies[is_real].sqrt())
    return axes, energies[is_real]
