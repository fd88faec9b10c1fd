"""Validate files of keys with a pydantic model, and explain each mistake by key and value."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from headwater.registry.errors import BadSpec

KeysAt = Callable[[list[Any]], Sequence[str]]
"""The keys of the section at a place."""

_M = TypeVar("_M", bound=BaseModel)


def validated(
    model: type[_M],
    keys: Mapping[str, Any],
    overrides: Mapping[str, Any],
    where: str,
    keys_at: KeysAt,
) -> _M:
    """Return the model of keys, sections merged key by key.

    Args:
        model: The pydantic model.
        keys: The keys as read from a file.
        overrides: Keys that win over the file's.
        where: What messages call the file.
        keys_at: Returns the keys of the section at a place.

    Raises:
        BadSpec: A key or a value is wrong; the message explains every mistake, one a line.
    """
    merged = dict(keys)
    for key, value in overrides.items():
        section = merged.get(key)
        if isinstance(value, Mapping) and isinstance(section, Mapping):
            merged[key] = {**section, **value}
        else:
            merged[key] = value
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        # All at once: a spec with three mistakes is mended in one go.
        mistakes = [explain(detail, where, keys_at) for detail in error.errors()]
        raise BadSpec("\n".join(mistakes), subject=where) from None


def explain(detail: Any, where: str, keys_at: KeysAt) -> str:
    """Return one of ``ValidationError.errors()`` in the words of the file.

    Args:
        detail: The error.
        where: What the message calls the file.
        keys_at: Returns the keys of the section at a place.
    """
    place = [part for part in detail["loc"] if not _is_pydantic_part(part)]
    key = ".".join(map(str, place))
    if len(place) == 2 and isinstance(place[1], int):
        key = f"{place[0]}[{place[1]}]"
    if detail["type"] == "extra_forbidden":
        keys = keys_at(place[:-1])
        close = difflib.get_close_matches(str(place[-1]), keys, n=1)
        suggestion = f" Did you mean {close[0]}?" if close else ""
        return f"{where}: {key} is not a key.{suggestion} Keys: {', '.join(keys)}."
    if detail["type"] == "missing":
        return f"{where}: {key} is missing"
    message = _IN_TOML.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
    if not place:
        return f"{where}: {message}"
    return f"{where}: {key} = {detail['input']!r}: {message[0].lower()}{message[1:]}"


_IN_TOML = {
    "tuple_type": "input should be a list",
    "model_type": "input should be a section of keys",
    "model_attributes_type": "input should be a section of keys",
    "dict_type": "input should be a section of keys",
}
"""What pydantic calls by Python's names."""


def _is_pydantic_part(part: object) -> bool:
    """Return whether a part of a place names a branch of the model's types, not a key or index."""
    # In a union pydantic tells each branch that it tried: ("sizes", 0, "constrained-int").
    if not isinstance(part, str):
        return False
    return part in ("int", "str") or part.startswith(("literal", "constrained", "function-"))
