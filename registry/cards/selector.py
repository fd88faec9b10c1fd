"""Selectors: rules that rank sources for a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol

from headwater.registry.cards.card import Card, Kind, names_bad_keywords, summary_of, wrong_return
from headwater.registry.cards.estimator import Estimator
from headwater.registry.cards.source_model import SourceModel
from headwater.registry.cards.task import Task
from headwater.registry.errors import NoEstimates
from headwater.registry.identity import code_of
from headwater.registry.names import Name, Value
from headwater.registry.options import defaults_of


class Estimate(Protocol):
    """Score sources by an estimator (``logme``, ``nleep[components=2]``) on the target's images.

    Higher is better; sources that it is not defined for are missing. Costs little: features, no
    training.
    """

    def __call__(self, estimator: str) -> Mapping[str, float]: ...


class Measure(Protocol):
    """Fine-tune sources on ``size`` images of the target (None: all that the question is about) for
    ``epochs`` (None: all).

    Returns the validation metric of each, higher is better whatever the metric; those are missing
    that failed or that what is left of the budget did not reach.
    """

    def __call__(
        self, sources: Sequence[str], *, size: int | None = None, epochs: int | None = None
    ) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class RecordSetting:
    """The setting that a record was measured in. Qualities compare within one setting only.

    Settings are in order by their fields as text, so that whatever is summed over them is summed in
    the same order every time.

    Attributes:
        task: The name of the task.
        metric: The metric of the quality.
        size: The train size as a spec names it, such as ``150`` or ``full``.
        seed: The seed; None where none was recorded.
        protocol: What paired cells share besides their coordinates.
    """

    task: str
    metric: str = ""
    size: str = ""
    seed: int | None = None
    protocol: str = ""

    @cached_property
    def across_seeds(self) -> RecordSetting:
        """The setting without its seed: a source's records that share it differ by chance alone."""
        return replace(self, seed=None)

    @cached_property
    def sort_key(self) -> tuple[str, ...]:
        """The fields as text; a seed of None has no order among numbers."""
        return self.task, self.metric, self.size, str(self.seed), self.protocol

    def __lt__(self, other: RecordSetting) -> bool:
        return self.sort_key < other.sort_key


@dataclass(frozen=True)
class Record:
    """An earlier measurement: a source fine-tuned on another task.

    Attributes:
        source: The name of the source.
        setting: The setting of the measurement; records compare only within one.
        quality: The test metric, higher is better.
        relation: What the source's domain is to the task's (within-domain, including,
            cross-domain); None where not known.
        source_images: The number of images that the source was trained on, by its card.
        task_images: The number of the task's images, by its card.
        base: The source that a chain began from; None for any other.
        estimates: By estimator, its score of the source on the setting's images.
        size: The number of training images.
        validation: The metric that a training like this is chosen by, higher is better.
        seconds: What the training took. It, like all other numbers, is None where not known.
    """

    source: str
    setting: RecordSetting
    quality: float
    relation: str | None = None
    source_images: int | None = None
    task_images: int | None = None
    base: str | None = None
    estimates: Mapping[str, float] = field(default_factory=dict)
    size: int | None = None
    validation: float | None = None
    seconds: float | None = None

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.setting.task


@dataclass(frozen=True)
class Question:
    """What a selector is asked: which of these sources for this task, given what was measured
    before.

    ``size``: how many training images there are; None where not known. ``records`` are on other
        tasks than this one.
    ``relations``: what each source's domain is to the task's, as in Record. ``domain_parents``:
        each domain -> the domains that contain it. ``estimate`` and ``measure`` do work that costs
        seconds; ``measure`` begins nothing that would not fit in what is left of ``budget`` for
        both. ``spent``: the seconds that both have cost so far, ``epochs``: how many ``measure``
        trains for where it is not told; None where not known. ``sizes``: the subsets to measure on,
        ascending and below ``size``; none: the selector's choice.
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
    spent: Callable[[], float] | None = None
    epochs: int | None = None
    sizes: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Selector(Card):
    """``rank(question, **options)`` returns a score for each source's name; higher is better, equal
    scores are ties.

    A source that it can say nothing of gets the lowest score; NotApplicable says that it can answer
    nothing at all.
    ``chance``: its order is a draw, so that it is judged by what can be expected of it: as if all
        scores were equal.
    ``estimator``: the estimator whose score it is, where it is one. ``share``: of fine-tuning every
        source once, what it takes however small the budget is; where it is judged, it gets that.
    """

    kind: ClassVar[Kind] = Kind.SELECTOR

    rank: Callable[..., Mapping[str, float]] = field(repr=False)
    chance: bool = False
    share: float = 0.0
    estimator: Estimator | None = field(default=None, repr=False)

    @classmethod
    def of_estimator(cls, card: Estimator) -> Selector:
        """The selector that takes an estimator's word for it: same name, same options."""
        return cls(
            name=card.name,
            summary=card.summary,
            rank=_ByEstimator(card),
            code=card.code,
            estimator=card,
        )

    def scores(self, question: Question, **options: Any) -> dict[str, float]:
        """Return the score of each source by name; raises BadPlugin if it returns anything else."""
        scores = self.rank(question, **options)
        if not isinstance(scores, Mapping):
            raise wrong_return(self.name, scores, "a mapping of each source's name to its score")
        try:
            return {name: float(score) for name, score in scores.items()}
        except (TypeError, ValueError):
            strangers = [each for each in scores.values() if not isinstance(each, int | float)]
            raise wrong_return(self.name, strangers[0], "a number for each source") from None

    def options(self) -> Mapping[str, Value]:
        return defaults_of(self.rank) if self.estimator is None else self.estimator.options()

    def facts(self) -> dict[str, Any]:
        return super().facts() | {
            "options": dict(self.options()),
            "estimator": self.estimator and self.estimator.name,
        }


@dataclass(frozen=True)
class _ByEstimator:
    """``rank`` of an estimator: its scores on the target's images, and below them whatever it is
    not defined for.
    """

    card: Estimator

    def __call__(self, question: Question, **options: Value) -> Mapping[str, float]:
        defaults = self.card.options()
        name = str(
            Name.of(
                self.card.name,
                {key: value for key, value in options.items() if value != defaults.get(key)},
            )
        )
        if question.estimate is None:
            raise NoEstimates(f"{name} needs the target's images", subject=name)
        if not (scores := question.estimate(name)):
            raise NoEstimates(f"{name} has a score for none of these sources", subject=name)
        return rank_rest_last(scores, question)


def rank_rest_last(scores: Mapping[str, float], question: Question) -> dict[str, float]:
    """The scores of what a selector knows, and for every other source of the question one score
    below them all.
    """
    known = {
        source.name: float(scores[source.name])
        for source in question.sources
        if source.name in scores
    }
    lowest = min(known.values(), default=0.0)
    below = lowest - max(1.0, abs(lowest))
    return {source.name: known.get(source.name, below) for source in question.sources}


@names_bad_keywords
def selector(
    name: str, *, summary: str = "", chance: bool = False, share: float = 0.0
) -> Callable[[Callable[..., Mapping[str, float]]], Selector]:
    """Register a selector: decorates its ``rank(question, **options) -> {source name: score}``.

    Args:
        name: The name of the selector.
        summary: One line on what it is; by default the first line of the function's docstring.
        chance: True if its order is a draw, so that it is judged by its expected value.
        share: The share of the cost of fine-tuning every source once that it takes at least.

    Raises:
        BadPlugin: An argument does not exist.
    """

    def make(rank: Callable[..., Mapping[str, float]]) -> Selector:
        return Selector(
            name=name,
            summary=summary or summary_of(rank),
            code=code_of(rank),
            rank=rank,
            chance=chance,
            share=share,
        )

    return make
