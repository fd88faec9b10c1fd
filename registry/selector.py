"""Selectors: rules that rank sources for a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from registry.card import Card, first_line
from registry.identity import code_of
from registry.names import Value
from registry.options import defaults_of
from registry.source_model import SourceModel
from registry.task import Task


class Estimate(Protocol):
    """Score sources by an estimator (``logme``, ``nleep[components=2]``) on the target's images.

    Higher is better; sources that it is not defined for are missing. Costs little: features, no training.
    """

    def __call__(self, estimator: str) -> Mapping[str, float]: ...


class Measure(Protocol):
    """Fine-tune sources on ``size`` images of the target (None: all that the question is about) for ``epochs`` (None: all).

    Returns the validation metric of each, higher is better whatever the metric; those are missing that failed or that what is
    left of the budget did not reach.
    """

    def __call__(self, sources: Sequence[str], *, size: int | None = None, epochs: int | None = None) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Record:
    """One earlier measurement: a source fine-tuned on another task. ``quality`` is its test metric, higher is better.

    Records compare only within one ``setting``: the same task, metric, size, seed and budget.
    ``relation``: what the source's domain is to that task's (within-domain, including, cross-domain), None where not known.
    """

    source: str
    task: str
    setting: str
    quality: float
    relation: str | None = None
    source_images: int | None = None
    task_images: int | None = None


@dataclass(frozen=True)
class Question:
    """What a selector is asked: which of these sources for this task, given what was measured before.

    ``size``: how many training images there are; None where not known. ``records`` are on other tasks than this one.
    ``relations``: what each source's domain is to the task's, as in Record. ``domain_parents``: each domain -> the domains that
    contain it. ``estimate`` and ``measure`` do work, whose cost is counted; ``measure`` spends ``budget`` seconds.
    """

    task: Task
    sources: Sequence[SourceModel]
    size: int | None = None
    records: Sequence[Record] = ()
    relations: Mapping[str, str | None] = field(default_factory=dict)
    domain_parents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    estimate: Estimate | None = None
    measure: Measure | None = None
    budget: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Selector(Card):
    """``rank(question, **options)`` returns a score for each source's name; higher is better, equal scores are ties.

    A source that it can say nothing of gets the lowest score; NotApplicable says that it can answer nothing at all.
    """

    rank: Callable[..., Mapping[str, float]] = field(repr=False)

    def options(self) -> Mapping[str, Value]:
        return defaults_of(self.rank)

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"options": dict(self.options())}


def selector(name: str, **facts: Any) -> Callable[[Callable[..., Mapping[str, float]]], Selector]:
    """Register a selector: decorates its rank. Facts are Selector's fields."""

    def make(rank: Callable[..., Mapping[str, float]]) -> Selector:
        return Selector(name=name, summary=facts.pop("summary", first_line(rank)), rank=rank, code=code_of(rank), **facts)

    return make
