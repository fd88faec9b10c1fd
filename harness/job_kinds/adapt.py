"""Adapt jobs: the cells of a benchmark."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.registry.cards.job_kind import job_kind

if TYPE_CHECKING:
    from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
    from headwater.harness.planning.files import Files
    from headwater.harness.planning.job import Job


def _batch_key(job: Job) -> Hashable:
    """Put together the cells that read the same frozen features in the same way."""
    if job.features is None:
        return None
    return job.features, job.record.adaptation, job.record.protocol


def _files(job: Job, files: Files) -> Iterable[Path]:
    return [files.checkpoint(job.id)] if job.keep else []


def _run_batch(
    jobs: Sequence[Job], bench: Workbench, report: ReportProgress
) -> Sequence[JobResult | Exception]:
    from headwater.harness.measure.feature_solving import solve

    return solve(tuple(jobs), bench, report)


@job_kind(
    "adapt",
    role="cell",
    plural="cells",
    files=_files,
    batch_key=_batch_key,
    run_batch=_run_batch,
    code="headwater",  # MEASURE_VERSION stands for the harness's own code
)
def adapt(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Adapt a source to a task and measure the network on the test images."""
    from headwater.harness.measure import adapting

    return adapting.adapt(job, bench, report)
