"""Outcomes: the DuckDB store, SQL views over it, statistics, terminal tables. Needs neither torch nor ray."""

from leaderboard.recorder import Recorder
from leaderboard.records import CurvePoint, JobKind, JobRecord, Measurement, Outcome, RunRecord, State
from leaderboard.sandbox import Result
from leaderboard.store import JobState, Spent, Store

__all__ = [
    "CurvePoint",
    "JobKind",
    "JobRecord",
    "JobState",
    "Measurement",
    "Outcome",
    "Recorder",
    "Result",
    "RunRecord",
    "Spent",
    "State",
    "Store",
]
