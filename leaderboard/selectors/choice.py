"""Which selectors are judged: those asked for by name, or all there are and all whose scores a store holds."""

from __future__ import annotations

from collections.abc import Mapping

from headwater.leaderboard.store.store import Store
from headwater.registry import Estimator, Kind, Registry, Selector
from headwater.registry.errors import BadName, NotApplicable, UnknownName
from headwater.registry.names import Name, Value, is_glob, split_list

Asked = tuple[Selector, Mapping[str, Value], str]
"""A card, its options and the name it goes by."""


def selectors_to_judge(registry: Registry, store: Store, patterns: str = "*") -> list[Asked]:
    """``patterns``: names, with options, and globs; raises UnknownName. ``*`` also has every estimator that the store has scores of, by
    the name they were recorded under, whether or not its plugin is here."""
    scored = [
        name for (name,) in store.sql("SELECT DISTINCT estimator FROM estimates ORDER BY ALL").rows
    ]
    found: dict[str, Asked] = {}
    for text in split_list(patterns):
        for name in _names(registry, text):
            found.setdefault(name, (*registry.selector(name), name))
        for name in scored if text == "*" else ():
            found.setdefault(name, _recorded(registry, name))
    return list(found.values())


def _names(registry: Registry, text: str) -> list[str]:
    return (
        [card.name for card in registry.find(Kind.SELECTOR, text)]
        if is_glob(text)
        else [str(Name.parse(text))]
    )


def _recorded(registry: Registry, name: str) -> Asked:
    try:
        return (*registry.selector(name), name)
    except (
        UnknownName,
        BadName,
    ):  # scores of an estimator whose plugin is not here, or has other options now
        return (
            Selector.of_estimator(Estimator(name=name, summary="recorded scores", score=_not_here)),
            {},
            name,
        )


def _not_here(features: object, labels: object) -> float:
    raise NotApplicable("only its recorded scores are here")
