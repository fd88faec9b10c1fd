"""Turn a table's values into text for people, and into what JSON can hold."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from typing import Any


def is_number(value: Any) -> bool:
    """Return whether a value is a number; a yes or no is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_nan(value: Any) -> bool:
    """Return whether a value is the float that is not a number."""
    return isinstance(value, float) and math.isnan(value)


def as_text(value: Any) -> str:
    """Write a value for people."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case datetime():
            return value.isoformat(" ", "seconds")
        case list() | dict() | tuple():
            return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what is not a number is null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case date():
            return value.isoformat()
    return str(value)


def printable(text: str) -> str:
    """Replace control characters: a plugin's message must not steer the terminal."""
    return "".join(mark if mark.isprintable() or mark == "\n" else "�" for mark in text)


SECONDS_SHOWN_AS_SUCH = 90
MINUTES_SHOWN_AS_SUCH = 90


def duration(seconds: float) -> str:
    """Return a duration in words: ``48 s``, ``14 min``, ``2 h 5 min``."""
    if seconds < SECONDS_SHOWN_AS_SUCH:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < MINUTES_SHOWN_AS_SUCH:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
