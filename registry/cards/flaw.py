"""Flaws: what is wrong with an image's annotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

ITEMS = "{items}"
"""The slot of a pattern for what a flaw lists."""


@dataclass(frozen=True)
class Flaw:
    """Something wrong with an image's annotation.

    Flaws with one code and one way of handling are told together. Where a flaw counts something,
    ``Flaw.counting`` makes it, so that the numbers of many flaws can be told as a range; nothing
    has to read them out of a sentence.

    Attributes:
        name: The image.
        what: What is wrong, such as ``has 2 empty boxes``.
        handled: How it was handled, such as ``left out``.
        code: What flaws of one kind share, such as ``empty-box``; ``what`` if it is not given.
        pattern: ``what`` with a slot {} for each number.
        numbers: The numbers of the slots.
        items: What the flaw lists, such as the names of points; "…" stands for more.
    """

    name: str
    what: str
    handled: str
    code: str = field(default="", compare=False)
    pattern: str = field(default="", compare=False)
    numbers: tuple[int, ...] = field(default=(), compare=False)
    items: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def counting(
        cls,
        name: str,
        pattern: str,
        handled: str,
        *,
        code: str,
        numbers: Sequence[int],
        items: Sequence[str] = (),
    ) -> Flaw:
        """Return a flaw that counts something, and may list what it counts.

        Args:
            name: The image.
            pattern: What is wrong, with a slot {} for each number and ``{items}`` for what is
                listed: ``has {} boxes{items} outside the image``.
            handled: How it was handled.
            code: What flaws of one kind share.
            numbers: The numbers of the slots.
            items: What is listed.
        """
        listed = f" ({', '.join(items)})" if items else ""
        what = pattern.format(*(f"{number:,}" for number in numbers), items=listed)
        return cls(
            name,
            what,
            handled,
            code=code,
            pattern=pattern,
            numbers=tuple(int(number) for number in numbers),
            items=tuple(items),
        )

    @property
    def kind(self) -> tuple[str, str]:
        """Return the key that flaws share which are told together."""
        return self.code or self.what, self.handled
