"""The walk of many problems of logistic regression along their strengths, by L-BFGS with
backtracking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.plugins.linear_models.batch import PerProblem, ProblemBatch
from headwater.plugins.linear_models.lbfgs import CurvatureMemory

if TYPE_CHECKING:
    from torch import Tensor

SUFFICIENT_DECREASE = 1e-4
"""Least decrease of the objective, relative to stride · slope, with which a step is taken (Armijo's
condition).
"""
BACKTRACKING = 0.4
"""Factor on the stride where a step is not taken."""


@dataclass
class PathState(PerProblem):
    """The present point of each problem, and the next one to try: θ − stride · direction.

    Attributes:
        index: (B,) index of the problem in the batch that the walk began with.
        theta: (B, C, d + 1) weights and intercepts.
        start: (B,) objective at zero weights.
        value: (B,) objective at θ.
        gradient: (B, C, d + 1) at θ.
        row_weight: (B,) mean weight of the rows in the Hessian at θ.
        level: (B,) number of strengths that are solved.
        passes: (B,) passes over the rows at this strength.
        stride: (B,) length of the next step, as a multiple of the direction.
        direction: (B, C, d + 1) H · gradient.
        slope: (B,) −gradientᵀ direction.
    """

    index: Tensor
    theta: Tensor
    start: Tensor
    value: Tensor
    gradient: Tensor
    row_weight: Tensor
    level: Tensor
    passes: Tensor
    stride: Tensor
    direction: Tensor
    slope: Tensor


class StrengthPath:
    """B problems on their way along the strengths; each goes on to the next strength as soon as it
    is done with one.

    Args:
        batch: The problems.
        strengths: C, ascending: the most regular first.
        iterations: Most passes for each strength of a problem.
        tolerance: See ``logistic``.
    """

    def __init__(
        self, batch: ProblemBatch, strengths: Sequence[float], iterations: int, tolerance: float
    ) -> None:
        import torch

        self.batch = batch
        self.iterations = iterations
        self.tolerance = tolerance
        count, _, width = batch.data.shape
        classes = batch.absent.shape[1]
        # Two classes have λ = 2/C, which is scikit-learn's penalty of their difference.
        factor = torch.where(batch.classes == 2, 2.0, 1.0).to(batch.rows)
        ascending = torch.tensor(strengths).to(batch.rows)
        penalties = factor[:, None] / ascending
        # A last column of zeros is the penalty of a problem that is through and about to be dropped.
        self.penalties = torch.nn.functional.pad(penalties, (0, 1))
        self.solutions = batch.data.new_zeros(count, len(strengths), classes, width)
        theta = batch.data.new_zeros(count, classes, width)
        self.rounding = 10 * torch.finfo(theta.dtype).eps
        self.memory = CurvatureMemory.empty(theta)
        value, gradient, row_weight = batch.evaluate(theta, self.penalties[:, 0])
        no_steps = torch.zeros_like(batch.targets[:, 0, 0])
        self.state = PathState(
            index=torch.arange(count, device=theta.device),
            theta=theta,
            start=value,
            value=value,
            gradient=gradient,
            row_weight=row_weight,
            level=no_steps,
            passes=no_steps * 0,
            stride=torch.ones_like(batch.rows),
            direction=theta,
            slope=torch.zeros_like(batch.rows),
        )

    def solve(self) -> Tensor:
        """Walk to the end, and return the solutions θ (B, strengths, C, d + 1)."""
        import torch

        self._choose_directions(torch.ones_like(self.state.value, dtype=torch.bool))
        while len(self.state.index):
            self._step()
        return self.solutions

    @property
    def penalty(self) -> Tensor:
        """Return λ (B,) of each problem at its present strength."""
        return self.penalties[self.state.index, self.state.level]

    def _step(self) -> None:
        """Make one pass over all rows: take the step of a problem where it goes down far enough,
        else shorten it.
        """
        import torch

        state = self.state
        stride = state.stride[:, None, None]
        theta = state.theta - stride * state.direction
        value, gradient, row_weight = self.batch.evaluate(theta, self.penalty)
        # Armijo's condition, but for rounding: near the minimum all values are equal.
        expected = state.value + SUFFICIENT_DECREASE * state.stride * state.slope
        slack = self.rounding * state.value.abs()
        is_taken = value <= expected + slack
        is_taken_wide = is_taken[:, None, None]
        if bool(is_taken.any()):
            step = torch.where(is_taken_wide, theta - state.theta, 0.0)
            change = torch.where(is_taken_wide, gradient - state.gradient, 0.0)
            self.memory = self.memory.with_step(step, change)
        state.theta = torch.where(is_taken_wide, theta, state.theta)
        state.gradient = torch.where(is_taken_wide, gradient, state.gradient)
        state.value = torch.where(is_taken, value, state.value)
        state.row_weight = torch.where(is_taken, row_weight, state.row_weight)
        state.passes += 1
        state.stride = torch.where(is_taken, 1.0, state.stride * BACKTRACKING)
        self._choose_directions(is_taken)

    def _choose_directions(self, is_new: Tensor) -> None:
        """Choose directions for the problems at a new point, and go on to the next strength where
        one is done.

        A new strength makes a point new again, so that several strengths can be done without a
        pass.
        """
        import torch

        while True:
            direction = self._direction()
            slope = -_dot(self.state.gradient, direction)
            state = self.state
            state.direction = torch.where(is_new[:, None, None], direction, state.direction)
            state.slope = torch.where(is_new, slope, state.slope)
            is_done = self._is_done(is_new)
            if not bool(is_done.any()):
                return
            self._go_to_next_strength(is_done)
            is_new = is_done
            has_strengths = self.state.level < self.solutions.shape[1]
            # A problem that is through costs no further pass.
            if not bool(has_strengths.all()):
                problems = has_strengths.nonzero()[:, 0]
                self.batch = self.batch.select(problems)
                self.state = self.state.select(problems)
                self.memory = self.memory.select(problems)
                is_new = is_done[problems]
            if not bool(is_new.any()):
                return

    def _is_done(self, is_new: Tensor) -> Tensor:
        """Return (B,) flags: the strength is solved, has used its passes, or no step goes down."""
        state = self.state
        gained = state.start - state.value
        distance = (self.tolerance * gained).maximum(self.rounding * state.value)
        # Half the Newton decrement gᵀHg is −slope/2.
        is_close = is_new & (-state.slope <= 2 * distance)
        is_out_of_passes = state.passes >= self.iterations
        is_stuck = state.stride < self.rounding
        return is_close | is_out_of_passes | is_stuck

    def _go_to_next_strength(self, is_done: Tensor) -> None:
        """Record the solutions of problems that are done, and put these under their next strength.

        Value, gradient and memory under the next penalty follow from what is at hand, without a
        pass.
        """
        import torch

        state = self.state
        penalty_before = self.penalty
        problems = is_done.nonzero()[:, 0]
        rows, levels = state.index[problems], state.level[problems]
        self.solutions[rows, levels] = state.theta[problems]
        state.level = state.level + is_done
        state.passes = state.passes * ~is_done
        state.stride = torch.where(is_done, 1.0, state.stride)
        # ½ λ ‖W‖² grows by ½ more ‖W‖², its gradient by more W; problems that are not done get 0.
        more = torch.where(is_done, self.penalty - penalty_before, 0.0)
        w = state.theta[..., :-1]
        state.value = state.value + 0.5 * more * w.square().sum((1, 2))
        state.gradient[..., :-1] += more[:, None, None] * w
        self.memory.add_penalty(more)

    def _direction(self) -> Tensor:
        """Return H · gradient (B, C, d + 1)."""
        gradient = self.state.gradient
        if not self.memory.steps.shape[1]:
            return self._precondition(gradient)
        scale = self._preconditioner_scale()[:, None, None]
        return self.memory.solve(gradient, lambda vector: scale * self._precondition(vector))

    def _precondition(self, vector: Tensor) -> Tensor:
        return self.batch.precondition(vector, self.state.row_weight, self.penalty)

    def _preconditioner_scale(self) -> Tensor:
        """Return (B,) sᵀy / yᵀH₀y of the last step: how far H₀ is from the curvature that it met; 1
        where there was no step.

        It does for H₀ what γ = sᵀy / yᵀy does for the identity (Nocedal and Wright, equation 7.20).
        """
        import torch

        step = self.memory.steps[:, -1]
        change = self.memory.changes[:, -1]
        measured = _dot(step, change)
        expected = _dot(change, self._precondition(change))
        is_positive = (measured > 0) & (expected > 0)
        return torch.where(is_positive, measured / expected, 1.0)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product (B,) of each problem's tensors (B, C, d + 1)."""
    import torch

    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))
