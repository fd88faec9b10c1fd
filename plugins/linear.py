"""Linear classifiers, and linear regression, on frozen features: many problems over the same features, solved together.

A problem is some rows of one feature matrix. Each is standardised by its own rows, and solved for a whole path of
strengths: ridge in closed form, multinomial logistic regression by `headwater.plugins.logistic`. Strengths mean what
scikit-learn's ``C`` means (``alpha`` = 1/strength for ridge); intercepts are not penalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.registry.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, dtype

CONSTANT = 1e-6
"""Deviation of a column, relative to its mean, below which nothing but rounding varies in it."""


@dataclass(frozen=True)
class Problem:
    """One subset: ``rows`` (n,) of ``features`` (N, D) float32, their ``targets`` (n,) among so many ``classes``.

    Least squares also takes targets (n, ``classes``) of numbers, each column by itself.
    """

    features: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    classes: int

    @property
    def is_tall(self) -> bool:
        """Whether it has as many rows as features."""
        return len(self.rows) >= self.features.shape[1]


@dataclass(frozen=True)
class Classifier:
    """Scores (N, C) of features (N, D); a class that had no training rows scores -inf, so that it is never predicted."""

    mean: np.ndarray
    weight: np.ndarray
    """(C, D), for features less their mean."""
    bias: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        scores: np.ndarray = (features - self.mean) @ self.weight.T + self.bias
        return scores

    def log_probabilities(self, features: np.ndarray) -> np.ndarray:
        """(N, C): the logarithm of the softmax of the scores."""
        return log_softmax(self.scores(features))


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    import numpy as np

    below = scores - scores.max(-1, keepdims=True)
    logs: np.ndarray = below - np.log(np.exp(below).sum(-1, keepdims=True))
    return logs


def scores(path: Sequence[Classifier], features: np.ndarray) -> np.ndarray:
    """(S, N, C) of features (N, D) by each classifier of a problem's path: one product, since all share its mean."""
    import numpy as np

    weight = np.concatenate([found.weight for found in path])
    found = (
        (weight @ (features - path[0].mean).T).reshape(len(path), -1, len(features)).swapaxes(1, 2)
    )
    shifted: np.ndarray = found + np.stack([found.bias for found in path])[:, None]
    return shifted


@dataclass(frozen=True)
class Standardised:
    """A problem's rows in standard coordinates, ``data`` (n, d); d = D, or fewer where ``basis`` (D, d) spans the rows."""

    data: Tensor
    targets: Tensor
    classes: int
    mean: Tensor
    scale: Tensor
    basis: Tensor | None
    energies: Tensor | None
    """(d,) squared singular values of the rows along the basis, the largest first."""

    @classmethod
    def of(cls, problem: Problem, kind: dtype, device: str, *, rotated: bool) -> Standardised:
        """``rotated`` into the span of its rows, or not. Raises DataError for features that are not finite."""
        import numpy as np
        import torch

        data = torch.from_numpy(np.ascontiguousarray(problem.features[problem.rows])).to(
            device, kind
        )
        mean = data.mean(0)
        data = data.sub_(mean)
        scale = data.square().mean(0).sqrt()
        if not bool(scale.isfinite().all()):
            raise DataError(
                "the features hold values that are no numbers, or too large for float32",
                hint="Look at the source's weights.",
            )
        flat = scale <= CONSTANT * mean.abs()
        data = data.mul_(torch.where(flat, 0.0, 1 / scale))
        targets = torch.from_numpy(
            np.asarray(problem.targets, dtype=np.int64 if problem.targets.ndim == 1 else np.float64)
        ).to(device)
        basis, energies = principal_axes(data) if rotated else (None, None)
        return cls(
            data if basis is None else data @ basis,
            targets,
            problem.classes,
            mean,
            torch.where(flat, torch.inf, scale),
            basis,
            energies,
        )

    @property
    def present(self) -> Tensor:
        """(C,) whether a class has a row; columns of numbers are all there."""
        if self.targets.ndim > 1:
            return self.targets.new_ones(self.classes).bool()
        return self.targets.bincount(minlength=self.classes) > 0

    @property
    def columns(self) -> Tensor:
        """(n, C) float64: the numbers; for classes ±1, one against the rest."""
        import torch

        return (
            self.targets
            if self.targets.ndim > 1
            else torch.nn.functional.one_hot(self.targets, self.classes).double() * 2 - 1
        )

    def classifier(self, weight: Tensor, bias: Tensor) -> Classifier:
        """A solution (C, d) in these coordinates as one on the features themselves."""
        weight = (weight if self.basis is None else weight @ self.basis.T) / self.scale
        bias = bias.masked_fill(~self.present, -float("inf"))
        return Classifier(*(value.float().cpu().numpy() for value in (self.mean, weight, bias)))


def principal_axes(data: Tensor) -> tuple[Tensor, Tensor]:
    """An orthonormal basis (D, r) of the span of rows (n, D), n < D, and their energies (r,), the largest first.

    From the rows' n × n Gram matrix: directions that hold less than its rounding are left out, which no penalty that
    is large beside rounding can tell.
    """
    import torch

    energies, vectors = torch.linalg.eigh(data @ data.T)
    energies, vectors = energies.flip(0), vectors.flip(1)
    held = energies > len(data) * torch.finfo(data.dtype).eps * energies[0]
    return data.T @ (vectors[:, held] / energies[held].sqrt()), energies[held]


def ridge(
    problems: Sequence[Problem], strengths: Sequence[float], *, device: str = "cpu"
) -> list[list[Classifier]]:
    """For each problem its classifiers by strength: least squares on columns of numbers; for classes on ±1, one against the rest.

    One eigendecomposition, in float64, serves all strengths of a problem.
    """
    import torch

    def path(problem: Problem) -> list[Classifier]:
        here = Standardised.of(problem, torch.float64, device, rotated=not problem.is_tall)
        columns = here.columns
        bias = columns.mean(0)
        if here.energies is None:
            energies, axes = torch.linalg.eigh(here.data.T @ here.data)
        else:
            energies, axes = (
                here.energies,
                torch.eye(len(here.energies), dtype=torch.float64, device=device),
            )
        along = axes.T @ (here.data.T @ (columns - bias))
        return [
            here.classifier((axes @ (along / (energies.clamp(min=0) + 1 / s)[:, None])).T, bias)
            for s in strengths
        ]

    return [path(problem) for problem in problems]
