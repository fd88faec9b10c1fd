"""Checks of a selector: a score for every source that it is asked about, the same every time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from headwater.harness.conformance.check import CardChecks, Check, broken, promise
from headwater.harness.conformance.toys import network, stripes
from headwater.registry import (
    Kind,
    Question,
    Record,
    RecordSetting,
    Registry,
    Selector,
    SourceModel,
)
from headwater.registry.errors import NotApplicable

BUDGET = 60.0
IMAGES = 150
EPOCHS = 4
SECONDS = 0.01
"""What measuring one source on one image for one epoch costs here."""


class _ToySource(NamedTuple):
    domain: str | None
    images: int | None
    accuracy: float | None
    relation: str | None


_SOURCES = {
    "a": _ToySource("synthetic", 100, 0.7, "within-domain"),
    "b": _ToySource("aerial", 10_000, 0.6, "cross-domain"),
    "c": _ToySource(None, None, None, None),
}
_QUALITIES = {"toy/one": (0.6, 0.8, 0.7), "toy/two": (0.5, 0.4, 0.6), "toy/three": (0.7, 0.9, 0.8)}
"""Other tasks, and what the sources a, b and c reached there."""


def checks(card: Selector, registry: Registry) -> list[Check]:
    """Return the checks of a selector."""
    return SelectorChecks(card, registry).all()


class SelectorChecks(CardChecks[Selector]):
    """Checks of a selector on three toy sources, which other tasks have records of."""

    def __init__(self, card: Selector, registry: Registry) -> None:
        super().__init__(card, registry)
        self.relations = {f"toy/{name}": facts.relation for name, facts in _SOURCES.items()}
        self.sources = [
            replace(
                network,
                name=f"toy/{name}",
                domain=facts.domain,
                images=facts.images,
                accuracy=facts.accuracy,
                parameters=facts.images,
            )
            for name, facts in _SOURCES.items()
        ]

    def _question(self) -> Question:
        """Return a question that knows everything a question can."""
        work = _ToyWork()
        return Question(
            task=stripes,
            sources=self.sources,
            size=IMAGES,
            records=self._records(),
            relations=self.relations,
            domain_parents={"synthetic": frozenset(), "aerial": frozenset({"synthetic"})},
            estimate=work.estimate,
            measure=work.measure,
            budget=BUDGET,
            spent=lambda: work.seconds,
            epochs=EPOCHS,
        )

    def _records(self) -> list[Record]:
        """Return what each source reached on each other task, over two seeds."""
        records = []
        for task, qualities in _QUALITIES.items():
            for seed in (0, 1):
                for source, quality in zip(self.sources, qualities, strict=True):
                    records.append(self._record(source, task, seed, quality))
        return records

    def _record(self, source: SourceModel, task: str, seed: int, quality: float) -> Record:
        return Record(
            source=source.name,
            setting=RecordSetting(task, seed=seed),
            quality=quality + seed / 100,
            relation=self.relations[source.name],
            source_images=source.images,
            task_images=100,
            estimates={card.name: quality for card in self.registry.all(Kind.ESTIMATOR)},
        )

    def _rank(self, question: Question) -> Mapping[str, float]:
        return self.card.scores(question, **self.card.options())

    def _check_scores(self, scores: Mapping[str, float]) -> None:
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

    @promise("ranks", essential=True)
    def ranks_all(self) -> str:
        self._check_scores(self._rank(self._question()))
        return "ranks every source"

    @promise("deterministic")
    def is_deterministic(self) -> str:
        if dict(self._rank(self._question())) != dict(self._rank(self._question())):
            raise broken("the same question gets two answers", "Seed whatever is random.")
        return "deterministic"

    @promise("order")
    def does_not_mind_the_order(self) -> str:
        question = self._question()
        reordered = replace(
            self._question(), sources=self.sources[::-1], records=question.records[::-1]
        )
        scores = self._rank(question)
        again = self._rank(reordered)
        for name, score in scores.items():
            if not math.isclose(score, again[name], rel_tol=1e-9, abs_tol=1e-12):
                raise broken(
                    "another order of the sources gets another answer",
                    "Break ties by equal scores, or by name.",
                )
        return "order does not matter"

    @promise("frugal")
    def does_without_records(self) -> str:
        try:
            self._check_scores(self._rank(Question(stripes, self.sources)))
        except NotApplicable as refusal:
            return f"without anything known: {refusal.message}"
        return "works without records"


@dataclass
class _ToyWork:
    """Estimates and measurements without any training: the same for the same question."""

    seconds: float = field(default=0.0)

    def estimate(self, estimator: str) -> Mapping[str, float]:
        self.seconds += SECONDS
        return {"toy/a": _draw(f"{estimator} a"), "toy/b": _draw(f"{estimator} b")}

    def measure(
        self, sources: Sequence[str], *, size: int | None = None, epochs: int | None = None
    ) -> Mapping[str, float]:
        images = size or IMAGES
        cost = images * (epochs or EPOCHS) * SECONDS
        qualities = {}
        for source in sources:
            if self.seconds + cost <= BUDGET:
                self.seconds += cost
                qualities[source] = _draw(source) * (1 - 1 / (1 + images))
        return qualities


def _draw(text: str) -> float:
    """Return a number in [0, 1) that only depends on the text."""
    return (sum(text.encode()) % 97) / 97
