"""Forecasts what jobs will cost, from what like jobs cost before."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headwater.harness.planning.job import Job
from headwater.leaderboard import JobCost
from headwater.registry import SourceModel

FIXED_IMAGES = 200
"""What a job costs besides its training, in training images: building the network, validation, the
test split."""

SPREAD_OF_ONE_PRECEDENT = 0.5
"""Standard deviation assumed where only one precedent is known, as a share of its time."""


@dataclass(frozen=True)
class Forecast:
    """The expected cost of jobs, in seconds of work.

    Attributes:
        seconds: Work of the jobs that have a precedent.
        spread: Standard deviation of ``seconds``.
        known: How many jobs have a precedent.
        unknown: How many have none.
        recorded: How many jobs the store has times of.
    """

    seconds: float
    spread: float
    known: int
    unknown: int
    recorded: int


@dataclass(frozen=True)
class Effort:
    """The coordinates of a job, and its work.

    ``work`` is images times pixels, fixed costs included; None if the number of images is not
    known.
    """

    kind: str
    adaptation: str
    architecture: str
    task: str
    size: str
    source: str
    work: float | None

    def key(self, level: int) -> tuple[str, ...]:
        """Return the coordinates without the last ``level`` of them."""
        coordinates = (
            self.kind,
            self.adaptation,
            self.architecture,
            self.task,
            self.size,
            self.source,
        )
        return coordinates[: len(coordinates) - level]


LEVELS = 6
"""From the same cell with another seed (0) to another job of the same kind (5)."""

Precedent = tuple[float, float | None]
"""Seconds and work of a job that was done."""


def forecast(
    jobs: Iterable[Job], history: Sequence[JobCost], sources: Mapping[str, SourceModel]
) -> Forecast:
    """Add up over jobs the median time of their nearest precedents, scaled by work.

    The nearest precedents are those of the same cell with another seed, else of another source of
    the same architecture, another size, another task, another architecture, another adaptation.

    Args:
        jobs: The jobs to run.
        history: What jobs cost before.
        sources: The sources of the jobs by name, for their architectures.
    """
    tables = [_precedents(history, level) for level in range(LEVELS)]
    total = 0.0
    variance = 0.0
    with_precedent = 0
    without_precedent = 0
    for job in jobs:
        effort = effort_of(job, sources)
        precedents = _nearest(effort, tables)
        if not precedents:
            without_precedent += 1
            continue
        with_precedent += 1
        times = [_scaled(precedent, effort.work) for precedent in precedents]
        # The median: one job on a busy machine must not stretch the forecast of all others.
        total += statistics.median(times)
        # Jobs are taken to vary independently, so their variances add.
        if len(times) > 1:
            variance += statistics.pvariance(times)
        else:
            variance += (SPREAD_OF_ONE_PRECEDENT * times[0]) ** 2
    return Forecast(
        seconds=total,
        spread=variance**0.5,
        known=with_precedent,
        unknown=without_precedent,
        recorded=len(history),
    )


def effort_of(job: Job, sources: Mapping[str, SourceModel]) -> Effort:
    """Return the coordinates of a job by which precedents are looked up."""
    record = job.record
    source = sources.get(record.source)
    return Effort(
        kind=record.kind,
        adaptation=record.analysis or record.adaptation,
        architecture=source.architecture if source else "",
        task=record.task,
        size=record.size,
        source=record.source,
        work=work_of(job.images, job.image_size),
    )


def work_of(images: float | None, image_size: int | None) -> float | None:
    """Return images times pixels, with the fixed cost of a job; None if either is not known."""
    if images is None or not image_size:
        return None
    return (images + FIXED_IMAGES) * image_size**2


def _nearest(
    effort: Effort, tables: Sequence[Mapping[tuple[str, ...], list[Precedent]]]
) -> list[Precedent]:
    for level, table in enumerate(tables):
        precedents = table.get(effort.key(level))
        if precedents:
            return precedents
    return []


def _scaled(precedent: Precedent, work: float | None) -> float:
    """Return the time of a precedent for another amount of work."""
    seconds, precedent_work = precedent
    # Of uncounted images the time as it stands is a better guess than none.
    if not work or not precedent_work:
        return seconds
    return seconds * (work / precedent_work)


def _precedents(history: Sequence[JobCost], level: int) -> dict[tuple[str, ...], list[Precedent]]:
    """Return the seconds and work of the jobs of each key."""
    table: dict[tuple[str, ...], list[Precedent]] = defaultdict(list)
    for cost in history:
        work = work_of(cost.images or None, cost.image_size)
        effort = Effort(
            kind=cost.kind,
            adaptation=cost.adaptation,
            architecture=cost.architecture,
            task=cost.task,
            size=cost.size,
            source=cost.source,
            work=work,
        )
        table[effort.key(level)].append((cost.seconds, work))
    return table
