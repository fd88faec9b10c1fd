"""Ridge regression in closed form; its mathematics is in ``headwater.plugins.linear_models``."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.plugins.linear_models.problems import LinearModel, LinearProblem, StandardisedRows


def ridge(
    problems: Sequence[LinearProblem], strengths: Sequence[float], *, device: str = "cpu"
) -> list[list[LinearModel]]:
    """Solve least squares on columns of numbers, or for classes on ±1, one class against the rest.

    Args:
        problems: The problems.
        strengths: C, the inverse of the penalty.
        device: Device to compute on, in float64.

    Returns:
        For each problem its models by strength.

    Raises:
        DataError: The features are not finite.
    """
    return [_solve(problem, strengths, device) for problem in problems]


def _solve(problem: LinearProblem, strengths: Sequence[float], device: str) -> list[LinearModel]:
    import torch

    rows = StandardisedRows.of(problem, torch.float64, device, rotated=not problem.is_tall)
    y = rows.target_columns
    b = y.mean(0)
    if rows.energies is None:
        e, v = torch.linalg.eigh(rows.data.T @ rows.data)
    else:
        # The coordinates are the principal axes already.
        e = rows.energies
        v = torch.eye(len(e), dtype=torch.float64, device=device)
    along_axes = v.T @ (rows.data.T @ (y - b))
    e = e.clamp(min=0)
    path = []
    for strength in strengths:
        w = v @ (along_axes / (e + 1 / strength)[:, None])
        path.append(rows.model(w.T, b))
    return path
