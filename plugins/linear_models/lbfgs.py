"""The memory of L-BFGS for many problems at once, with its two loops as triangular systems.

With steps s_j = θ_{j+1} − θ_j and changes of the gradient y_j, j = 1 … m the oldest first, L-BFGS
(Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.4) computes H g from an initial
inverse Hessian H₀ by

    q ← g;     for j = m … 1:  α_j = s_jᵀq / s_jᵀy_j,   q ← q − α_j y_j
    r ← H₀ q;  for j = 1 … m:  β_j = y_jᵀr / s_jᵀy_j,   r ← r + (α_j − β_j) s_j

Written out, with S and Y the matrices of the steps and changes, R the upper triangle of SᵀY and D
its diagonal, these are

    R α = Sᵀg,    r = H₀ (g − Y α),    Rᵀ c = D α − Yᵀr,    H g = r + S c

so that a batch of problems is solved by two triangular systems in place of 2m small steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.plugins.linear_models.batch import PerProblem

if TYPE_CHECKING:
    from torch import Tensor

MEMORY_STEPS = 8
"""Steps that are remembered."""


@dataclass
class CurvatureMemory(PerProblem):
    """The last m steps of B problems, the oldest first.

    Attributes:
        steps: (B, m, C, d + 1) s_j; zeros where a problem made no step.
        changes: (B, m, C, d + 1) y_j.
        products: (B, m, m) R, the upper triangle of s_iᵀy_j.
    """

    steps: Tensor
    changes: Tensor
    products: Tensor

    @classmethod
    def empty(cls, theta: Tensor) -> CurvatureMemory:
        """Return a memory without steps for weights (B, C, d + 1)."""
        no_steps = theta.new_zeros(len(theta), 0, *theta.shape[1:])
        no_products = theta.new_zeros(len(theta), 0, 0)
        return cls(steps=no_steps, changes=no_steps, products=no_products)

    def with_step(self, step: Tensor, change: Tensor) -> CurvatureMemory:
        """Return the memory with one more step, without the oldest if it is full.

        Args:
            step: (B, C, d + 1) s of the newest step.
            change: (B, C, d + 1) its change y of the gradient.
        """
        import torch

        # Of a full memory all but the first remain; of a shorter one, all.
        remaining = slice(-MEMORY_STEPS + 1, None)
        steps = torch.cat([self.steps[:, remaining], step[:, None]], 1)
        changes = torch.cat([self.changes[:, remaining], change[:, None]], 1)

        # R grows by a column, the products of all steps with the newest change. The row below is
        # zero, since R is triangular.
        older_products = self.products[:, remaining, remaining]
        upper_rows = torch.nn.functional.pad(older_products, (0, 0, 0, 1))
        newest_column = _products(steps.flatten(2), change)
        products = torch.cat([upper_rows, newest_column], 2)
        return CurvatureMemory(steps=steps, changes=changes, products=products)

    def add_penalty(self, more: Tensor) -> None:
        """Turn the memory into that of a penalty greater by ``more`` (B,).

        The gradient of ½ λ ‖W‖² is λ W: y_j grows by more · s_j, except for the intercepts.
        """
        by_problem = more[:, None, None, None]
        self.changes[..., :-1] += by_problem * self.steps[..., :-1]
        steps = self.steps.flatten(2)
        changes = self.changes.flatten(2)
        self.products = (steps @ changes.mT).triu()

    def solve(self, gradient: Tensor, precondition: Callable[[Tensor], Tensor]) -> Tensor:
        """Return H · gradient.

        Args:
            gradient: (B, C, d + 1).
            precondition: Multiplies such a tensor by H₀.
        """
        import torch

        steps = self.steps.flatten(2)
        changes = self.changes.flatten(2)
        diagonal = self.products.diagonal(dim1=1, dim2=2)
        # A step without positive curvature is left out, or H were not positive definite and H g no
        # direction of descent: its row and column become those of the identity.
        is_used = diagonal > 0
        used_rows = is_used[..., None]
        unused = (~is_used).to(self.products)
        identity = torch.diag_embed(unused)
        used_products = torch.where(used_rows & used_rows.mT, self.products, 0.0)
        system = used_products + identity

        # R α = Sᵀg and r = H₀ (g − Y α)
        along_steps = _products(steps, gradient) * used_rows
        alpha = torch.linalg.solve_triangular(system, along_steps, upper=True)
        in_changes = (alpha.mT @ changes).view_as(gradient)
        result = precondition(gradient - in_changes)

        # Rᵀ c = D α − Yᵀr and H g = r + S c
        scaled = diagonal[..., None] * alpha
        along_changes = _products(changes, result)
        remainder = (scaled - along_changes) * used_rows
        correction = torch.linalg.solve_triangular(system.mT, remainder, upper=False)
        in_steps = (correction.mT @ steps).view_as(gradient)
        return result + in_steps


def _products(steps: Tensor, vector: Tensor) -> Tensor:
    """Return the products (B, m, 1) of steps (B, m, n) with a vector of each problem (B, …)."""
    # As a row the vector costs BLAS a tenth of what it costs as a column.
    row = vector.flatten(1)[:, None]
    return (row @ steps.mT).mT
