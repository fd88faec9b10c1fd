"""Options: the keyword-only parameters of a plugin's function, set in brackets after its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from headwater.registry.errors import BadName
from headwater.registry.names import Name, Value, did_you_mean


def defaults_of(function: Callable[..., Any]) -> Mapping[str, Value]:
    """A plugin's options with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty
    }


def spelled(name: str, options: Mapping[str, Value], defaults: Mapping[str, Value]) -> str:
    """A name with those of its options that are not the defaults: one spelling for one thing."""
    return str(
        Name.of(name, {key: value for key, value in options.items() if value != defaults.get(key)})
    )


def check_options(name: str, given: Mapping[str, Value], known: Mapping[str, Value]) -> None:
    """Raise BadName for an option that does not exist or has another type than its default."""
    for key, value in given.items():
        if key not in known:
            options = ", ".join(known) or "none"
            raise BadName(
                f"{name} has no option {key!r}.{did_you_mean(key, known)}",
                subject=name,
                hint=f"Its options: {options}.",
            )
        if not _fits(value, known[key]):
            wanted = type(known[key]).__name__
            raise BadName(
                f"{name}[{key}={value}]: {key} wants a value of type {wanted}, such as {known[key]}",
                subject=name,
            )


def _fits(value: Value, default: Value) -> bool:
    if value is None or default is None:
        return True
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)
