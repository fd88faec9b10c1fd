"""What a user says of a data set in brackets after its name: facts for its card, how its targets are written, and the provider's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from registry.card import Kind
from registry.errors import BadName
from registry.names import Value, split_list
from registry.options import check_options

if TYPE_CHECKING:
    from registry import Card, Name, Registry, TaskType

FACTS: dict[str, Value] = {
    "classes": "cat+dog",
    "domain": "aerial",
    "licence": "mit",
    "metric": "accuracy",
    "mirror": True,
    "type": "classification",
}
COLUMNS: dict[str, Value] = {"image": "image", "label": "label"}


def facts_of(
    name: Name, registry: Registry, own: Mapping[str, Value], types: Sequence[str] = (), fixed: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Value]]:
    """(fields of a Task, the provider's ``own`` options), from a task's name.

    Its task type, one of ``types``, the first of them or classification where none is given, adds the conventions of its targets to the
    options, but for those that are ``fixed`` by the format. Raises UnknownName for a type that does not exist, BadName for an option
    that does not, with what was meant.
    """
    options = dict(name.options)
    task_type = registry.task_type(str(options.get("type", types[0] if types else FACTS["type"])))
    if types and task_type.name not in types:
        form = name.stem.partition("/")[0]
        raise BadName(f"{form}/ holds no {task_type.name}", subject=name.stem, hint=f"Its types: {', '.join(types)}.")
    conventions = {key: value for key, value in task_type.conventions.items() if key not in fixed}
    _check(name, options, {**FACTS, **own, **conventions}, registry, task_type)
    facts: dict[str, Any] = {key: value for key, value in options.items() if key in FACTS or (key in COLUMNS and key in own)}
    facts["type"] = task_type.name
    facts["conventions"] = {key: value for key, value in options.items() if key in conventions}
    if "classes" in facts:
        facts["classes"] = tuple(split_list(str(facts["classes"]), "+"))
    return facts, {key: value for key, value in options.items() if key in own and key not in facts}


def _check(name: Name, options: Mapping[str, Value], known: Mapping[str, Value], registry: Registry, task_type: TaskType) -> None:
    try:
        check_options(name.stem, options, known)
    except BadName as error:
        for key in sorted(set(options) - set(known)):
            if others := [card.name for card in registry.cards[Kind.TASK_TYPE].values() if _writes(card, key) and card is not task_type]:
                hint = f"It is one of {others[0]}: add type={others[0]}."
                raise BadName(f"{name.stem} has no option {key!r} as {task_type.name}", subject=name.stem, hint=hint) from None
        raise error


def _writes(card: Card, key: str) -> bool:
    return key in getattr(card, "conventions", ())
