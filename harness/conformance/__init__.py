"""Checks of what a plugin promises. Third parties run them on theirs in three lines:

@pytest.mark.parametrize("check", hw.conformance.conformance_cases("my_models.py"))
def test_conforms(check):
    check()
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headwater.harness.conformance.check import Check, CheckResult, examine
from headwater.registry import Card, Domain, JobKind, Kind, Registry, Task, TaskType
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import BadPlugin

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

__all__ = ["Check", "CheckResult", "checks", "conformance_cases", "examine", "own_cards"]


def checks(card: Card, registry: Registry, beside: Sequence[Task] = ()) -> list[Check]:
    """Return the named checks of a card.

    Args:
        card: A card of any kind.
        registry: Where the cards that it names are looked up.
        beside: Tasks on which a task type is tried before registered ones of its type.
    """
    if isinstance(card, Domain):
        return [Check(card.name, "within", lambda: _domain_is_known(card, registry))]
    if isinstance(card, JobKind):
        return [Check(card.name, "runs", lambda: _takes_a_job(card))]
    if isinstance(card, TaskType):
        from headwater.harness.conformance import task_type

        return task_type.checks(card, registry, beside)
    kind = card.kind.value
    module = importlib.import_module(f"headwater.harness.conformance.{kind}")
    checks_of_kind: list[Check] = module.checks(card, registry)
    return checks_of_kind


def conformance_cases(plugin: PluginLike | Registry) -> list[ParameterSet]:
    """Return every check of every card of a plugin, for ``pytest.mark.parametrize``.

    Args:
        plugin: A file, folder, module or card; or a registry, for all of its cards.

    Raises:
        BadPlugin: The plugin cannot be imported, or registers nothing.
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
    """Return the cards that a registry has beside the bundled ones.

    Raises:
        BadPlugin: A plugin could not be used, or there are no such cards.
    """
    bundled = Registry.discover()
    bundled_problems = {problem.plugin for problem in bundled.problems}
    for problem in registry.problems:
        if problem.plugin not in bundled_problems:
            raise BadPlugin(
                str(problem),
                subject=problem.plugin,
                hint="Mend the file and check it again.",
            )
    estimators = registry.cards[Kind.ESTIMATOR]
    cards = []
    for card in _all(registry):
        is_bundled = card.name in bundled.cards[card.kind]
        # The selector that every estimator is too is not another card to check.
        is_derived = card.kind is Kind.SELECTOR and card.name in estimators
        if not is_bundled and not is_derived:
            cards.append(card)
    if not cards:
        hint = (
            "Decorate a function at the file's top level: headwater new source my/model shows how."
        )
        raise BadPlugin("the plugin registers nothing", hint=hint)
    return cards


def _all(registry: Registry) -> list[Any]:
    return [card for cards in registry.cards.values() for card in cards.values()]


def _takes_a_job(card: JobKind) -> str:
    """Check that the function takes the three arguments of a worker; only a plan can try it out."""
    try:
        inspect.signature(card.run).bind("job", "bench", "report")
    except TypeError as error:
        raise BadPlugin(
            f"{card.name} cannot be called as run(job, bench, report): {error}",
            subject=card.name,
            hint="Write def run(job, bench, report): return hw.JobResult(...)",
        ) from None
    return ""


def _domain_is_known(card: Domain, registry: Registry) -> str:
    unknown = [name for name in card.within if name not in registry.cards[Kind.DOMAIN]]
    if unknown:
        raise BadPlugin(
            f"it is within {unknown[0]!r}, which is not a domain",
            hint="See: headwater list domains.",
        )
    return f"within {', '.join(card.within)}" if card.within else "registered"
