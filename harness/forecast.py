"""Forecasts: what jobs will cost, from what like jobs cost before."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.job import Job
from leaderboard import JobRecord, Spent


@dataclass(frozen=True)
class Forecast:
    """``seconds`` of work for the jobs that have a precedent; ``unknown`` jobs have none."""

    seconds: float
    spread: float
    known: int
    unknown: int
    recorded: int


def forecast(jobs: Iterable[Job], history: Sequence[Spent]) -> Forecast:
    """Sum over jobs of the median of the nearest precedents: same coordinates, else without source, task, size."""
    tables = [_table(history, level) for level in range(_LEVELS)]
    total, variance, known, unknown = 0.0, 0.0, 0, 0
    for job in jobs:
        past = next((times for level in range(_LEVELS) if (times := tables[level].get(_key(job.record, level)))), None)
        if past is None:
            unknown += 1
            continue
        known += 1
        total += statistics.median(past)
        variance += statistics.pvariance(past) if len(past) > 1 else (0.5 * past[0]) ** 2
    return Forecast(total, variance**0.5, known, unknown, len(history))


_LEVELS = 4


def _key(of: Spent | JobRecord, level: int) -> tuple[str, ...]:
    whole = (str(of.kind), of.adaptation, of.size, of.task, of.source)
    return whole[: len(whole) - level]


def _table(history: Sequence[Spent], level: int) -> dict[tuple[str, ...], list[float]]:
    table: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for spent in history:
        table[_key(spent, level)].append(spent.seconds)
    return table
