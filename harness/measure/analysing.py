"""Analyse jobs: one analysis of one cell's networks, read off after they were trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from headwater.harness.measure.anatomy.barrier import barrier
from headwater.harness.measure.anatomy.block_shuffle import block_shuffle
from headwater.harness.measure.anatomy.criticality import criticality
from headwater.harness.measure.anatomy.distance import distance
from headwater.harness.measure.anatomy.mistakes import mistakes
from headwater.harness.measure.anatomy.networks import Networks
from headwater.harness.measure.anatomy.similarity import similarity
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Reading

ANALYSES: Mapping[str, Callable[[Networks, Mapping[str, Any]], list[Reading]]] = {
    "barrier": barrier,
    "block_shuffle": block_shuffle,
    "criticality": criticality,
    "distance": distance,
    "mistakes": mistakes,
    "similarity": similarity,
}


def analyse(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Do the job's analysis; raises NotApplicable where its networks cannot be compared in that way."""
    networks = Networks(job, bench, report)
    readings = ANALYSES[job.record.analysis](networks, job.record.options)
    return JobResult(readings=tuple(readings), images=networks.images)
