"""Conformance: what a plugin promises, checked. Third parties run it on theirs in three lines:

@pytest.mark.parametrize("check", hw.conformance.conformance_cases("my_models.py"))
def test_conforms(check):
    check()
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headwater.harness.conformance.check import Check, CheckResult, examine
from headwater.registry import Card, Domain, Kind, Registry, Task, TaskType
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import BadPlugin

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

__all__ = ["Check", "CheckResult", "checks", "conformance_cases", "examine", "own_cards"]


def checks(card: Card, registry: Registry, beside: Sequence[Task] = ()) -> list[Check]:
    """The named checks of a card, by its kind. A task type is tried on a task of that type ``beside`` it, or a registered one."""
    kind = card.kind
    if isinstance(card, Domain):
        return [Check(card.name, "within", lambda: _domain_is_known(card, registry))]
    if isinstance(card, TaskType):
        from headwater.harness.conformance import task_type

        return task_type.checks(card, registry, beside)
    made: list[Check] = importlib.import_module(
        f"headwater.harness.conformance.{kind.value}"
    ).checks(card, registry)
    return made


def conformance_cases(plugin: PluginLike | Registry) -> list[ParameterSet]:
    """Every check of every card of a plugin (a file, folder, module or card) or registry, for pytest.mark.parametrize.

    Raises BadPlugin where the plugin cannot be imported.
    """
    import pytest

    registry = plugin if isinstance(plugin, Registry) else Registry.discover([plugin])
    cards = _all(registry) if isinstance(plugin, Registry) else own_cards(registry)
    return [
        pytest.param(check, id=f"{check.card}-{check.name}")
        for card in cards
        for check in checks(card, registry)
    ]


def own_cards(registry: Registry) -> list[Card]:
    """The cards that the registry's own plugins bring; raises BadPlugin for one that could not be used."""
    bundled = Registry.discover()
    known = {problem.plugin for problem in bundled.problems}
    for problem in registry.problems:
        if problem.plugin not in known:
            raise BadPlugin(
                f"{problem.plugin}: {problem.reason}",
                subject=problem.plugin,
                hint="Mend the file and check it again.",
            )
    derived = registry.cards[Kind.ESTIMATOR]  # an estimator's selector is not another card to check
    found = [card for card in _all(registry) if card.name not in bundled.cards[card.kind]]
    found = [card for card in found if not (card.kind is Kind.SELECTOR and card.name in derived)]
    if not found:
        hint = (
            "Decorate a function at the file's top level: headwater new source my/model shows how."
        )
        raise BadPlugin("the plugin registers nothing", hint=hint)
    return found


def _all(registry: Registry) -> list[Any]:
    return [card for cards in registry.cards.values() for card in cards.values()]


def _domain_is_known(card: Domain, registry: Registry) -> str:
    unknown = [name for name in card.within if name not in registry.cards[Kind.DOMAIN]]
    if unknown:
        raise BadPlugin(
            f"it is within {unknown[0]!r}, which is not a domain",
            hint="See: headwater list domains.",
        )
    return f"within {', '.join(card.within)}" if card.within else "registered"
