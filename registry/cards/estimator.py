"""Estimators: cheap transferability scores from features and labels, without training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from headwater.registry.cards.card import Card, Kind, names_bad_keywords, summary_of, wrong_return
from headwater.registry.errors import BadPlugin, NotApplicable
from headwater.registry.evidence.shape import Bound, Shape
from headwater.registry.identity import code_of
from headwater.registry.names import Value
from headwater.registry.options import check_options, defaults_of

if TYPE_CHECKING:
    from headwater.registry.evidence.evidence import Evidence

SLACK = 1e-9
"""By how much of itself rounding may carry a score over its bound; it is then put on the bound."""

INPUTS = ("features", "labels", "source_probabilities", "moments", "evidence")
"""What a score may ask for, by the names of its positional parameters: attributes of Evidence, or
all of it.
"""


class Score(float):
    """An estimator's score: a float. ``note`` says where it tells little; ``parts`` are those of a
    score that belongs to a pool.
    """

    note: str
    parts: Mapping[str, float]

    def __new__(
        cls, value: float, note: str = "", parts: Mapping[str, float] | None = None
    ) -> Score:
        score = super().__new__(cls, value)
        score.note, score.parts = note, dict(parts or {})
        return score

    def __getnewargs__(self) -> tuple[float, str, Mapping[str, float]]:  # type: ignore[override]
        return float(self), self.note, self.parts


@dataclass(frozen=True, kw_only=True)
class Estimator(Card):
    """A score that is higher where transfer should be better.

    ``score(..., **options) -> float | Score``: its positional parameters say by their names what it
    reads (see ``INPUTS``), its keyword-only ones are options. ``low`` and ``high`` bound it:
    numbers, or functions of a Shape.
    ``task_types``: for which tasks it is defined. ``pooled``: it returns a Score with parts, each
        of which is scaled to [0, 1] over a pool of sources before they are added up; alone, it
        ranks nothing.
    """

    kind: ClassVar[Kind] = Kind.ESTIMATOR
    list_columns: ClassVar[tuple[str, ...]] = ("name", "low", "high", "task_types", "summary")

    score: Callable[..., float] = field(repr=False)
    low: Bound = float("-inf")
    high: Bound = float("inf")
    task_types: tuple[str, ...] = ("classification",)
    pooled: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it reads, by name."""
        parameters = inspect.signature(self.score).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)

    @property
    def needs_source_probabilities(self) -> bool:
        return "source_probabilities" in self.inputs

    def options(self) -> Mapping[str, Value]:
        return defaults_of(self.score)

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"inputs": list(self.inputs), "options": dict(self.options())}

    def range(self, shape: Shape) -> tuple[float, float]:
        """Between what its score lies for data of this shape; unbounded where that depends on what
        is not known.
        """
        low, high = (_at(bound, shape) for bound in (self.low, self.high))
        return (-math.inf if low is None else low), (math.inf if high is None else high)

    def of(self, evidence: Evidence, **options: Value) -> Score:
        """The score of one source on one task.

        Raises NotApplicable where it is not defined for this evidence, BadName for an option it
        does not have, and BadPlugin where it returns what is no number or lies outside its declared
        range.
        """
        check_options(self.name, options, self.options())
        if evidence.task_type not in self.task_types:
            defined = ", ".join(self.task_types)
            raise NotApplicable(
                f"{self.name} is for {defined} tasks, this is {evidence.task_type}",
                subject=self.name,
            )
        if self.needs_source_probabilities and evidence.source_probabilities is None:
            raise NotApplicable(
                f"{self.name} needs the source's own class probabilities, and it has no classifier",
                subject=self.name,
                hint="Give source_probabilities=, (N, source classes); or take nleep, which needs none.",
            )
        asked = [
            evidence if name == "evidence" else getattr(evidence, name) for name in self.inputs
        ]
        return self._checked(self.score(*asked, **options), evidence.shape)

    def _checked(self, score: float, shape: Shape) -> Score:
        try:
            value = float(score)
        except (TypeError, ValueError):
            raise wrong_return(self.name, score, "a number") from None
        low, high = self.range(shape)
        slack = SLACK * max(
            1.0, *(abs(bound) for bound in (low, high) if math.isfinite(bound)), 0.0
        )
        if not math.isfinite(value) or not low - slack <= value <= high + slack:
            raise BadPlugin(
                f"{self.name} returned {value:g} for {_words(shape)}; its range is {low:g} to {high:g}",
                subject=self.name,
                hint="Raise hw.NotApplicable where there is no answer, or declare the range with low= and high=.",
            )
        known = score if isinstance(score, Score) else Score(value)
        return Score(min(max(value, low), high), known.note, known.parts)


def _at(bound: Bound, shape: Shape) -> float | None:
    """A bound's value; None where it depends on a part of the shape that is not known."""
    if not callable(bound):
        return float(bound)
    try:
        return float(bound(shape))
    except TypeError:  # arithmetic with None
        return None


def _words(shape: Shape) -> str:
    said = {
        "images": shape.images,
        "features": shape.features,
        "classes": shape.classes,
        "source classes": shape.source_classes,
    }
    return ", ".join(f"{count} {what}" for what, count in said.items() if count is not None)


@names_bad_keywords
def estimator(
    name: str,
    *,
    summary: str = "",
    low: Bound = float("-inf"),
    high: Bound = float("inf"),
    task_types: Sequence[str] = ("classification",),
    pooled: bool = False,
) -> Callable[[Callable[..., float]], Estimator]:
    """Register an estimator: decorates its score, a function of what ``INPUTS`` lists.

    Args:
        name: The name of the estimator.
        summary: One line on what it is; by default the first line of the score's docstring.
        low: No score is below this: a number, or a function of a ``Shape``.
        high: No score is above this: a number, or a function of a ``Shape``.
        task_types: The task types that it is defined for.
        pooled: True if its score has parts that are scaled over a pool of sources.

    Raises:
        BadPlugin: An argument does not exist, or the score asks for something that is not given.
    """

    def make(score: Callable[..., float]) -> Estimator:
        card = Estimator(
            name=name,
            summary=summary or summary_of(score),
            code=code_of(score),
            score=score,
            low=low,
            high=high,
            task_types=tuple(task_types),
            pooled=pooled,
        )
        unknown = [parameter for parameter in card.inputs if parameter not in INPUTS]
        if unknown:
            raise BadPlugin(
                f"{name} asks for {unknown[0]!r}, which an estimator is not given",
                subject=name,
                hint=f"Its positional parameters are among {', '.join(INPUTS)}; "
                "options are keyword-only.",
            )
        return card

    return make
