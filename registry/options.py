"""Options: the keyword-only parameters of a plugin's function, set in brackets after its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from headwater.registry.errors import BadName
from headwater.registry.names import Name, Value, did_you_mean


def defaults_of(function: Callable[..., Any]) -> Mapping[str, Value]:
    """Return a plugin's options with their defaults."""
    options: dict[str, Value] = {}
    for parameter in inspect.signature(function).parameters.values():
        # What has no default is not an option: the harness passes it (a seed, say).
        has_default = parameter.default is not parameter.empty
        if parameter.kind is parameter.KEYWORD_ONLY and has_default:
            options[parameter.name] = parameter.default
    return options


def spelled(name: str, options: Mapping[str, Value], defaults: Mapping[str, Value]) -> str:
    """Return the one spelling of a name: with only those options that are not the defaults.

    Args:
        name: The name of a card, without options.
        options: All options of the card, or some of them.
        defaults: The defaults of the card's options.
    """
    # Identities hash this spelling: freeze and freeze[stages=2], 2 being the default, are one job.
    changed = {key: value for key, value in options.items() if value != defaults.get(key)}
    return str(Name.of(name, changed))


def check_options(name: str, options: Mapping[str, Value], defaults: Mapping[str, Value]) -> None:
    """Check the options that a name sets in brackets against those that its card has.

    Args:
        name: The name of the card.
        options: What the name sets.
        defaults: The defaults of all options of the card.

    Raises:
        BadName: An option does not exist, or its value is not of the default's type.
    """
    for key, value in options.items():
        if key not in defaults:
            names = ", ".join(defaults) or "none"
            raise BadName(
                f"{name} has no option {key!r}.{did_you_mean(key, defaults)}",
                subject=name,
                hint=f"Its options: {names}.",
            )
        default = defaults[key]
        if not _fits(value, default):
            wanted = type(default).__name__
            raise BadName(
                f"{name}[{key}={value}]: {key} wants a value of type {wanted}, such as {default}",
                subject=name,
            )


def _fits(value: Value, default: Value) -> bool:
    """Return whether a value is of its default's type; None stands for any type."""
    if value is None or default is None:
        return True
    if isinstance(default, float):
        # People write lr=1 for lr=1.0. A bool is an int to Python, but nobody means it as a number.
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)
