"""Flaws: what is wrong with an image's annotation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Flaw:
    """Something wrong with an image's annotation: ``what`` it is, and how it was ``handled``."""

    name: str
    what: str
    handled: str
