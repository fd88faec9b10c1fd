"""Checks of an estimator: a finite score within its range, the same every time, or a reason for
none.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from headwater.harness.conformance.check import CardChecks, Check, broken, promise
from headwater.harness.conformance.toys import clusters
from headwater.registry import Estimator, Evidence, LabelKind, Registry
from headwater.registry.errors import NotApplicable

SHAPES = ((90, 8), (24, 64))
"""(N, D): more images than features, and fewer."""

SOURCE_CLASSES = 5


def checks(card: Estimator, registry: Registry) -> list[Check]:
    """Return the checks of an estimator."""
    return EstimatorChecks(card, registry).all()


def evidence(kind: LabelKind, count: int, width: int, seed: int = 0) -> Evidence:
    """Return separable features with labels of a kind, and probabilities of a source's classes."""
    features, labels = clusters(count, width, seed)
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(SOURCE_CLASSES), count)
    targets = {
        LabelKind.NUMBERS: features[:, :2] @ np.eye(2) + labels[:, None],
        LabelKind.FLAGS: np.eye(labels.max() + 1, dtype=int)[labels],
    }
    return Evidence.of(features, targets.get(kind, labels), probabilities, kind)


class EstimatorChecks(CardChecks[Estimator]):
    """Checks of an estimator on separable features with every kind of labels that it takes."""

    def _cases(self) -> list[Evidence]:
        return [evidence(kind, *shape) for kind in self.card.labels for shape in SHAPES]

    @promise("range", essential=True)
    def stays_in_range(self) -> str:
        scores = [float(self.card.of(case)) for case in self._cases()]
        return f"in range ({scores[0]:.3g} for N > D, {scores[1]:.3g} for N < D)"

    @promise("deterministic")
    def is_deterministic(self) -> str:
        for once, again in zip(self._cases(), self._cases(), strict=True):
            if self.card.of(once) != self.card.of(again):
                raise broken("the same arrays give two scores", "Seed whatever is random.")
        return "deterministic"

    @promise("harmless")
    def leaves_input_alone(self) -> str:
        for case, untouched in zip(self._cases(), self._cases(), strict=True):
            self.card.of(case)
            arrays = [f.name for f in fields(case) if f.name != "label_kind"]
            changed = [
                name
                for name in arrays
                if not np.array_equal(getattr(case, name), getattr(untouched, name))
            ]
            if changed:
                raise broken(
                    f"it changes its {changed[0]}",
                    "Other estimators read the same array: work on a copy.",
                )
        return "input untouched"

    @promise("degenerate")
    def answers_or_says_why(self) -> str:
        """Accept any score, or NotApplicable, where the features are the same for all images."""
        answers = []
        for kind in self.card.labels:
            case = evidence(kind, *SHAPES[0])
            constant = Evidence.of(
                np.ones_like(case.features), case.labels, case.source_probabilities, kind
            )
            try:
                answers.append(f"{float(self.card.of(constant)):.3g}")
            except NotApplicable as refusal:
                answers.append(refusal.message)
        return f"constant features: {answers[0]}"
