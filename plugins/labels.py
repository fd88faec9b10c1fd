"""Labels that exclude nothing: one logistic regression each, one against the rest, all solved in step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from headwater.plugins.linear import Classifier, Problem
from headwater.plugins.logistic import logistic

if TYPE_CHECKING:
    import numpy as np


def one_against_rest(
    problems: Sequence[Problem],
    strengths: Sequence[float],
    *,
    iterations: int = 200,
    tolerance: float = 3e-3,
    device: str = "cpu",
) -> list[list[Classifier]]:
    """For each problem with flags (n, C) its classifiers by strength: scores are logits, of each label by itself.

    Of a label that all or none of m rows have, they are the log odds of a rule of succession, (k + ½) : (m − k + ½) where k have it.
    """
    single = [
        replace(problem, targets=problem.targets[:, label], classes=2)
        for problem in problems
        for label in range(problem.classes)
    ]
    paths = iter(
        logistic(single, strengths, iterations=iterations, tolerance=tolerance, device=device)
    )
    return [
        _together([next(paths) for _ in range(problem.classes)], problem.targets)
        for problem in problems
    ]


def _together(paths: Sequence[Sequence[Classifier]], flags: np.ndarray) -> list[Classifier]:
    """Labels' two-class classifiers, each a path of strengths, as one path with a row a label."""
    import numpy as np

    have, count = flags.sum(0), len(flags)
    odds = np.log((have + 0.5) / (count - have + 0.5)).astype(np.float32)
    constant = (have == 0) | (have == count)

    def at(found: Sequence[Classifier]) -> Classifier:
        weight = np.stack([one.weight[1] - one.weight[0] for one in found])
        bias = np.stack([one.bias[1] - one.bias[0] for one in found])
        return Classifier(
            found[0].mean, np.where(constant[:, None], 0.0, weight), np.where(constant, odds, bias)
        )

    return [at(found) for found in zip(*paths, strict=True)]
