"""Labels that exclude nothing: one logistic regression for each label against the rest, all solved
in step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from headwater.plugins.linear_models.logistic import logistic
from headwater.plugins.linear_models.problems import LinearModel, LinearProblem

if TYPE_CHECKING:
    import numpy as np


def one_against_rest(
    problems: Sequence[LinearProblem],
    strengths: Sequence[float],
    *,
    iterations: int = 200,
    tolerance: float = 3e-3,
    device: str = "cpu",
) -> list[list[LinearModel]]:
    """Solve a logistic regression for each label.

    A label that k of m rows have, where k is 0 or m, has no boundary to learn. Its score is the log
    odds of a rule of succession, log((k + ½)/(m − k + ½)).

    Args:
        problems: Problems whose targets are flags, (n, C).
        strengths: C, the inverse of the penalty.
        iterations: Most iterations for each strength of a label.
        tolerance: See ``logistic``.
        device: Device to compute on.

    Returns:
        For each problem its models by strength; scores are logits, of each label by itself.
    """
    of_labels = [
        replace(problem, targets=problem.targets[:, label], classes=2)
        for problem in problems
        for label in range(problem.classes)
    ]
    paths = iter(
        logistic(of_labels, strengths, iterations=iterations, tolerance=tolerance, device=device)
    )
    joined = []
    for problem in problems:
        of_problem = [next(paths) for _ in range(problem.classes)]
        joined.append(_join(of_problem, problem.targets))
    return joined


def _join(paths: Sequence[Sequence[LinearModel]], flags: np.ndarray) -> list[LinearModel]:
    """Return the two-class paths of the labels as one path, with a row of weights for each label."""
    import numpy as np

    positives = flags.sum(0)
    count = len(flags)
    log_odds = np.log((positives + 0.5) / (count - positives + 0.5)).astype(np.float32)
    is_constant = (positives == 0) | (positives == count)
    joined = []
    for models in zip(*paths, strict=True):
        weight = np.stack([model.weight[1] - model.weight[0] for model in models])
        bias = np.stack([model.bias[1] - model.bias[0] for model in models])
        weight = np.where(is_constant[:, None], 0.0, weight)
        bias = np.where(is_constant, log_odds, bias)
        joined.append(LinearModel(mean=models[0].mean, weight=weight, bias=bias))
    return joined
