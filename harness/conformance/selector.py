"""What a selector promises: a score for every source it is asked about, the same every time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from headwater.harness.conformance.check import Check, broken
from headwater.harness.conformance.toys import network, stripes
from headwater.registry import Question, Record, Registry, Selector
from headwater.registry.errors import NotApplicable

BUDGET = 60.0
IMAGES = 150
EPOCHS = 4
SECONDS = 0.01
"""What measuring one source on one image for one epoch costs here."""

_FACTS = {
    "a": ("synthetic", 100, 0.7, "within-domain"),
    "b": ("aerial", 10_000, 0.6, "cross-domain"),
    "c": (None, None, None, None),
}
_TASKS = {"toy/one": (0.6, 0.8, 0.7), "toy/two": (0.5, 0.4, 0.6), "toy/three": (0.7, 0.9, 0.8)}
"""Other tasks, and what the sources reached there."""


def checks(card: Selector, registry: Registry) -> list[Check]:
    subject = _Subject(card)
    return [
        Check(card.name, "ranks", subject.ranks_all, essential=True),
        Check(card.name, "deterministic", subject.is_deterministic),
        Check(card.name, "order", subject.does_not_mind_the_order),
        Check(card.name, "frugal", subject.does_without_records),
    ]


class _Subject:
    def __init__(self, card: Selector) -> None:
        self.card = card
        self.sources = [
            replace(
                network,
                name=f"toy/{name}",
                domain=domain,
                images=images,
                accuracy=accuracy,
                parameters=images,
            )
            for name, (domain, images, accuracy, _) in _FACTS.items()
        ]
        self.relations = {f"toy/{name}": relation for name, (_, _, _, relation) in _FACTS.items()}

    def _asked(self) -> Question:
        """A question that knows everything a question can."""
        work = _Work()
        return Question(
            stripes,
            self.sources,
            IMAGES,
            self._records(),
            self.relations,
            {"synthetic": frozenset(), "aerial": frozenset({"synthetic"})},
            work.estimate,
            work.measure,
            BUDGET,
            lambda: work.seconds,
            EPOCHS,
        )

    def _records(self) -> list[Record]:
        return [
            Record(
                source.name, task, f"{task} seed {seed}", quality + seed / 100, self.relations[source.name], source.images, 100, None,
                {"logme": quality},
            )
            for task, qualities in _TASKS.items()
            for seed in (0, 1)
            for source, quality in zip(self.sources, qualities, strict=True)
        ]  # fmt: skip

    def _rank(self, question: Question) -> Mapping[str, float]:
        return self.card.rank(question, **self.card.options())

    def _check(self, scores: Mapping[str, float]) -> None:
        missing = [source.name for source in self.sources if source.name not in scores]
        if missing:
            raise broken(
                f"it gives no score for {missing[0]}",
                "Score every source of question.sources; the last for one that is not known.",
            )
        bad = [name for name, score in scores.items() if not math.isfinite(score)]
        if bad:
            raise broken(
                f"its score for {bad[0]} is {scores[bad[0]]}",
                "A score is a finite number, higher is better.",
            )

    def ranks_all(self) -> str:
        self._check(self._rank(self._asked()))
        return "ranks every source"

    def is_deterministic(self) -> str:
        if dict(self._rank(self._asked())) != dict(self._rank(self._asked())):
            raise broken("the same question gets two answers", "Seed whatever is random.")
        return "deterministic"

    def does_not_mind_the_order(self) -> str:
        asked = self._asked()
        there, back = (
            self._rank(asked),
            self._rank(
                replace(self._asked(), sources=self.sources[::-1], records=asked.records[::-1])
            ),
        )
        if any(
            not math.isclose(there[name], back[name], rel_tol=1e-9, abs_tol=1e-12) for name in there
        ):
            raise broken(
                "another order of the sources gets another answer",
                "Break ties by equal scores, or by name.",
            )
        return "order does not matter"

    def does_without_records(self) -> str:
        bare = Question(stripes, self.sources)
        try:
            self._check(self._rank(bare))
        except NotApplicable as refusal:
            return f"without anything known: {refusal.message}"
        return "works without records"


@dataclass
class _Work:
    """Estimates and measurements that need no training: the same for the same question."""

    seconds: float = field(default=0.0)

    def estimate(self, estimator: str) -> Mapping[str, float]:
        self.seconds += SECONDS
        return {"toy/a": _draw(f"{estimator} a"), "toy/b": _draw(f"{estimator} b")}

    def measure(
        self, sources: Sequence[str], *, size: int | None = None, epochs: int | None = None
    ) -> Mapping[str, float]:
        cost, found = (size or IMAGES) * (epochs or EPOCHS) * SECONDS, {}
        for source in sources:
            if self.seconds + cost <= BUDGET:
                self.seconds += cost
                found[source] = _draw(source) * (1 - 1 / (1 + (size or IMAGES)))
        return found


def _draw(text: str) -> float:
    return (sum(text.encode()) % 97) / 97
