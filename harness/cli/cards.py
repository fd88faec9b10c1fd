"""Finding cards by what a user types, and saying which plugins could not be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from headwater.registry import Card, Kind, Metric, Registry, Task, TaskType


def read_kind(text: str) -> Kind:
    """Return a kind by its singular or plural; raises a usage error that names the nearest."""
    from headwater.registry import Kind
    from headwater.registry.names import did_you_mean

    word = text.lower().replace("_", "-")
    for kind in Kind:
        if word in (kind.value, kind.plural):
            return kind
    kinds = [*(kind.plural for kind in Kind), "benchmarks"]
    raise click.UsageError(
        f"{text!r} is not a kind of thing to list.{did_you_mean(word, kinds)} "
        f"Kinds: {', '.join(kinds)}."
    )


def cards_named(registry: Registry, name: str) -> list[Card]:
    """Return the cards of a name, of every kind that has one.

    Raises:
        UnknownName: No kind has the name; the message names the nearest of any kind.
    """
    from headwater.registry import Kind, Name
    from headwater.registry.errors import UnknownName

    stem = Name.parse(name).stem
    owning_kinds = [provider.kind for provider in registry.providers if provider.owns(stem)]
    cards: list[Card] = []
    errors: list[UnknownName] = []
    for kind in owning_kinds or Kind:
        try:
            cards.append(registry.get(kind, name))
        except UnknownName as error:
            errors.append(error)
    if cards:
        return cards
    if owning_kinds:  # the provider that owns the name knows best what is wrong with it
        raise errors[0]
    raise _unknown(registry, name)


def _unknown(registry: Registry, name: str) -> Exception:
    from headwater.registry import Kind
    from headwater.registry.errors import UnknownName
    from headwater.registry.names import did_you_mean

    # A name may stand for two kinds: every estimator is a selector too.
    names = dict.fromkeys(card.name for kind in Kind for card in registry.all(kind))
    hint = (
        "See what there is: headwater list sources, tasks, adaptations, estimators, selectors; "
        "a recorded job is named by 8 digits or more of its identity."
    )
    message = f"nothing is called {name!r}.{did_you_mean(name, list(names))}"
    return UnknownName(message, subject=name, hint=hint)


def report_problems(registry: Registry) -> None:
    """Print on stderr which plugins could not be used, and why."""
    for problem in registry.problems:
        click.echo(str(problem), err=True)


def type_and_metric(task: Task, registry: Registry) -> tuple[TaskType, Metric] | None:
    """Return a task's type and metric; None where either is unknown, as ``headwater check`` says."""
    from headwater.registry.errors import HeadwaterError

    try:
        task_type = registry.task_type(task.type)
        return task_type, task_type.metric(task.metric)
    except (HeadwaterError, KeyError):
        return None
