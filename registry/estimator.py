"""Estimators: cheap transferability scores from features and labels, without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from registry.card import Card, first_line
from registry.identity import code_of


@dataclass(frozen=True, kw_only=True)
class Estimator(Card):
    """A score that is higher where transfer should be better.

    ``score(features, labels, **options) -> float``: features (N, D) float, labels (N,) int; with
    ``needs_source_probabilities`` also ``source_probabilities`` (N, Cs), the source head's softmax. ``low`` and
    ``high`` bound what it may return.
    """

    score: Callable[..., float] = field(repr=False)
    low: float = float("-inf")
    high: float = float("inf")
    needs_source_probabilities: bool = False
    task_types: tuple[str, ...] = ("classification",)


def estimator(name: str, **facts: Any) -> Callable[[Callable[..., float]], Estimator]:
    """Register an estimator: decorates its score. Facts are Estimator's fields."""

    def make(score: Callable[..., float]) -> Estimator:
        return Estimator(name=name, summary=facts.pop("summary", first_line(score)), score=score, code=code_of(score), **facts)

    return make
