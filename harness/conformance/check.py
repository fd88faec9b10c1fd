"""A check: one thing that a plugin promises, with what was observed or what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from headwater.registry.errors import BadPlugin, HeadwaterError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from headwater.registry import Card, Flaw, Registry


class Observation(str):
    """A text of a word or two that says what a check observed.

    Attributes:
        flaws: Flawed annotations that the check came upon; they are no failure.
    """

    flaws: tuple[Flaw, ...]

    def __new__(cls, text: str, flaws: Sequence[Flaw] = ()) -> Observation:
        observation = super().__new__(cls, text)
        observation.flaws = tuple(flaws)
        return observation


@dataclass(frozen=True)
class Check:
    """A promise of a card.

    Attributes:
        card: The card's name.
        name: The check's name, in one word.
        look: Returns what was observed, in a word or two; raises BadPlugin for a broken promise.
        essential: True where the checks after this one have nothing to look at if it fails.
    """

    card: str
    name: str
    look: Callable[[], str]
    essential: bool = False

    def __call__(self) -> str:
        """Return what was observed; raise BadPlugin for a broken promise, whatever the plugin
        raises.
        """
        from headwater.registry.names import command_line

        try:
            return self.look()
        except HeadwaterError:
            raise
        except Exception as error:  # a plugin is foreign code: whatever it raises is its failure
            trace = command_line("check", "FILE", "--trace", self.card)
            raise BadPlugin(
                f"raised {type(error).__name__}: {error}",
                subject=self.card,
                hint=f"See the whole traceback: {trace}",
            ) from error


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check.

    Attributes:
        check: The check that was run.
        message: What was observed, or what is wrong.
        hint: What to do about it.
        error: What the check raised; None where the promise is kept.
    """

    check: Check
    message: str
    hint: str = ""
    error: HeadwaterError | None = None

    @property
    def passed(self) -> bool:
        return self.error is None

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        return self.message.flaws if isinstance(self.message, Observation) else ()


def examine(checks: Sequence[Check]) -> Iterator[CheckResult]:
    """Run the checks in order, up to an essential one that fails."""
    for check in checks:
        try:
            yield CheckResult(check, check())
        except HeadwaterError as error:
            yield CheckResult(check, error.message, error.hint, error)
            if check.essential:
                return


Look = TypeVar("Look", bound=Callable[..., str])
CheckedCard = TypeVar("CheckedCard", bound="Card")


def promise(name: str, *, essential: bool = False) -> Callable[[Look], Look]:
    """Mark a method of CardChecks as the check of that name."""

    def mark(look: Look) -> Look:
        _PROMISES[look] = (name, essential)
        return look

    return mark


_PROMISES: dict[Callable[..., str], tuple[str, bool]] = {}
"""The name of each method marked by ``promise``, and True where it is essential."""


class CardChecks(Generic[CheckedCard]):
    """The checks of one card, as methods marked by ``promise``; they share what is costly to make.

    Args:
        card: The card to check.
        registry: Where it finds domains, task types and other cards.
    """

    def __init__(self, card: CheckedCard, registry: Registry) -> None:
        self.card = card
        self.registry = registry

    def all(self) -> list[Check]:
        """Return the checks in the order in which their methods stand, base classes first."""
        checks = []
        for owner in reversed(type(self).__mro__):
            for method_name, method in vars(owner).items():
                if callable(method) and method in _PROMISES:
                    name, essential = _PROMISES[method]
                    look = getattr(self, method_name)
                    checks.append(Check(self.card.name, name, look, essential))
        return checks


def broken(message: str, hint: str) -> BadPlugin:
    """Return the error of a broken promise: what is wrong, and what to do about it."""
    return BadPlugin(message, hint=hint)


def finite(values: Tensor | np.ndarray) -> bool:
    """Tell whether all of the values are finite numbers."""
    import torch

    return bool(torch.isfinite(torch.as_tensor(values)).all())
