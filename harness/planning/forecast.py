"""Forecasts: what jobs will cost, from what like jobs cost before."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headwater.harness.planning.job import Job
from headwater.leaderboard import JobCost
from headwater.registry import SourceModel

FIXED = 200
"""What a job costs besides its training, in training images: building the network, validation, the test split."""


@dataclass(frozen=True)
class Forecast:
    """``seconds`` of work for the jobs that have a precedent; ``unknown`` jobs have none."""

    seconds: float
    spread: float
    known: int
    unknown: int
    recorded: int


@dataclass(frozen=True)
class Effort:
    """A job's coordinates and its work: images times pixels, fixed costs included; None where the number of images is not known."""

    kind: str
    adaptation: str
    architecture: str
    task: str
    size: str
    source: str
    work: float | None

    def key(self, level: int) -> tuple[str, ...]:
        whole = (self.kind, self.adaptation, self.architecture, self.task, self.size, self.source)
        return whole[: len(whole) - level]


_LEVELS = 6


def forecast(
    jobs: Iterable[Job], history: Sequence[JobCost], sources: Mapping[str, SourceModel]
) -> Forecast:
    """Sum over jobs of the median of their nearest precedents, scaled by work: the same cell with another seed, else
    another source of that architecture, another size, another task, another adaptation, another architecture."""
    tables = [_table(history, level) for level in range(_LEVELS)]
    total, variance, known, unknown = 0.0, 0.0, 0, 0
    for job in jobs:
        effort = effort_of(job, sources)
        past = next(
            (rows for level in range(_LEVELS) if (rows := tables[level].get(effort.key(level)))),
            None,
        )
        if past is None:
            unknown += 1
            continue
        known += 1
        times = [
            seconds * (effort.work / work if effort.work and work else 1.0)
            for seconds, work in past
        ]
        total += statistics.median(times)
        variance += statistics.pvariance(times) if len(times) > 1 else (0.5 * times[0]) ** 2
    return Forecast(total, variance**0.5, known, unknown, len(history))


def effort_of(job: Job, sources: Mapping[str, SourceModel]) -> Effort:
    record = job.record
    source = sources.get(record.source)
    return Effort(
        str(record.kind),
        record.analysis or record.adaptation,
        source.architecture if source else "",
        record.task,
        record.size,
        record.source,
        work_of(job.images, job.image_size),
    )


def work_of(images: float | None, image_size: int | None) -> float | None:
    """Images times pixels, with what a job costs besides; None where either is not known."""
    return (images + FIXED) * image_size**2 if images is not None and image_size else None


def _table(
    history: Sequence[JobCost], level: int
) -> dict[tuple[str, ...], list[tuple[float, float | None]]]:
    """Seconds and work of the precedents of each key."""
    table: dict[tuple[str, ...], list[tuple[float, float | None]]] = defaultdict(list)
    for spent in history:
        work = work_of(spent.images or None, spent.image_size)
        effort = Effort(
            spent.kind,
            spent.adaptation,
            spent.architecture,
            spent.task,
            spent.size,
            spent.source,
            work,
        )
        table[effort.key(level)].append((spent.seconds, work))
    return table
