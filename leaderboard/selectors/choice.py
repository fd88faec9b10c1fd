"""Choose which selectors are judged: those asked for by name, or all there are and all whose scores
a store holds.
"""

from __future__ import annotations

from headwater.leaderboard.selectors.judging import AskedSelector
from headwater.leaderboard.store.store import Store
from headwater.registry import Estimator, Kind, Registry, Selector
from headwater.registry.errors import BadName, NotApplicable, UnknownName
from headwater.registry.names import Name, is_glob, split_list


def selectors_to_judge(
    registry: Registry, store: Store, patterns: str = "*"
) -> list[AskedSelector]:
    """Return the selectors that patterns name, each once and in order.

    Args:
        registry: The cards.
        store: The store that they will be judged by.
        patterns: Names, with options, and globs. ``*`` also has every estimator that the store has
            scores of, by the name they were recorded under, whether or not its plugin is loaded.

    Raises:
        UnknownName: A pattern names no selector.
    """
    scored = store.result("scored_estimators").rows
    chosen: dict[str, AskedSelector] = {}
    for text in split_list(patterns):
        for name in _names(registry, text):
            card, options = registry.selector(name)
            chosen.setdefault(name, (card, options, name))
        if text == "*":
            for (name,) in scored:
                chosen.setdefault(name, _recorded(registry, name))
    return list(chosen.values())


def _names(registry: Registry, text: str) -> list[str]:
    """Return the names of the selectors that a name or glob stands for."""
    if is_glob(text):
        return [card.name for card in registry.find(Kind.SELECTOR, text)]
    return [str(Name.parse(text))]


def _recorded(registry: Registry, name: str) -> AskedSelector:
    """Return the selector of an estimator that the store has scores of.

    Its plugin may not be loaded, or have other options by now: then its recorded scores stand in
    for it.
    """
    try:
        card, options = registry.selector(name)
        return card, options, name
    except (UnknownName, BadName):
        estimator = Estimator(name=name, summary="recorded scores", score=_not_loaded)
        return Selector.of_estimator(estimator), {}, name


def _not_loaded(features: object, labels: object) -> float:
    raise NotApplicable("this estimator is known only from recorded scores")
