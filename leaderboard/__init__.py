"""Outcomes: the DuckDB store, SQL views over it, statistics, terminal tables. Needs neither torch nor ray.

Names are imported when first used: printing a table of sources needs no database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaderboard.recorder import Recorder
    from leaderboard.records import CurvePoint, JobKind, JobRecord, Measurement, Outcome, Reading, RunRecord, State, Trial
    from leaderboard.sandbox import Result
    from leaderboard.store import JobState, Spent, Store

_HOMES = {"Recorder": "recorder", "Result": "sandbox", "JobState": "store", "Spent": "store", "Store": "store"}
"""The module of each name; the others stand in ``records``."""

__all__ = [
    "CurvePoint",
    "JobKind",
    "JobRecord",
    "JobState",
    "Measurement",
    "Outcome",
    "Reading",
    "Recorder",
    "Result",
    "RunRecord",
    "Spent",
    "State",
    "Store",
    "Trial",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'leaderboard' has no attribute {name!r}")
    return getattr(importlib.import_module(f"leaderboard.{_HOMES.get(name, 'records')}"), name)
