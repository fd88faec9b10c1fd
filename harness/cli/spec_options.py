"""Every key of a spec as an option: ``--sizes 50,full``, ``--epochs 3``, ``--pretraining-epochs 5``."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click
from pydantic import BaseModel

from headwater.harness.planning.spec import SECTIONS, Spec
from headwater.registry.errors import BadSpec
from headwater.registry.names import split_list

F = TypeVar("F", bound=Callable[..., Any])

_SECTIONS: dict[str, tuple[type[BaseModel], str]] = {
    section: (model, "" if section in ("training", "resources") else f"{section}_")
    for section, model in SECTIONS.items()
}
_LISTS = ("sources", "tasks", "adaptations", "sizes", "seeds", "references", "plugins", "blocks")
_TABLES = ("space",)
"""Keys that are tables of their own: written as TOML, ``--tuning-space '{learning_rate = [0.1, 0.01]}'``."""


def spec_options(function: F) -> F:
    """Adds an option for each key; values are checked by the spec itself, so that the messages are the same."""
    options = [*_options(Spec, "", skip=(*_SECTIONS, "plugins"))]
    for section, (model, prefix) in _SECTIONS.items():
        options += _options(model, prefix, group=section)
    for option in reversed(options):
        function = option(function)
    return function


def chosen_options(keys: Collection[str], sections: Collection[str]) -> Callable[[F], F]:
    """Adds options for these keys only, and for all of these sections'."""

    def add(function: F) -> F:
        options = _options(Spec, "", skip=tuple(set(Spec.model_fields) - set(keys)))
        for section in sections:
            model, prefix = _SECTIONS[section]
            options += _options(model, prefix, group=section)
        for option in reversed(options):
            function = option(function)
        return function

    return add


def _options(
    model: Any, prefix: str, skip: tuple[str, ...] = (), group: str = ""
) -> list[Callable[[F], F]]:
    made = []
    for key, field in model.model_fields.items():
        if key not in skip:
            name = f"{prefix}{key}"
            where = f" [{group}]" if group else ""
            flag = f"--{name.replace('_', '-')}"
            made.append(
                click.option(
                    flag,
                    name,
                    metavar="VALUE",
                    envvar=f"HEADWATER_{name.upper()}",
                    help=f"{field.description}{where}",
                )
            )
    return made


def overrides_of(values: dict[str, str | None]) -> dict[str, Any]:
    """The options that were given, as the keys of a spec."""
    found: dict[str, Any] = {}
    for key in Spec.model_fields:
        if key not in _SECTIONS and (value := values.get(key)) is not None:
            found[key] = _read(key, value)
    for section, (model, prefix) in _SECTIONS.items():
        given = {
            key: _read(key, text)
            for key in model.model_fields
            if (text := values.get(f"{prefix}{key}")) is not None
        }
        if given:
            found[section] = given
    return found


def _read(key: str, text: str) -> Any:
    if key in _TABLES:
        return _read_table(key, text)
    return _read_list(key, text) if key in _LISTS else text


def _read_table(key: str, text: str) -> Any:
    try:
        return tomllib.loads(f"{key} = {text}")[key]
    except tomllib.TOMLDecodeError as error:
        hint = "Write --tuning-space '{learning_rate = [0.1, 0.01]}'."
        raise BadSpec(f"{text!r} is no TOML table: {error}", subject=text, hint=hint) from None


def _read_list(key: str, text: str) -> Any:
    parts = split_list(text)
    if key == "seeds" and len(parts) == 1 and "," not in text and parts[0].isdigit():
        return int(parts[0])  # a count, as in the file; one single seed is written "3,"
    return [int(part) if part.isdigit() else part for part in parts]
