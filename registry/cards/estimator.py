"""Estimators: cheap transferability scores from features and labels, without training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from headwater.registry.cards.card import Card, Kind, names_bad_keywords, summary_of, wrong_return
from headwater.registry.errors import BadPlugin, NotApplicable
from headwater.registry.evidence.labels import LabelKind, label_kinds
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
    """An estimator's score: a float with what is to be said of it.

    Attributes:
        note: Where it tells little, and why; "" where there is nothing to say.
        parts: The parts of a score that belongs to a pool; empty for any other.
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

    Attributes:
        score: ``score(..., **options) -> float | Score``. Its positional parameters say by their
            names what it reads (``INPUTS``), its keyword-only ones are options.
        low: No score is below this: a number, or a Bound that depends on the data.
        high: No score is above this.
        labels: The kinds of labels that it is defined for.
        pooled: True if it returns a Score with parts, each of which is scaled to [0, 1] over a pool
            of sources before they are added up; alone, it ranks nothing.
    """

    kind: ClassVar[Kind] = Kind.ESTIMATOR
    list_columns: ClassVar[tuple[str, ...]] = ("name", "low", "high", "labels", "summary")

    score: Callable[..., float] = field(repr=False)
    low: float | Bound = -math.inf
    high: float | Bound = math.inf
    labels: tuple[LabelKind, ...] = (LabelKind.CLASSES,)
    pooled: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what it reads."""
        parameters = inspect.signature(self.score).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)

    @property
    def needs_source_probabilities(self) -> bool:
        """True if it scores only sources that have a classifier."""
        return "source_probabilities" in self.inputs

    def options(self) -> Mapping[str, Value]:
        """Return its options with their defaults."""
        return defaults_of(self.score)

    def facts(self) -> dict[str, Any]:
        """Return what is stored of the card."""
        return super().facts() | {"inputs": list(self.inputs), "options": dict(self.options())}

    def range(self, shape: Shape) -> tuple[float, float]:
        """Return the bounds of its score for data of a shape.

        Returns:
            The least and the largest score; infinite where that depends on what is not known.
        """
        low = _value_of(self.low, shape)
        high = _value_of(self.high, shape)
        return (-math.inf if low is None else low), (math.inf if high is None else high)

    def of(self, evidence: Evidence, **options: Value) -> Score:
        """Score one source on one task.

        Args:
            evidence: Features and labels.
            **options: Its options.

        Raises:
            NotApplicable: It is not defined for this evidence.
            BadName: It has no such option.
            BadPlugin: It returned what is no number or lies outside its declared range.
        """
        check_options(self.name, options, self.options())
        if evidence.label_kind not in self.labels:
            raise NotApplicable(
                f"{self.name} scores {' or '.join(self.labels)}, "
                f"these labels are {evidence.label_kind}",
                subject=self.name,
            )
        if self.needs_source_probabilities and evidence.source_probabilities is None:
            raise NotApplicable(
                f"{self.name} needs the source's own class probabilities, and it has no classifier",
                subject=self.name,
                hint="Give source_probabilities=, (N, source classes); "
                "or take an estimator that reads features alone: headwater list estimators.",
            )
        inputs = [
            evidence if name == "evidence" else getattr(evidence, name) for name in self.inputs
        ]
        return self._checked(self.score(*inputs, **options), evidence.shape)

    def _checked(self, score: float, shape: Shape) -> Score:
        """Return a score within the declared range; raises BadPlugin for one that is not."""
        try:
            value = float(score)
        except (TypeError, ValueError):
            raise wrong_return(self.name, score, "a number") from None
        low, high = self.range(shape)
        sizes = [abs(bound) for bound in (low, high) if math.isfinite(bound)]
        slack = SLACK * max(1.0, *sizes, 0.0)
        if not math.isfinite(value) or not low - slack <= value <= high + slack:
            raise BadPlugin(
                f"{self.name} returned {value:g} for {_in_words(shape)}; "
                f"its range is {low:g} to {high:g}",
                subject=self.name,
                hint="Raise hw.NotApplicable where there is no answer, "
                "or declare the range with low= and high=.",
            )
        clipped = min(max(value, low), high)
        if isinstance(score, Score):
            return Score(clipped, score.note, score.parts)
        return Score(clipped)


def _value_of(bound: float | Bound, shape: Shape) -> float | None:
    return bound.value(shape) if isinstance(bound, Bound) else float(bound)


def _in_words(shape: Shape) -> str:
    counts = {
        "images": shape.images,
        "features": shape.features,
        "classes": shape.classes,
        "source classes": shape.source_classes,
    }
    return ", ".join(f"{count} {noun}" for noun, count in counts.items() if count is not None)


@names_bad_keywords
def estimator(
    name: str,
    *,
    summary: str = "",
    low: float | Bound = -math.inf,
    high: float | Bound = math.inf,
    labels: Sequence[str] = (LabelKind.CLASSES,),
    pooled: bool = False,
) -> Callable[[Callable[..., float]], Estimator]:
    """Register an estimator: decorates its score, a function of what ``INPUTS`` lists.

    Args:
        name: The name of the estimator.
        summary: One line on what it is; by default the first line of the score's docstring.
        low: No score is below this: a number, or a ``Bound("−log C", function of a Shape)``.
        high: No score is above this.
        labels: The kinds of labels that it is defined for: "classes", "numbers", "flags"
            (``LabelKind``).
        pooled: True if its score has parts that are scaled over a pool of sources.

    Raises:
        BadPlugin: An argument or a kind of labels does not exist, a bound is neither a number nor a
            Bound, or the score asks for something that is not given.
    """

    def make(score: Callable[..., float]) -> Estimator:
        card = Estimator(
            name=name,
            summary=summary or summary_of(score),
            code=code_of(score),
            score=score,
            low=low,
            high=high,
            labels=label_kinds(labels, name),
            pooled=pooled,
        )
        _check_bound(name, "low", low)
        _check_bound(name, "high", high)
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


def _check_bound(name: str, argument: str, bound: Any) -> None:
    """Raise BadPlugin for a bound that is no number, or does not say how it depends on the data."""
    if isinstance(bound, int | float) and not math.isnan(bound):
        return
    if isinstance(bound, Bound) and bound.formula.strip() and callable(bound.at):
        return
    raise BadPlugin(
        f"{argument} of {name} is neither a number nor a Bound with its formula",
        subject=name,
        hint=f'{argument}=hw.Bound("−log C", lambda shape: -math.log(shape.classes))',
    )
