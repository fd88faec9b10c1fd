"""What a selector promises: a score for every source it is asked about, the same every time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from harness.conformance.check import Check, broken
from harness.conformance.toys import network, stripes
from registry import Question, Registry, Selector

BUDGET = 60.0
GAINS = (0.1, 0.3, 0.2)


def checks(card: Selector, registry: Registry) -> list[Check]:
    subject = _Subject(card)
    return [
        Check(card.name, "ranks", subject.ranks_all, essential=True),
        Check(card.name, "deterministic", subject.is_deterministic),
        Check(card.name, "frugal", subject.does_without_records),
    ]


class _Subject:
    def __init__(self, card: Selector) -> None:
        self.card = card
        facts = {"a": ("synthetic", 100), "b": ("aerial", 10_000), "c": (None, None)}
        self.sources = [replace(network, name=f"toy/{name}", domain=domain, images=images) for name, (domain, images) in facts.items()]

    def _rank(self, records: list[Mapping[str, object]]) -> Mapping[str, float]:
        return self.card.rank(Question(stripes, self.sources, records, measure=_measure, budget=BUDGET))

    def _records(self) -> list[Mapping[str, object]]:
        common = {
            "task": "toy/other",
            "adaptation": "fine_tune",
            "train_size": 150,
            "seed": 0,
            "metric": "accuracy",
            "reference": "scratch",
        }
        gains = zip(self.sources, GAINS, strict=True)
        return [
            common | {"source": source.name, "value": 0.5 + gain, "reference_value": 0.5, "gain_abs": gain, "gain_rel": gain / 0.5}
            for source, gain in gains
        ]

    def _check(self, scores: Mapping[str, float]) -> None:
        missing = [source.name for source in self.sources if source.name not in scores]
        if missing:
            raise broken(
                f"it gives no score for {missing[0]}", "Score every source of question.sources; the last for one that is not known."
            )
        bad = [name for name, score in scores.items() if not math.isfinite(score)]
        if bad:
            raise broken(f"its score for {bad[0]} is {scores[bad[0]]}", "A score is a finite number, higher is better.")

    def ranks_all(self) -> str:
        self._check(self._rank(self._records()))
        return "ranks every source"

    def is_deterministic(self) -> str:
        if dict(self._rank(self._records())) != dict(self._rank(self._records())):
            raise broken("the same question gets two answers", "Seed whatever is random.")
        return "deterministic"

    def does_without_records(self) -> str:
        self._check(self._rank([]))
        return "works without records"


def _measure(source: str, *, size: int) -> float:
    """A measurement that needs no training: the same for the same question."""
    return (sum(source.encode()) % 97) / 97 + 1 / (1 + size)
