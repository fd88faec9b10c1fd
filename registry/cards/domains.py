"""Appearance domains and which contains which (Mensink et al. 2022, arXiv 2103.13318, section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from headwater.registry.cards.card import Card, Kind


@dataclass(frozen=True, kw_only=True)
class Domain(Card):
    """How images look: ``consumer``, ``aerial``, ... A module-level Domain in a plugin adds one.

    ``within`` names the domains that contain this one (indoor photos are consumer photos).
    """

    kind: ClassVar[Kind] = Kind.DOMAIN
    list_columns: ClassVar[tuple[str, ...]] = ("name", "within", "summary")
    usage: ClassVar[str] = 'domain="{name}"'

    within: tuple[str, ...] = ()


def containing(domains: Iterable[Domain]) -> dict[str, frozenset[str]]:
    """Return, for each domain, every domain that contains it, itself excluded (transitive)."""
    parents = {domain.name: domain.within for domain in domains}
    return {name: _ancestors(name, parents) for name in parents}


def _ancestors(name: str, parents: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Return every domain above one. A parent without a card is a domain above, too."""
    ancestors: set[str] = set()
    waiting = [name]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            # Two plugins may name each other's domain: without this a circle would never end.
            if parent not in ancestors:
                ancestors.add(parent)
                waiting.append(parent)
    return frozenset(ancestors - {name})
