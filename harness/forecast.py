"""Forecasts: what jobs will cost, from what like jobs cost before."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.job import Job
from leaderboard.records import JobKind


@dataclass(frozen=True)
class Past:
    """A finished job's coordinates and wall seconds."""

    kind: str
    source: str
    task: str
    adaptation: str
    size: str
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """``seconds`` of work for the jobs that have a precedent; ``unknown`` jobs have none."""

    seconds: float
    spread: float
    known: int
    unknown: int
    recorded: int


def forecast(jobs: Iterable[Job], history: Sequence[Past]) -> Forecast:
    """Sum over jobs of the median of the nearest precedents: same coordinates, else without source, task, size."""
    tables = [_table(history, level) for level in range(_LEVELS)]
    total, variance, known, unknown = 0.0, 0.0, 0, 0
    for job in jobs:
        past = next((times for level in range(_LEVELS) if (times := tables[level].get(_key(_past(job), level)))), None)
        if past is None:
            unknown += 1
            continue
        known += 1
        total += statistics.median(past)
        variance += statistics.pvariance(past) if len(past) > 1 else (0.5 * past[0]) ** 2
    return Forecast(total, variance**0.5, known, unknown, len(history))


_LEVELS = 4


def _key(past: Past, level: int) -> tuple[str, ...]:
    whole = (past.kind, past.adaptation, past.size, past.task, past.source)
    return whole[: len(whole) - level]


def _table(history: Sequence[Past], level: int) -> dict[tuple[str, ...], list[float]]:
    table: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for past in history:
        table[_key(past, level)].append(past.seconds)
    return table


def _past(job: Job) -> Past:
    record = job.record
    return Past(JobKind(record.kind).value, record.source, record.task, record.adaptation, record.size, 0.0)
