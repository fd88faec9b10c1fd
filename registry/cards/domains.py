"""Appearance domains and which contains which, after Mensink et al. 2022 (arXiv 2103.13318, section
3).
"""

from __future__ import annotations

from collections.abc import Iterable
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
    direct = {domain.name: frozenset(domain.within) for domain in domains}

    def above(name: str, seen: frozenset[str]) -> frozenset[str]:
        for parent in direct.get(name, frozenset()) - seen:
            seen = above(parent, seen | {parent})
        return seen

    return {name: above(name, frozenset()) - {name} for name in direct}
