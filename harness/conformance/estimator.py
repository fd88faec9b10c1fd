"""What an estimator promises: a finite score within its declared range, the same every time, or a reason why there is none."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from headwater.harness.conformance.check import Check, broken
from headwater.harness.conformance.toys import clusters
from headwater.registry import Estimator, Evidence, Registry
from headwater.registry.errors import NotApplicable

SHAPES = ((90, 8), (24, 64))
"""(N, D): more images than features, and fewer."""

SOURCE_CLASSES = 5


def checks(card: Estimator, registry: Registry) -> list[Check]:
    subject = _Subject(card)
    named = {
        "range": subject.stays_in_range,
        "deterministic": subject.is_deterministic,
        "harmless": subject.leaves_input_alone,
        "degenerate": subject.answers_or_says_why,
    }
    return [Check(card.name, name, look, essential=name == "range") for name, look in named.items()]


def evidence(task_type: str, count: int, width: int, seed: int = 0) -> Evidence:
    """Separable features of a task type, with probabilities of a source's classes."""
    features, labels = clusters(count, width, seed)
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(SOURCE_CLASSES), count)
    targets = {
        "regression": features[:, :2] @ np.eye(2) + labels[:, None],
        "multilabel": np.eye(labels.max() + 1, dtype=int)[labels],
    }
    return Evidence.of(features, targets.get(task_type, labels), probabilities, task_type)


class _Subject:
    def __init__(self, card: Estimator) -> None:
        self.card = card

    def _cases(self) -> list[Evidence]:
        return [
            evidence(task_type, *shape) for task_type in self.card.task_types for shape in SHAPES
        ]

    def stays_in_range(self) -> str:
        scores = [float(self.card.of(case)) for case in self._cases()]
        return f"in range ({scores[0]:.3g} for N > D, {scores[1]:.3g} for N < D)"

    def is_deterministic(self) -> str:
        for once, again in zip(self._cases(), self._cases(), strict=True):
            if self.card.of(once) != self.card.of(again):
                raise broken("the same arrays give two scores", "Seed whatever is random.")
        return "deterministic"

    def leaves_input_alone(self) -> str:
        for case, untouched in zip(self._cases(), self._cases(), strict=True):
            self.card.of(case)
            arrays = [f.name for f in fields(case) if f.name != "task_type"]
            if changed := [
                name
                for name in arrays
                if not np.array_equal(getattr(case, name), getattr(untouched, name))
            ]:
                raise broken(
                    f"it changes its {changed[0]}",
                    "Other estimators read the same array: work on a copy.",
                )
        return "input untouched"

    def answers_or_says_why(self) -> str:
        """Features that are the same for all images are awkward rather than wrong."""
        said = []
        for case in (evidence(task_type, *SHAPES[0]) for task_type in self.card.task_types):
            flat = Evidence.of(
                np.ones_like(case.features), case.labels, case.source_probabilities, case.task_type
            )
            try:
                said.append(f"{float(self.card.of(flat)):.3g}")
            except NotApplicable as reason:
                said.append(reason.message)
        return f"constant features: {said[0]}"
