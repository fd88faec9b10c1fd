"""A check: one thing that a plugin promises, with a sentence of what was seen or of what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.registry.errors import BadPlugin, HeadwaterError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from headwater.registry import Flaw


class Seen(str):
    """What a check saw, in a word or two, and the flaws that it came upon, which are no failure."""

    flaws: tuple[Flaw, ...]

    def __new__(cls, text: str, flaws: Sequence[Flaw] = ()) -> Seen:
        seen = super().__new__(cls, text)
        seen.flaws = tuple(flaws)
        return seen


@dataclass(frozen=True)
class Check:
    """One promise of a card. Calling it returns what was seen, in a word or two; it raises BadPlugin where broken.

    Where an ``essential`` check fails, those after it have nothing to look at.
    """

    card: str
    name: str
    look: Callable[[], str]
    essential: bool = False

    def __call__(self) -> str:
        try:
            return self.look()
        except HeadwaterError:
            raise
        except Exception as error:  # a plugin is foreign code: whatever it raises is its failure
            message = f"raised {type(error).__name__}: {error}"
            raise BadPlugin(
                message,
                subject=self.card,
                hint="Run it by itself in Python to see the whole traceback.",
            ) from error


@dataclass(frozen=True)
class Result:
    """What became of a check."""

    check: Check
    passed: bool
    message: str
    hint: str = ""

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        return self.message.flaws if isinstance(self.message, Seen) else ()


def examine(checks: list[Check]) -> Iterator[Result]:
    """Run the checks in order, up to an essential one that fails."""
    for check in checks:
        try:
            yield Result(check, True, check())
        except HeadwaterError as error:
            yield Result(check, False, error.message, error.hint)
            if check.essential:
                return


def broken(message: str, hint: str) -> BadPlugin:
    """What is wrong and what to do about it."""
    return BadPlugin(message, hint=hint)


def finite(values: Tensor | np.ndarray) -> bool:
    import torch

    return bool(torch.isfinite(torch.as_tensor(values)).all())
