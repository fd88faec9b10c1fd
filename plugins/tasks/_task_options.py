"""Options in brackets after a data set's name: facts for its card, how its targets are written, and
the provider's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headwater import BadName, Kind, Value, check_options, split_list

if TYPE_CHECKING:
    from headwater import Name, Registry, TaskType

FACTS: dict[str, Value] = {
    "classes": "cat+dog",
    "domain": "aerial",
    "family": "pacs",
    "licence": "mit",
    "metric": "accuracy",
    "mirror": True,
    "type": "classification",
    "unit": "years",
}
"""Options that are fields of a task's card, with an example each."""
COLUMNS: dict[str, Value] = {"image": "image", "label": "label"}
"""Options that name a data set's columns, with an example each."""


@dataclass(frozen=True)
class Form:
    """The options of a provider's tasks.

    Attributes:
        own: the provider's options beside ``FACTS``, with an example each.
        types: the task types that it holds, the first by default, each with those options that not
            all types have; empty if it holds any type.
        fixed: conventions that the format decides.
    """

    own: Mapping[str, Value]
    types: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fixed: Sequence[str] = ()

    def options(self, task_type: TaskType) -> dict[str, Value]:
        """Return the options of its tasks of a type, with an example of each."""
        of_some_types = {key for keys in self.types.values() for key in keys}
        of_others = of_some_types - set(self.types.get(task_type.name, ()))
        conventions = dict(task_type.conventions)
        for key in self.fixed:
            conventions.pop(key, None)
        options = {**FACTS, **self.own, **conventions}
        return {key: value for key, value in options.items() if key not in of_others}


def facts_of(name: Name, registry: Registry, form: Form) -> tuple[dict[str, Any], dict[str, Value]]:
    """Return the fields of a Task, and the provider's own options, from a task's name.

    An option that is none counts as not given.

    Raises:
        UnknownName: the task type does not exist.
        BadName: the provider does not hold the type, or its tasks of that type do not have an
            option.
    """
    options = {key: value for key, value in name.options if value is not None}
    default = next(iter(form.types), FACTS["type"])
    task_type = registry.task_type(str(options.get("type") or default))
    if form.types and task_type.name not in form.types:
        prefix = name.stem.partition("/")[0]
        raise BadName(
            f"{prefix}/ holds no {task_type.name}",
            subject=name.stem,
            hint=f"Its types: {', '.join(form.types)}.",
        )
    _check(name, registry, form, task_type)
    facts: dict[str, Any] = {}
    conventions: dict[str, Value] = {}
    own: dict[str, Value] = {}
    for key, value in options.items():
        is_convention = key in task_type.conventions
        # How depth maps are written is their unit too: there the option says that alone.
        if key in COLUMNS or (key in FACTS and not is_convention):
            facts[key] = value
        elif key in form.own:
            own[key] = value
        if is_convention:
            conventions[key] = value
    facts["type"] = task_type.name
    facts["conventions"] = conventions
    if "classes" in facts:
        facts["classes"] = tuple(split_list(str(facts["classes"]), "+"))
    return facts, own


def _check(name: Name, registry: Registry, form: Form, task_type: TaskType) -> None:
    """Raise BadName for an option that tasks of the type do not have, naming a type that has it."""
    allowed = form.options(task_type)
    try:
        check_options(name.stem, dict(name.options), allowed)
    except BadName as error:
        for key, _ in name.options:
            if key in allowed:
                continue
            types_with_option = _types_with_option(key, registry, form)
            if types_with_option:
                first = types_with_option[0]
                raise BadName(
                    f"{name.stem} has no option {key!r} as {task_type.name}",
                    subject=name.stem,
                    hint=f"{key} is an option of {first}: type={first}. "
                    f"Those of {task_type.name}: {', '.join(allowed)}.",
                ) from None
        raise error


def _types_with_option(key: str, registry: Registry, form: Form) -> list[str]:
    """Return the task types of a provider that have an option."""
    names = form.types or registry.cards[Kind.TASK_TYPE]
    types = [registry.task_type(name) for name in names]
    return [task_type.name for task_type in types if key in form.options(task_type)]
