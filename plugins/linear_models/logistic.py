"""Multinomial logistic regression of many problems along a path of strengths; its mathematics is in
``headwater.plugins.linear_models``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headwater.plugins.linear_models.batch import ProblemBatch
from headwater.plugins.linear_models.path import StrengthPath
from headwater.plugins.linear_models.problems import LinearModel, LinearProblem, StandardisedRows

MIN_FLOAT32_TOLERANCE = 1e-5
"""A tolerance below this is computed in float64."""
ROTATION_RATIO = 4
"""Rows are rotated into their own span where there are at least this many times fewer rows than
features.
"""
SMALL_PROBLEM = 512 * 512
"""Numbers in a problem, below which a pass costs less than its overhead, so that padding is free.
"""
SIMILAR_ROWS = 0.75
"""Rows of a problem, relative to the largest of its batch, from where padding costs little."""
MAX_BATCH_NUMBERS = 1 << 27
"""Most numbers in the problems of a batch: half a gigabyte of float32."""


def logistic(
    problems: Sequence[LinearProblem],
    strengths: Sequence[float],
    *,
    iterations: int = 200,
    tolerance: float = 3e-3,
    device: str = "cpu",
) -> list[list[LinearModel]]:
    """Solve multinomial logistic regressions for a path of strengths.

    Args:
        problems: Problems whose targets are classes.
        strengths: C, the inverse of the penalty.
        iterations: Most passes over the rows for each strength of a problem.
        tolerance: Distance from the minimum, relative to what the objective has come down from zero
            weights.
        device: Device to compute on.

    Returns:
        For each problem its models, in the order of the strengths.

    Raises:
        DataError: The features are not finite.
    """
    import torch

    kind = torch.float32 if tolerance >= MIN_FLOAT32_TOLERANCE else torch.float64
    ascending = sorted(strengths)
    models: list[list[LinearModel]] = [[] for _ in problems]
    for group in _groups(problems):
        rows = [
            StandardisedRows.of(problems[index], kind, device, rotated=_is_rotated(problems[index]))
            for index in group
        ]
        path = StrengthPath(ProblemBatch.of(rows), ascending, iterations, tolerance)
        for index, of_problem, thetas in zip(group, rows, path.solve(), strict=True):
            width = of_problem.data.shape[1]
            by_strength = {
                strength: of_problem.model(theta[:, :width], theta[:, -1])
                for strength, theta in zip(ascending, thetas, strict=True)
            }
            models[index] = [by_strength[strength] for strength in strengths]
    return models


def _is_rotated(problem: LinearProblem) -> bool:
    """Return whether the problem is solved in the span of its rows, rather than in its features."""
    return ROTATION_RATIO * len(problem.rows) <= problem.features.shape[1]


def _groups(problems: Sequence[LinearProblem]) -> Iterator[list[int]]:
    """Yield the indices of problems to solve in step: those that padding makes equal at little
    cost.

    Problems come by falling number of rows, so that the first of a group is its largest.
    """
    by_rows = sorted(range(len(problems)), key=lambda index: (-len(problems[index].rows), index))
    group: list[int] = []
    for index in by_rows:
        if group and not _fits(problems[index], problems[group[0]], len(group)):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _fits(problem: LinearProblem, largest: LinearProblem, count: int) -> bool:
    """Return whether a problem joins a group, given the largest problem of the group and how many
    it has.
    """
    width = _coordinates(largest)
    numbers = len(largest.rows) * (width or len(largest.rows))
    is_similar = numbers <= SMALL_PROBLEM or len(problem.rows) >= SIMILAR_ROWS * len(largest.rows)
    has_room = (count + 1) * numbers <= MAX_BATCH_NUMBERS
    return is_similar and has_room and _coordinates(problem) == width


def _coordinates(problem: LinearProblem) -> int:
    """Return the features that a problem is solved in; 0 where it is solved in the span of its
    rows.
    """
    return 0 if _is_rotated(problem) else problem.features.shape[1]
