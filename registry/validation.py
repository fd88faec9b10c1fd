"""Files of keys: overrides merged in, checked by a pydantic model, and what was wrong said by key,
value and what is allowed.
"""

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
    """A model of these keys, ``overrides`` winning and sections merged key by key; raises BadSpec
    explaining every mistake.
    """
    merged = dict(keys)
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = {**merged[key], **value} if both else value
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        raise BadSpec(
            "\n".join(explain(detail, where, keys_at) for detail in error.errors()), subject=where
        ) from None


def explain(detail: Any, where: str, keys_at: KeysAt) -> str:
    """Return one of ``ValidationError.errors()`` in the words of the file; ``keys_at`` lists the
    keys of the section at a place.
    """
    place = [
        part
        for part in detail["loc"]
        if not (isinstance(part, str) and part.startswith(("literal", "constrained", "function-")))
    ]
    place = [part for part in place if part not in ("int", "str")]
    key = (
        ".".join(str(part) for part in place).replace(".", "[", 1) + "]"
        if _indexed(place)
        else ".".join(map(str, place))
    )
    if detail["type"] == "extra_forbidden":
        known = keys_at(place[:-1])
        close = difflib.get_close_matches(str(place[-1]), known, n=1)
        meant = f" Did you mean {close[0]}?" if close else ""
        return f"{where}: {key} is not a key.{meant} Keys: {', '.join(known)}."
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


def _indexed(place: list[Any]) -> bool:
    return len(place) == 2 and isinstance(place[1], int)
