"""What was wrong with a file of keys: the key, its value and what is allowed, from pydantic's account of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any


def explain(detail: Any, where: str, keys_at: Callable[[list[Any]], Sequence[str]]) -> str:
    """One of ``ValidationError.errors()`` in the words of the file; ``keys_at`` lists the keys of the section at a place."""
    place = [part for part in detail["loc"] if not (isinstance(part, str) and part.startswith(("literal", "constrained", "function-")))]
    place = [part for part in place if part not in ("int", "str")]
    key = ".".join(str(part) for part in place).replace(".", "[", 1) + "]" if _indexed(place) else ".".join(map(str, place))
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
