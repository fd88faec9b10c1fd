"""Selectors: rules that rank sources for a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from registry.card import Card, first_line
from registry.identity import code_of
from registry.source_model import SourceModel
from registry.task import Task


class Measure(Protocol):
    """Fine-tune ``source`` on ``size`` images of the target and return its metric; spends the budget."""

    def __call__(self, source: str, *, size: int) -> float: ...


@dataclass(frozen=True)
class Question:
    """What a selector is asked: which of these sources for this task, given what was measured before.

    ``records`` are rows of the ``gains`` view on other tasks; ``measure`` spends ``budget`` seconds.
    """

    task: Task
    sources: Sequence[SourceModel]
    records: Sequence[Mapping[str, Any]]
    measure: Measure | None = None
    budget: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Selector(Card):
    """``rank(question, **options)`` returns a score for each source's name; higher is better."""

    rank: Callable[..., Mapping[str, float]] = field(repr=False)


def selector(name: str, **facts: Any) -> Callable[[Callable[..., Mapping[str, float]]], Selector]:
    """Register a selector: decorates its rank. Facts are Selector's fields."""

    def make(rank: Callable[..., Mapping[str, float]]) -> Selector:
        return Selector(name=name, summary=facts.pop("summary", first_line(rank)), rank=rank, code=code_of(rank), **facts)

    return make
