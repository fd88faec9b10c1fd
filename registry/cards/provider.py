"""Providers: one plugin, many cards, each made only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from headwater.registry.cards.card import Card, Kind
from headwater.registry.names import Name


@dataclass(frozen=True)
class Provider:
    """A family of cards under one prefix.

    Attributes:
        prefix: What every name of the family begins with, before a slash.
        kind: The kind of the cards.
        form: How its names are written, for people.
        summary: One sentence on the family.
        resolve: ``resolve(name, registry) -> Card`` makes the card of one name; ``registry`` is the
            ``hw.Registry`` that asks. It raises UnknownName or BadName where it cannot.
        cards: Lists the cards that can be listed cheaply; none for an open family such as any
            folder.
        origin: The plugin that it came from; discovery fills it in.
    """

    prefix: str
    kind: Kind
    form: str
    summary: str
    resolve: Callable[[Name, Any], Card]  # Any: the registry's module imports this one
    cards: Callable[[], Iterable[Card]] = tuple
    origin: str = ""

    def owns(self, stem: str) -> bool:
        """Return whether a name's stem belongs to the family."""
        return stem == self.prefix or stem.startswith(f"{self.prefix}/")
