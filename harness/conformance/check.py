"""A check: one thing that a plugin promises, with what was observed or what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.registry.errors import BadPlugin, HeadwaterError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from headwater.registry import Flaw


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
    """One promise of a card.

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
        """Return what was observed; raise BadPlugin for a broken promise, whatever the plugin raises."""
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


def broken(message: str, hint: str) -> BadPlugin:
    """Return the error of a broken promise: what is wrong, and what to do about it."""
    return BadPlugin(message, hint=hint)


def finite(values: Tensor | np.ndarray) -> bool:
    """Tell whether all of the values are finite numbers."""
    import torch

    return bool(torch.isfinite(torch.as_tensor(values)).all())
