"""Linear probe: the backbone frozen, a linear classifier on its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from registry import Features, Solution, adaptation
from registry.errors import BadName

if TYPE_CHECKING:
    from plugins.linear import Classifier

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths tried; the one best on validation is reported, the most regular among equals."""


@adaptation("linear_probe", on="features", approach="network", task_types=("classification",))
def linear_probe(cells: Sequence[Features], *, classifier: str = "logistic", iterations: int = 200) -> list[Solution]:
    """Logistic or ridge classification of standardised frozen features, its strength chosen on validation."""
    from plugins.linear import Problem, ridge
    from plugins.logistic import logistic

    problems = [Problem(cell.pool, cell.train_rows, cell.train_targets, cell.outputs) for cell in cells]
    if classifier == "logistic":
        paths = logistic(problems, STRENGTHS, iterations=iterations, device=_device())
    elif classifier == "ridge":
        paths = ridge(problems, STRENGTHS, device=_device())
    else:
        raise BadName(f"linear_probe has no classifier {classifier!r}", subject=classifier, hint="Use logistic or ridge.")
    return [_chosen(cell, path, classifier) for cell, path in zip(cells, paths, strict=True)]


def _chosen(cell: Features, path: Sequence[Classifier], classifier: str) -> Solution:
    """The classifier of the strength that is best on validation."""
    from plugins.linear import log_softmax, scores

    rows, targets = cell.validation, cell.validation_targets
    predicts = [found.log_probabilities if classifier == "logistic" else found.scores for found in path]
    predicted = scores(path, rows)
    quality = [cell.measure(one, targets) for one in (log_softmax(predicted) if classifier == "logistic" else predicted)]
    best = max(range(len(STRENGTHS)), key=lambda index: (quality[index], -STRENGTHS[index]))
    return Solution(predicts[best], {"strength": STRENGTHS[best], "validation": quality[best]})


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
