"""What an estimator promises: a finite score within its declared range, the same every time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.conformance.check import Check, broken
from harness.conformance.toys import CLASSES, clusters
from registry import Estimator, Registry

SHAPES = ((90, 8), (24, 64))
"""(N, D): more images than features, and fewer."""

SOURCE_CLASSES = 5


def checks(card: Estimator, registry: Registry) -> list[Check]:
    subject = _Subject(card)
    named = {
        "range": subject.stays_in_range,
        "deterministic": subject.is_deterministic,
        "harmless": subject.leaves_input_alone,
    }
    return [Check(card.name, name, look, essential=name == "range") for name, look in named.items()]


class _Subject:
    def __init__(self, card: Estimator) -> None:
        self.card = card

    def _arguments(self, count: int, width: int, seed: int = 0) -> dict[str, Any]:
        features, labels = clusters(count, width, seed)
        arguments: dict[str, Any] = {"features": features, "labels": labels}
        if self.card.needs_source_probabilities:
            arguments["source_probabilities"] = np.random.default_rng(seed).dirichlet(np.ones(SOURCE_CLASSES), count)
        return arguments

    def _score(self, count: int, width: int, seed: int = 0) -> float:
        return float(self.card.score(**self._arguments(count, width, seed)))

    def stays_in_range(self) -> str:
        scores = []
        for count, width in SHAPES:
            score = self._score(count, width)
            if not math.isfinite(score) or not self.card.low <= score <= self.card.high:
                where = f"{count} images, {width} features, {CLASSES} classes"
                hint = "Raise a DataError where there is no answer, or declare the range with low= and high=."
                raise broken(f"its score is {score} for {where}; declared: {self.card.low} to {self.card.high}", hint)
            scores.append(score)
        return f"in range ({scores[0]:.3g} for N > D, {scores[1]:.3g} for N < D)"

    def is_deterministic(self) -> str:
        for shape in SHAPES:
            if self._score(*shape) != self._score(*shape):
                raise broken("the same arrays give two scores", "Seed whatever is random.")
        return "deterministic"

    def leaves_input_alone(self) -> str:
        for shape in SHAPES:
            arguments = self._arguments(*shape)
            before = {name: array.copy() for name, array in arguments.items()}
            self.card.score(**arguments)
            changed = [name for name, array in arguments.items() if not np.array_equal(array, before[name])]
            if changed:
                raise broken(f"it changes its {changed[0]}", "Other estimators read the same array: work on a copy.")
        return "input untouched"
