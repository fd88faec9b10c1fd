"""What all cards share: a name, a summary, and the code they stand for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The kinds of card, by the word the command line uses."""

    SOURCE = "source"
    TASK = "task"
    ADAPTATION = "adaptation"
    ESTIMATOR = "estimator"
    SELECTOR = "selector"
    TASK_TYPE = "task-type"
    DOMAIN = "domain"

    @property
    def plural(self) -> str:
        return f"{self.value}s"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A named thing that a plugin offers.

    ``code`` is the fingerprint of the plugin's source (see headwater.registry.identity), so that editing a
    plugin gives its jobs new identities; ``origin`` is the file it came from.
    """

    name: str
    summary: str = ""
    code: str = field(default="", repr=False)
    origin: str = field(default="", repr=False)

    def facts(self) -> dict[str, Any]:
        """The card's plain fields: what the store keeps and ``headwater info`` shows."""
        return {
            f.name: value
            for f in fields(self)
            if not callable(value := getattr(self, f.name)) and f.name != "code"
        }


def first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]
