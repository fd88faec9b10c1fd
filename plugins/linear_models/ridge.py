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
    """Return the models of a problem by strength, from one eigendecomposition.

    With XᵀX = V diag(e) Vᵀ the solution is W = (XᵀX + I/C)⁻¹ XᵀY = V diag(1/(e + 1/C)) VᵀXᵀY: only
    the diagonal depends on the strength C.
    """
    import torch

    rows = StandardisedRows.of(problem, torch.float64, device, rotated=not problem.is_tall)
    # The rows are centred: the intercept is the mean of the targets.
    y = rows.target_columns
    intercept = y.mean(0)
    if rows.energies is None:
        energies, axes = torch.linalg.eigh(rows.data.T @ rows.data)
    else:
        # The coordinates are the principal axes already.
        energies = rows.energies
        axes = torch.eye(len(energies), dtype=torch.float64, device=device)
    cross = rows.data.T @ (y - intercept)
    along_axes = axes.T @ cross
    energies = energies.clamp(min=0)
    models = []
    for strength in strengths:
        denominators = energies + 1 / strength
        weights = axes @ (along_axes / denominators[:, None])
        models.append(rows.model(weights.T, intercept))
    return models
