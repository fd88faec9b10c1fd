"""Linear probe: the backbone frozen, a linear model on its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater.registry import Features, Solution, adaptation
from headwater.registry.errors import BadName

if TYPE_CHECKING:
    import numpy as np

    from headwater.plugins.linear import Classifier

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths tried; the one best on validation is reported, the most regular among equals."""


@adaptation(
    "linear_probe",
    on="features",
    approach="network",
    task_types=("classification", "multilabel", "regression"),
)
def linear_probe(
    cells: Sequence[Features], *, classifier: str = "logistic", iterations: int = 200
) -> list[Solution]:
    """Logistic or ridge regression of standardised frozen features, its strength chosen on validation.

    Multilabel: each label against the rest. Regression: ridge, whatever ``classifier``.
    """
    if classifier not in ("logistic", "ridge"):
        raise BadName(
            f"linear_probe has no classifier {classifier!r}",
            subject=classifier,
            hint="Use logistic or ridge.",
        )
    paths = _paths(cells, "ridge" if cells[0].task_type == "regression" else classifier, iterations)
    normalised = cells[0].task_type == "classification" and classifier == "logistic"
    return [_chosen(cell, path, normalised) for cell, path in zip(cells, paths, strict=True)]


def _paths(cells: Sequence[Features], classifier: str, iterations: int) -> list[list[Classifier]]:
    """For each cell its models by strength."""
    from headwater.plugins.labels import one_against_rest
    from headwater.plugins.linear import Problem, ridge
    from headwater.plugins.logistic import logistic

    multilabel = cells[0].task_type == "multilabel"

    def targets(cell: Features) -> np.ndarray:
        return (
            2 * cell.train_targets - 1
            if multilabel and classifier == "ridge"
            else cell.train_targets
        )

    problems = [Problem(cell.pool, cell.train_rows, targets(cell), cell.outputs) for cell in cells]
    if classifier == "ridge":
        return ridge(problems, STRENGTHS, device=_device())
    return (one_against_rest if multilabel else logistic)(
        problems, STRENGTHS, iterations=iterations, device=_device()
    )


def _chosen(cell: Features, path: Sequence[Classifier], normalised: bool) -> Solution:
    """The model of the strength that is best on validation; ``normalised``: it predicts log probabilities, which exclude one another."""
    from headwater.plugins.linear import log_softmax, scores

    rows, targets = cell.validation, cell.validation_targets
    predicts = [found.log_probabilities if normalised else found.scores for found in path]
    predicted = scores(path, rows)
    quality = [
        cell.measure(one, targets) for one in (log_softmax(predicted) if normalised else predicted)
    ]
    best = max(range(len(STRENGTHS)), key=lambda index: (quality[index], -STRENGTHS[index]))
    return Solution(predicts[best], {"strength": STRENGTHS[best], "validation": quality[best]})


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
