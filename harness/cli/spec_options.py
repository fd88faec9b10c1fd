"""Every key of a spec as an option: ``--sizes 50,full``, ``--epochs 3``, ``--pretraining-epochs
5``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from headwater.harness.cli.verb import option
from headwater.harness.planning.spec import SECTIONS, Spec
from headwater.registry.errors import BadSpec
from headwater.registry.names import split_list

_F = TypeVar("_F", bound=Callable[..., Any])

WHAT_TO_MEASURE = "What to measure"
"""The section of the help that the spec's top-level keys stand in."""

_HELP_ORDER = ("training", "pretraining", "tuning", "chains", "anatomy", "resources")
_WITHOUT_PREFIX = ("training", "resources")
"""Sections whose keys are options by themselves: ``--epochs``, but ``--pretraining-epochs``."""

_LISTS = ("sources", "tasks", "adaptations", "sizes", "seeds", "references", "plugins", "blocks")
_TABLES = ("space",)
"""Keys that are tables, written as TOML: ``--tuning-space '{learning_rate = [0.1, 0.01]}'``."""


def spec_options(function: _F) -> _F:
    """Add an option for each key of a spec.

    Values are checked by the spec itself, so that its messages are the same for a file.
    """
    keys = set(Spec.model_fields) - set(SECTIONS) - {"plugins"}
    return chosen_options(keys, SECTIONS)(function)


def chosen_options(
    keys: Collection[str],
    sections: Collection[str],
    shown_defaults: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[_F], _F]:
    """Return a decorator that adds options for some keys of a spec.

    Args:
        keys: Top-level keys.
        sections: Sections, of which all keys are added.
        shown_defaults: Defaults of top-level keys where the verb's differ from the spec's.
    """

    def add(function: _F) -> _F:
        options = [
            _key_option(key, field, WHAT_TO_MEASURE, shown_defaults.get(key, ""))
            for key, field in Spec.model_fields.items()
            if key in keys
        ]
        for section in _HELP_ORDER:
            if section in sections:
                options += _section_options(section)
        for decorate in reversed(options):
            function = decorate(function)
        return function

    return add


def overrides_of(values: dict[str, str | None]) -> dict[str, Any]:
    """Return the options that were given, as the keys of a spec."""
    overrides: dict[str, Any] = {}
    for key in Spec.model_fields:
        text = values.get(key)
        if key not in SECTIONS and text is not None:
            overrides[key] = _read(key, text)
    for section, model in SECTIONS.items():
        texts = {key: values.get(_option_name(section, key)) for key in model.model_fields}
        keys = {key: _read(key, text) for key, text in texts.items() if text is not None}
        if keys:
            overrides[section] = keys
    return overrides


def _section_options(section: str) -> list[Callable[[_F], _F]]:
    return [
        _key_option(_option_name(section, key), field, section.capitalize())
        for key, field in SECTIONS[section].model_fields.items()
    ]


def _option_name(section: str, key: str) -> str:
    return key if section in _WITHOUT_PREFIX else f"{section}_{key}"


def _key_option(
    name: str, field: FieldInfo, section: str, shown_default: str = ""
) -> Callable[[_F], _F]:
    default = shown_default or _shown_default(field)
    shown = f"  [default: {default}]" if default else ""
    decorate: Callable[[_F], _F] = option(
        f"--{name.replace('_', '-')}",
        name,
        metavar="VALUE",
        envvar=f"HEADWATER_{name.upper()}",
        section=section,
        help=f"{field.description}{shown}",
    )
    return decorate


def _shown_default(field: FieldInfo) -> str:
    """Return a key's default as one would type it; empty for none, and for tables."""
    default = field.default
    if default is None or isinstance(default, dict | BaseModel):
        return ""
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default).lower() if isinstance(default, bool) else str(default)


def _read(key: str, text: str) -> Any:
    if key in _TABLES:
        return _read_table(key, text)
    return _read_list(key, text) if key in _LISTS else text


def _read_table(key: str, text: str) -> Any:
    try:
        return tomllib.loads(f"{key} = {text}")[key]
    except tomllib.TOMLDecodeError as error:
        hint = "Write --tuning-space '{learning_rate = [0.1, 0.01]}'."
        raise BadSpec(f"{text!r} is not a TOML table: {error}", subject=text, hint=hint) from None


def _read_list(key: str, text: str) -> Any:
    parts = split_list(text)
    is_one_number = len(parts) == 1 and "," not in text and parts[0].isdigit()
    if key == "seeds" and is_one_number:
        return int(parts[0])  # a count, as in the file; one single seed is written "3,"
    return [int(part) if part.isdigit() else part for part in parts]
