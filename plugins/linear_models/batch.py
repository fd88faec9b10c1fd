"""Problems of logistic regression padded to one shape: their objective, its gradient, and the
initial inverse Hessian.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Self

from headwater.plugins.linear_models.problems import StandardisedRows

if TYPE_CHECKING:
    from torch import Tensor

AXES = 32
"""Leading principal axes along which the curvature is computed, where there are too many to compute
all.
"""
PROBE_ROWS = 512
"""Rows that the leading axes are computed from, about."""
POWER_ITERATIONS = 2
"""Iterations of the block power method for the leading axes."""
MIN_ROW_WEIGHT = 1e-4
"""Least mean weight of the rows in the Hessian."""


@dataclass
class PerProblem:
    """Tensors whose first axis is the problem, except fields that are marked as shared."""

    def select(self, problems: Tensor) -> Self:
        """Return the tensors of some problems, by their indices."""
        selected = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and not item.metadata.get("shared"):
                selected[item.name] = value[problems]
        return replace(self, **selected)


@dataclass
class ProblemBatch(PerProblem):
    """B problems of up to C classes, padded to n rows and d coordinates.

    Attributes:
        data: (B, n, d + 1) rows z; the last column is 1, for the intercept.
        targets: (B, 1, n) classes y.
        counted: (B, n), 1 for a row and 0 for padding.
        absent: (B, C, 1), -inf for a class without rows and 0 for all others.
        rows: (B,) number of rows.
        classes: (B,) number of classes that have rows.
        energies: (B, k) squared singular values of the rows along the axes.
        rest: (B,) mean energy of a direction off the axes.
        axes: (d + 1, k) principal axes, shared by all problems; None where the coordinates are the
            axes.
    """

    data: Tensor
    targets: Tensor
    counted: Tensor
    absent: Tensor
    rows: Tensor
    classes: Tensor
    energies: Tensor
    rest: Tensor
    axes: Tensor | None = field(metadata={"shared": True})

    @classmethod
    def of(cls, problems: Sequence[StandardisedRows]) -> ProblemBatch:
        """Pad problems to the shape of the largest."""
        import torch

        data_of_first = problems[0].data
        lengths, widths = zip(*(problem.data.shape for problem in problems), strict=True)
        rows = max(lengths)
        width = max(widths)
        data = data_of_first.new_zeros(len(problems), rows, width + 1)
        targets = problems[0].targets.new_zeros(len(problems), 1, rows)
        counted = data_of_first.new_zeros(len(problems), rows)
        for index, problem in enumerate(problems):
            n, d = problem.data.shape
            data[index, :n, :d] = problem.data
            data[index, :n, -1] = 1.0
            targets[index, 0, :n] = problem.targets
            # Padding needs a class that its problem has: the loss of an absent one is infinite, and
            # 0 · ∞ no number.
            targets[index, 0, n:] = problem.targets[0]
            counted[index, :n] = 1.0
        log_presence = [torch.where(problem.has_rows, 0.0, -torch.inf) for problem in problems]
        absent = torch.stack(log_presence).to(data_of_first)[:, :, None]
        counts = counted.sum(1)
        axes, energies, rest = _curvature(problems, counts, width)
        return cls(
            data=data,
            targets=targets,
            counted=counted,
            absent=absent,
            rows=counts,
            classes=absent.isfinite().sum((1, 2)).to(data_of_first),
            energies=energies,
            rest=rest,
            axes=axes,
        )

    def evaluate(self, theta: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the objective f.

        Args:
            theta: (B, C, d + 1) weights W, and in the last column intercepts b.
            penalty: (B,) λ.

        Returns:
            f (B,), its gradient (B, C, d + 1), and the mean weight a of the rows in the Hessian
            (B,).
        """
        # An absent class has the logit −∞, and so no probability and no gradient.
        logits = (theta @ self.data.mT).add_(self.absent)
        log_p = logits.log_softmax(1)
        losses = -log_p.gather(1, self.targets)[:, 0]
        p = log_p.exp_()

        # A row's Hessian by its logits, diag(p) − ppᵀ, has the trace 1 − Σ p², which is spread over
        # C − 1 directions.
        traces = (1 - p.square().sum(1)) * self.counted
        directions = (self.classes - 1).clamp(min=1)
        row_weight = traces.sum(1) / (self.rows * directions)

        # p − onehot(y), in place: the largest tensor of the pass.
        minus_one = p.new_full((1, 1, 1), -1.0).expand_as(self.targets)
        residual = p.scatter_add_(1, self.targets, minus_one)
        # Padding needs no mask here: its rows z are zeros.
        gradient = residual @ self.data
        w = theta[..., :-1]
        gradient[..., :-1] += penalty[:, None, None] * w

        data_loss = (losses * self.counted).sum(1)
        value = data_loss + 0.5 * penalty * w.square().sum((1, 2))
        return value, gradient, row_weight.clamp(min=MIN_ROW_WEIGHT)

    def precondition(self, gradient: Tensor, row_weight: Tensor, penalty: Tensor) -> Tensor:
        """Return H₀ · gradient, where H₀ = (a ZᵀZ + λ I)⁻¹.

        Off the leading axes, ZᵀZ is taken for a multiple of the identity. The intercept has no
        penalty and Σ 1² = n rows.

        Args:
            gradient: (B, C, d + 1).
            row_weight: (B,) a.
            penalty: (B,) λ.
        """
        curvatures = row_weight[:, None] * self.energies
        along = 1 / (curvatures + penalty[:, None])
        if self.axes is None:
            result = gradient * along[:, None]
        else:
            # V diag(along) Vᵀ + off (I − V Vᵀ) = V diag(along − off) Vᵀ + off I
            off = 1 / (row_weight * self.rest + penalty)
            coordinates = gradient @ self.axes
            difference = along - off[:, None]
            beyond_off = coordinates * difference[:, None]
            result = beyond_off @ self.axes.T + gradient * off[:, None, None]
        result[..., -1] = gradient[..., -1] / (row_weight * self.rows)[:, None]
        return result


def _curvature(
    problems: Sequence[StandardisedRows], counts: Tensor, width: int
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Return the axes, energies and rest of a batch.

    Where the coordinates are principal axes, all energies are given. Elsewhere the leading axes of
    some rows of the first problem serve all problems: they decide how fast the solution is found,
    not which it is.
    """
    import torch
    from torch.nn.functional import pad

    if problems[0].energies is not None:
        padded = []
        for problem in problems:
            if problem.energies is not None:
                missing = width + 1 - len(problem.energies)
                padded.append(pad(problem.energies, (0, missing)))
        return None, torch.stack(padded), torch.zeros_like(counts)
    data = problems[0].data
    every = math.ceil(len(data) / PROBE_ROWS)
    sample = data[::every]
    axes, energies = _leading_axes(sample, min(AXES, *sample.shape))
    # The sum of squares of the rows is that of the energies of all axes.
    off_axes = (sample.square().sum() - energies.sum()).clamp(min=0)
    rest = off_axes / max(1, width - len(energies))
    scale = counts / len(sample)
    return pad(axes, (0, 0, 0, 1)), energies * scale[:, None], rest * scale


def _leading_axes(data: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Compute about the leading principal axes by the block power method, begun at rows.

    Args:
        data: (n, d).
        count: Number of axes.

    Returns:
        The axes (d, count) and their energies (count,).
    """
    import torch

    first_rows = torch.arange(count, device=data.device) * len(data) // count
    axes = data[first_rows].T
    for _ in range(POWER_ITERATIONS):
        # Each product with XᵀX favours the leading axes; without QR all columns would become the
        # first.
        powered = data.T @ (data @ axes)
        axes = torch.linalg.qr(powered).Q
    along = data @ axes
    energies, rotation = torch.linalg.eigh(along.T @ along)
    return axes @ rotation, energies.clamp(min=0)
