"""Every key of a spec as an option: ``--sizes 50,full``, ``--epochs 3``, ``--pretraining-epochs 5``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from pydantic import BaseModel

from harness.spec import Pretraining, Resources, Spec, Training
from registry.names import split_list

F = TypeVar("F", bound=Callable[..., Any])

_SECTIONS: dict[str, tuple[type[BaseModel], str]] = {
    "training": (Training, ""),
    "pretraining": (Pretraining, "pretraining_"),
    "resources": (Resources, ""),
}
_LISTS = ("sources", "tasks", "adaptations", "sizes", "seeds", "references", "plugins")


def spec_options(function: F) -> F:
    """Adds an option for each key; values are checked by the spec itself, so that the messages are the same."""
    options = [*_options(Spec, "", skip=(*_SECTIONS, "plugins"))]
    for section, (model, prefix) in _SECTIONS.items():
        options += _options(model, prefix, group=section)
    for option in reversed(options):
        function = option(function)
    return function


def _options(model: Any, prefix: str, skip: tuple[str, ...] = (), group: str = "") -> list[Callable[[F], F]]:
    made = []
    for key, field in model.model_fields.items():
        if key not in skip:
            name = f"{prefix}{key}"
            where = f" [{group}]" if group else ""
            flag = f"--{name.replace('_', '-')}"
            made.append(click.option(flag, name, metavar="VALUE", envvar=f"HEADWATER_{name.upper()}", help=f"{field.description}{where}"))
    return made


def overrides_of(values: dict[str, str | None]) -> dict[str, Any]:
    """The options that were given, as the keys of a spec."""
    found: dict[str, Any] = {}
    for key in Spec.model_fields:
        if key not in _SECTIONS and (value := values.get(key)) is not None:
            found[key] = _read_list(key, value) if key in _LISTS else value
    for section, (model, prefix) in _SECTIONS.items():
        given = {key: values[f"{prefix}{key}"] for key in model.model_fields if values.get(f"{prefix}{key}") is not None}
        if given:
            found[section] = given
    return found


def _read_list(key: str, text: str) -> Any:
    parts = split_list(text)
    if key == "seeds" and len(parts) == 1 and "," not in text and parts[0].isdigit():
        return int(parts[0])  # a count, as in the file; one single seed is written "3,"
    return [int(part) if part.isdigit() else part for part in parts]
