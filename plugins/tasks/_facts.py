"""What a user says of a data set in brackets after its name: facts for its card, how its targets are written, and the provider's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry.card import Kind
from registry.errors import BadName
from registry.names import Value, split_list
from registry.options import check_options

if TYPE_CHECKING:
    from registry import Name, Registry, TaskType

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
    name: Name, registry: Registry, own: Mapping[str, Value], default: str = "classification"
) -> tuple[dict[str, Any], dict[str, Value]]:
    """(fields of a Task, the provider's ``own`` options), from a task's name.

    Its task type, ``default`` where none is given, adds the conventions of its targets to the options. Raises UnknownName for a type
    that does not exist, BadName for an option that does not, with what was meant.
    """
    options = dict(name.options)
    task_type = registry.task_type(str(options.get("type", default)))
    _check(name, options, {**FACTS, **own, **task_type.conventions}, registry, task_type)
    facts: dict[str, Any] = {key: value for key, value in options.items() if key in FACTS or (key in COLUMNS and key in own)}
    facts["type"] = task_type.name
    facts["conventions"] = {key: value for key, value in options.items() if key in task_type.conventions}
    if "classes" in facts:
        facts["classes"] = tuple(split_list(str(facts["classes"]), "+"))
    return facts, {key: value for key, value in options.items() if key in own and key not in facts}


def _check(name: Name, options: Mapping[str, Value], known: Mapping[str, Value], registry: Registry, task_type: TaskType) -> None:
    try:
        check_options(name.stem, options, known)
    except BadName as error:
        for other in registry.cards[Kind.TASK_TYPE].values():
            for key in set(options) - set(known):
                if key in getattr(other, "conventions", {}):
                    hint = f"It is one of {other.name}: add type={other.name}."
                    raise BadName(f"{name.stem} has no option {key!r} as {task_type.name}", subject=name.stem, hint=hint) from None
        raise error
