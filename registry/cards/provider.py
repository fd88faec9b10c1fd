"""Providers: one plugin, many cards, each made only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.registry.cards.card import Card, Kind
from headwater.registry.names import Name

if TYPE_CHECKING:
    from headwater.registry.discovery import Registry


@dataclass(frozen=True)
class Provider:
    """A family of cards under one prefix.

    ``resolve(name, registry)`` makes the card of one name, raising UnknownName or BadName where it cannot;
    ``cards()`` lists those that can be listed, cheaply (nothing for an open family such as any folder).
    ``form`` shows how its names are written.
    """

    prefix: str
    kind: Kind
    form: str
    summary: str
    resolve: Callable[[Name, Registry], Card]
    cards: Callable[[], Iterable[Card]] = tuple
    origin: str = ""

    def owns(self, stem: str) -> bool:
        return stem == self.prefix or stem.startswith(f"{self.prefix}/")
