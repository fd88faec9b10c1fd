"""Multinomial logistic regression: every problem walks its path of strengths, all of them in step.

Each minimises Σ_i −log softmax(W z_i + b)_{y_i} + ‖W‖² / 2C (two classes: ‖W‖²/C, which is scikit-learn's ‖w‖²/2C with
w = W_1 − W_0) by L-BFGS (Nocedal & Wright 2006, algorithm 7.4), from the most regular strength to the least: a solution
is the start of the next, and the memory of curvature goes along, since a new strength changes it by a known multiple of
the steps. The inverse Hessian at the start of the recursion is that of equal weights, a·ZᵀZ + I/C, along the leading
principal axes (a ≤ 1/C after Böhning 1992, at its mean over the rows). A problem is done with a strength when half its
Newton decrement, about as far as it is from its minimum, falls below ``tolerance`` times what it has come down from zero
weights: so that a strong penalty, under which there is little to come down, is held to as much as a weak one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Self

from headwater.plugins.linear import Classifier, Problem, Standardised

if TYPE_CHECKING:
    from torch import Tensor

AXES = 32
"""Leading principal axes along which the curvature is known where there are too many to know them all."""
PROBE_ROWS = 512
"""Rows that those are found from, about."""
TURNS = 2
"""Of the power method."""
MEMORY = 8
"""Steps that L-BFGS remembers."""
FLOAT32_DOWN_TO = 1e-5
"""A tolerance below this asks for float64."""
SPARSE = 4
"""So many times fewer rows than features are worth rotating into their own span."""
SMALL = 512 * 512
"""Numbers in a problem, below which a pass costs less than its overhead, so that padding is free."""
ALIKE = 0.75
"""Rows of a problem, relative to the largest solved in step with it, from where padding costs little."""
MOST = 1 << 27
"""Numbers in the problems solved in step: half a gigabyte of float32."""
LEAST_SPREAD = 1e-4


def logistic(
    problems: Sequence[Problem],
    strengths: Sequence[float],
    *,
    iterations: int = 200,
    tolerance: float = 3e-3,
    device: str = "cpu",
) -> list[list[Classifier]]:
    """For each problem its classifiers by strength, after at most so many iterations for each."""
    import torch

    kind = torch.float32 if tolerance >= FLOAT32_DOWN_TO else torch.float64
    order = sorted(strengths)
    found: list[list[Classifier]] = [[] for _ in problems]
    for group in _groups(problems):
        ready = [
            Standardised.of(problems[index], kind, device, rotated=not _own_width(problems[index]))
            for index in group
        ]
        solutions = _Walk(_Batch.of(ready), order, iterations, tolerance).solutions()
        for index, here, thetas in zip(group, ready, solutions, strict=True):
            width = here.data.shape[1]
            at = {
                strength: here.classifier(theta[:, :width], theta[:, -1])
                for strength, theta in zip(order, thetas, strict=True)
            }
            found[index] = [at[strength] for strength in strengths]
    return found


def _own_width(problem: Problem) -> int:
    """How many coordinates it is solved in where those are the features; 0 where they are the span of its rows."""
    width = problem.features.shape[1]
    return 0 if SPARSE * len(problem.rows) <= width else width


def _groups(problems: Sequence[Problem]) -> Iterator[list[int]]:
    """Which problems are solved in step: those that padding makes equal at little cost."""
    group: list[int] = []
    rows = size = 0
    for index in sorted(
        range(len(problems)), key=lambda index: (-len(problems[index].rows), index)
    ):
        problem = problems[index]
        alike = size <= SMALL or len(problem.rows) >= ALIKE * rows
        if (
            group
            and alike
            and _own_width(problem) == _own_width(problems[group[0]])
            and (len(group) + 1) * size <= MOST
        ):
            group.append(index)
            continue
        if group:
            yield group
        group, rows = [index], len(problem.rows)
        size = rows * (_own_width(problem) or rows)
    if group:
        yield group


@dataclass
class _Rows:
    """Tensors with one row a problem, of which some may be kept."""

    def kept(self, rows: Tensor) -> Self:
        mine = {f.name: getattr(self, f.name) for f in fields(self) if not f.metadata.get("shared")}
        return replace(
            self, **{name: value[rows] for name, value in mine.items() if value is not None}
        )


@dataclass
class _Batch(_Rows):
    """B problems padded to n rows and d coordinates; the last column of ``data`` (B, n, d + 1) is 1, for the intercept."""

    data: Tensor
    targets: Tensor
    """(B, 1, n)"""
    counted: Tensor
    """(B, n): 1 for a row, 0 for padding."""
    absent: Tensor
    """(B, C, 1): -inf for a class without rows."""
    rows: Tensor
    classes: Tensor
    """(B,) how many rows, and how many classes are there."""
    energies: Tensor
    """(B, k) along the axes."""
    rest: Tensor
    """(B,) the mean energy of a direction off the axes."""
    axes: Tensor | None = field(metadata={"shared": True})
    """(d + 1, k), or None: the coordinates themselves."""

    @classmethod
    def of(cls, ready: Sequence[Standardised]) -> _Batch:
        import torch

        first = ready[0].data
        rows, width = (
            max(len(here.data) for here in ready),
            max(here.data.shape[1] for here in ready),
        )
        data = first.new_zeros(len(ready), rows, width + 1)
        targets = ready[0].targets.new_zeros(len(ready), 1, rows)
        counted = first.new_zeros(len(ready), rows)
        for index, here in enumerate(ready):
            count, own = here.data.shape
            data[index, :count, :own], data[index, :count, -1] = here.data, 1.0
            targets[index, 0, :count], targets[index, 0, count:] = here.targets, here.targets[0]
            counted[index, :count] = 1.0
        absent = torch.stack([torch.where(here.present, 0.0, -torch.inf) for here in ready]).to(
            first
        )[:, :, None]
        counts = counted.sum(1)
        axes, energies, rest = _curvature(ready, counts, width)
        return cls(
            data,
            targets,
            counted,
            absent,
            counts,
            absent.isfinite().sum((1, 2)).to(first),
            energies,
            rest,
            axes,
        )

    def evaluate(self, theta: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Objective (B,), gradient (B, C, d + 1), and the rows' mean weight in the Hessian (B,), at theta (B, C, d + 1)."""
        logs = (theta @ self.data.mT).add_(self.absent).log_softmax(1)
        losses = -logs.gather(1, self.targets)[:, 0]
        residual = logs.exp_()
        spread = ((1 - residual.square().sum(1)) * self.counted).sum(1) / (
            self.rows * (self.classes - 1).clamp(min=1)
        )
        residual.scatter_add_(
            1, self.targets, residual.new_full((1, 1, 1), -1.0).expand_as(self.targets)
        )
        gradient, body = residual @ self.data, theta[..., :-1]
        gradient[..., :-1] += penalty[:, None, None] * body
        value = (losses * self.counted).sum(1) + 0.5 * penalty * body.square().sum((1, 2))
        return value, gradient, spread.clamp(min=LEAST_SPREAD)

    def precondition(self, gradient: Tensor, spread: Tensor, penalty: Tensor) -> Tensor:
        """The gradient over the Hessian of rows that all weigh ``spread``."""
        along = 1 / (spread[:, None] * self.energies + penalty[:, None])
        if self.axes is None:
            result = gradient * along[:, None]
        else:
            off = 1 / (spread * self.rest + penalty)
            result = (
                (gradient @ self.axes) * (along - off[:, None])[:, None]
            ) @ self.axes.T + gradient * off[:, None, None]
        result[..., -1] = gradient[..., -1] / (spread * self.rows)[:, None]
        return result


def _curvature(
    ready: Sequence[Standardised], counts: Tensor, width: int
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Axes, energies and rest of a batch.

    Where the coordinates are principal axes all is known. Else the leading axes of some of the first problem's rows
    serve all: they decide how fast the solution is found, not which it is.
    """
    import torch

    first, pad = ready[0], torch.nn.functional.pad
    if first.energies is not None:
        energies = torch.stack(
            [
                pad(here.energies, (0, width + 1 - len(here.energies)))
                for here in ready
                if here.energies is not None
            ]
        )
        return None, energies, torch.zeros_like(counts)
    some = first.data[:: -(-len(first.data) // PROBE_ROWS)]
    axes, energies = _leading_axes(some, min(AXES, *some.shape))
    rest = (some.square().sum() - energies.sum()).clamp(min=0) / max(1, width - len(energies))
    return (
        pad(axes, (0, 0, 0, 1)),
        energies * (counts / len(some))[:, None],
        rest * (counts / len(some)),
    )


def _leading_axes(data: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """About the leading principal axes (d, count) of rows (n, d), and their energies: the block power method, begun at rows."""
    import torch

    axes = data[torch.arange(count, device=data.device) * len(data) // count].T
    for _ in range(TURNS):
        axes = torch.linalg.qr(data.T @ (data @ axes)).Q
    along = data @ axes
    energies, turn = torch.linalg.eigh(along.T @ along)
    return axes @ turn, energies.clamp(min=0)


@dataclass
class _Memory(_Rows):
    """The last m steps of each problem, the oldest first, and what each did to the gradient; zeros where it made none."""

    moves: Tensor
    changes: Tensor
    """(B, m, C, d + 1)"""
    products: Tensor
    """(B, m, m) of moves with the changes that came along or later."""

    @classmethod
    def none(cls, theta: Tensor) -> _Memory:
        nothing = theta.new_zeros(len(theta), 0, *theta.shape[1:])
        return cls(nothing, nothing, theta.new_zeros(len(theta), 0, 0))

    def with_step(self, move: Tensor, change: Tensor) -> _Memory:
        import torch

        moves, changes = (
            torch.cat([old[:, -MEMORY + 1 :], new[:, None]], 1)
            for old, new in ((self.moves, move), (self.changes, change))
        )
        before = torch.nn.functional.pad(
            self.products[:, -MEMORY + 1 :, -MEMORY + 1 :], (0, 0, 0, 1)
        )
        return _Memory(moves, changes, torch.cat([before, _along(moves.flatten(2), change)], 2))

    def penalised(self, more: Tensor) -> None:
        """Turn it into that of a penalty (B,) greater by so much."""
        self.changes[..., :-1] += more[:, None, None, None] * self.moves[..., :-1]
        self.products = (self.moves.flatten(2) @ self.changes.flatten(2).mT).triu()

    def over_hessian(self, gradient: Tensor, first: Callable[[Tensor], Tensor]) -> Tensor:
        """The gradient over the Hessian, ``first`` being that without memory: L-BFGS's two loops, each as a triangular system.

        With R the upper triangle of the products moves·changes, the first loop's shares solve R α = moves·gradient; the
        second's corrections c solve Rᵀc = diag(R) α − changes·result.
        """
        import torch

        moves, changes, products = self.moves.flatten(2), self.changes.flatten(2), self.products
        diagonal = products.diagonal(dim1=1, dim2=2)
        held = (diagonal > 0)[..., None]
        system = torch.where(held & held.mT, products, 0.0) + torch.diag_embed(
            (~held[..., 0]).to(products)
        )
        shares = torch.linalg.solve_triangular(system, _along(moves, gradient) * held, upper=True)
        result = first(gradient - (shares.mT @ changes).view_as(gradient))
        back = (diagonal[..., None] * shares - _along(changes, result)) * held
        return result + (
            torch.linalg.solve_triangular(system.mT, back, upper=False).mT @ moves
        ).view_as(gradient)


@dataclass
class _State(_Rows):
    """Where each problem stands, and where it looks next: at theta − stride·direction."""

    index: Tensor
    """(B,) which problem this is."""
    theta: Tensor
    start: Tensor
    """(B,) the objective at zero weights."""
    value: Tensor
    gradient: Tensor
    spread: Tensor
    level: Tensor
    """(B,) how many strengths are behind it."""
    passes: Tensor
    """(B,) at this strength."""
    stride: Tensor
    direction: Tensor
    slope: Tensor


def _along(steps: Tensor, one: Tensor) -> Tensor:
    """(B, m, 1) products of steps (B, m, n) with one of each problem: with it as a row, which costs BLAS a tenth of a column."""
    return (one.flatten(1)[:, None] @ steps.mT).mT


def _dot(a: Tensor, b: Tensor) -> Tensor:
    import torch

    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))


class _Walk:
    """B problems on their way along the strengths; each goes on to the next as soon as it is done with one."""

    def __init__(
        self, batch: _Batch, strengths: Sequence[float], iterations: int, tolerance: float
    ) -> None:
        import torch

        self.batch, self.iterations, self.tolerance = batch, iterations, tolerance
        count, classes, width = len(batch.data), batch.absent.shape[1], batch.data.shape[2]
        # One column more, of zeros: the penalty of a problem that is through, which is about to be dropped.
        doubled = torch.where(batch.classes == 2, 2.0, 1.0).to(batch.rows)
        self.penalties = torch.nn.functional.pad(
            doubled[:, None] / torch.tensor(strengths).to(batch.rows), (0, 1)
        )
        self.found = batch.data.new_zeros(count, len(strengths), classes, width)
        theta, level = (
            batch.data.new_zeros(count, classes, width),
            torch.zeros_like(batch.targets[:, 0, 0]),
        )
        zeros, ones = batch.rows * 0, torch.ones_like(batch.rows)
        value, gradient, spread = batch.evaluate(theta, self.penalties[:, 0])
        index = torch.arange(count, device=theta.device)
        self.state = _State(
            index, theta, value, value, gradient, spread, level, level * 0, ones, theta, zeros
        )
        self.memory = _Memory.none(theta)
        self.rounding = 10 * torch.finfo(theta.dtype).eps

    def solutions(self) -> Tensor:
        """(B, strengths, C, d + 1)"""
        self._turn(self.state.value == self.state.value)
        while len(self.state.index):
            self._step()
        return self.found

    @property
    def penalty(self) -> Tensor:
        return self.penalties[self.state.index, self.state.level]

    def _step(self) -> None:
        """One pass over all rows: take the step where it goes down far enough, else halve it."""
        import torch

        at = self.state
        theta = at.theta - at.stride[:, None, None] * at.direction
        value, gradient, spread = self.batch.evaluate(theta, self.penalty)
        taken = value <= at.value + 1e-4 * at.stride * at.slope + self.rounding * at.value.abs()
        wide = taken[:, None, None]
        if bool(taken.any()):
            self.memory = self.memory.with_step(
                torch.where(wide, theta - at.theta, 0.0),
                torch.where(wide, gradient - at.gradient, 0.0),
            )
        at.theta, at.gradient = (
            torch.where(wide, theta, at.theta),
            torch.where(wide, gradient, at.gradient),
        )
        at.value, at.spread = (
            torch.where(taken, value, at.value),
            torch.where(taken, spread, at.spread),
        )
        at.passes += 1
        at.stride = torch.where(taken, 1.0, at.stride * 0.4)
        self._turn(taken)

    def _turn(self, fresh: Tensor) -> None:
        """Find new directions where there is a new place; go on to the next strength where this one is done."""
        import torch

        while True:
            direction = self._direction()
            slope = -_dot(self.state.gradient, direction)
            at = self.state
            at.direction = torch.where(fresh[:, None, None], direction, at.direction)
            at.slope = torch.where(fresh, slope, at.slope)
            close = (self.tolerance * (at.start - at.value)).maximum(self.rounding * at.value)
            done = fresh & (-at.slope <= 2 * close)
            done |= (at.passes >= self.iterations) | (at.stride < self.rounding)
            if not bool(done.any()):
                return
            self._advance(done)
            left = self.state.level < self.found.shape[1]
            fresh = done
            if not bool(left.all()):
                rows = left.nonzero()[:, 0]
                self.batch, self.state, fresh = (
                    self.batch.kept(rows),
                    self.state.kept(rows),
                    done[rows],
                )
                self.memory = self.memory.kept(rows)
            if not bool(fresh.any()):
                return

    def _advance(self, done: Tensor) -> None:
        """Note the solutions found, and put their problems under the next strength: known from what is at hand."""
        import torch

        at, before, rows = self.state, self.penalty, done.nonzero()[:, 0]
        self.found[at.index[rows], at.level[rows]] = at.theta[rows]
        at.level, at.passes, at.stride = (
            at.level + done,
            at.passes * ~done,
            torch.where(done, 1.0, at.stride),
        )
        more = torch.where(done, self.penalty - before, 0.0)
        at.value = at.value + 0.5 * more * at.theta[..., :-1].square().sum((1, 2))
        at.gradient[..., :-1] += more[:, None, None] * at.theta[..., :-1]
        self.memory.penalised(more)

    def _direction(self) -> Tensor:
        spread, penalty = self.state.spread, self.penalty
        if not self.memory.moves.shape[1]:
            return self.batch.precondition(self.state.gradient, spread, penalty)
        trust = self._trust(penalty)[:, None, None]
        return self.memory.over_hessian(
            self.state.gradient, lambda rest: trust * self.batch.precondition(rest, spread, penalty)
        )

    def _trust(self, penalty: Tensor) -> Tensor:
        """(B,) how far the last step found the curvature from what the preconditioner takes it for; 1 where there was none."""
        import torch

        move, change = self.memory.moves[:, -1], self.memory.changes[:, -1]
        product, taken_for = (
            _dot(move, change),
            _dot(change, self.batch.precondition(change, self.state.spread, penalty)),
        )
        return torch.where((product > 0) & (taken_for > 0), product / taken_for, 1.0)
