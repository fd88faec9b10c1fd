"""Linear probe: the backbone frozen, a linear model on its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater import BadName, Features, LabelKind, Solution, adaptation

if TYPE_CHECKING:
    from headwater.plugins.linear_models.problems import LinearModel

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths tried; the one best on validation is reported, the most regular
among equals.
"""


@adaptation(
    "linear_probe",
    on="features",
    approach="network",
    labels=("classes", "flags", "numbers"),
)
def linear_probe(
    cells: Sequence[Features], *, classifier: str = "logistic", iterations: int = 200
) -> list[Solution]:
    """Logistic or ridge regression of standardised frozen features, its strength chosen on
    validation.

    Args:
        cells: Cells of one source and task, solved together.
        classifier: ``logistic`` or ``ridge``. Multilabel: each label against the rest. Regression
            is always by ridge.
        iterations: Most passes of the logistic solver for each strength.

    Returns:
        For each cell the model of the best strength.

    Raises:
        BadName: There is no such classifier.
    """
    if classifier not in ("logistic", "ridge"):
        raise BadName(
            f"linear_probe has no classifier {classifier!r}",
            subject=classifier,
            hint="Use logistic or ridge.",
        )
    kind = cells[0].label_kind
    if kind is LabelKind.NUMBERS:
        classifier = "ridge"
    paths = _paths(cells, classifier, iterations)
    is_probability = kind is LabelKind.CLASSES and classifier == "logistic"
    return [_solution(cell, path, is_probability) for cell, path in zip(cells, paths, strict=True)]


def _paths(cells: Sequence[Features], classifier: str, iterations: int) -> list[list[LinearModel]]:
    """Return for each cell its models by strength."""
    from headwater.plugins.linear_models.logistic import logistic
    from headwater.plugins.linear_models.one_against_rest import one_against_rest
    from headwater.plugins.linear_models.problems import LinearProblem
    from headwater.plugins.linear_models.ridge import ridge

    has_flags = cells[0].label_kind is LabelKind.FLAGS
    problems = []
    for cell in cells:
        targets = cell.train_targets
        if has_flags and classifier == "ridge":
            targets = 2 * targets - 1  # flags 0 and 1 as −1 and 1
        problems.append(LinearProblem(cell.pool, cell.train_rows, targets, cell.outputs))
    if classifier == "ridge":
        return ridge(problems, STRENGTHS, device=_device())
    solve = one_against_rest if has_flags else logistic
    return solve(problems, STRENGTHS, iterations=iterations, device=_device())


def _solution(cell: Features, path: Sequence[LinearModel], is_probability: bool) -> Solution:
    """Return the model of the strength that is best on validation, the most regular among equals.

    Args:
        cell: The cell.
        path: Its models by strength.
        is_probability: Whether the models predict log probabilities of classes that exclude one
            another, rather than scores.
    """
    from headwater.plugins.linear_models.problems import log_softmax, scores_of_path

    predictions = scores_of_path(path, cell.validation)
    if is_probability:
        predictions = log_softmax(predictions)
    quality = [cell.measure(of_strength, cell.validation_targets) for of_strength in predictions]
    best = max(range(len(STRENGTHS)), key=lambda index: (quality[index], -STRENGTHS[index]))
    model = path[best]
    predict = model.log_probabilities if is_probability else model.scores
    return Solution(predict, {"strength": STRENGTHS[best], "validation": quality[best]})


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
