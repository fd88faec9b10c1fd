"""What a user says of a data set in brackets after its name: facts for its card, how its targets are written, and the provider's own."""

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
    "licence": "mit",
    "metric": "accuracy",
    "mirror": True,
    "type": "classification",
}
COLUMNS: dict[str, Value] = {"image": "image", "label": "label"}


@dataclass(frozen=True)
class Form:
    """What may be said of a provider's tasks.

    ``own``: its options beside ``FACTS``. ``types``: the task types that it holds, the first of them where none is said, each with those
    options that not all types have; none: it holds any. ``fixed``: conventions that the format decides.
    """

    own: Mapping[str, Value]
    types: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fixed: Sequence[str] = ()

    def options(self, task_type: TaskType) -> dict[str, Value]:
        """Those of its tasks of a type, with an example of each."""
        conventions = {
            key: value for key, value in task_type.conventions.items() if key not in self.fixed
        }
        some = {key for keys in self.types.values() for key in keys} - set(
            self.types.get(task_type.name, ())
        )
        return {
            key: value
            for key, value in {**FACTS, **self.own, **conventions}.items()
            if key not in some
        }


def facts_of(name: Name, registry: Registry, form: Form) -> tuple[dict[str, Any], dict[str, Value]]:
    """(fields of a Task, the provider's own options), from a task's name; what is said to be none is not said.

    Raises UnknownName for a type that does not exist, BadName for one that the provider does not hold, and for an option that its tasks
    of that type do not have, with what was meant.
    """
    said = dict(name.options)
    task_type = registry.task_type(str(said.get("type") or next(iter(form.types), FACTS["type"])))
    if form.types and task_type.name not in form.types:
        prefix = name.stem.partition("/")[0]
        raise BadName(
            f"{prefix}/ holds no {task_type.name}",
            subject=name.stem,
            hint=f"Its types: {', '.join(form.types)}.",
        )
    _check(name, registry, form, task_type)
    facts: dict[str, Any] = {
        key: value
        for key, value in said.items()
        if value is not None and (key in FACTS or key in COLUMNS)
    }
    facts["type"] = task_type.name
    facts["conventions"] = {
        key: value
        for key, value in said.items()
        if value is not None and key in task_type.conventions
    }
    if "classes" in facts:
        facts["classes"] = tuple(split_list(str(facts["classes"]), "+"))
    return facts, {
        key: value
        for key, value in said.items()
        if value is not None and key in form.own and key not in COLUMNS
    }


def _check(name: Name, registry: Registry, form: Form, task_type: TaskType) -> None:
    known = form.options(task_type)
    try:
        check_options(name.stem, dict(name.options), known)
    except BadName as error:
        types = [registry.task_type(kind) for kind in form.types or registry.cards[Kind.TASK_TYPE]]
        for key, _ in name.options:
            others = [other.name for other in types if key in form.options(other)]
            if key not in known and others:
                hint = f"{key} is an option of {others[0]}: type={others[0]}. Those of {task_type.name}: {', '.join(known)}."
                raise BadName(
                    f"{name.stem} has no option {key!r} as {task_type.name}",
                    subject=name.stem,
                    hint=hint,
                ) from None
        raise error
