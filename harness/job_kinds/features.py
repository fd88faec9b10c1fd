"""Features jobs: a frozen source looks once at the images of a task."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.registry.cards.job_kind import job_kind

if TYPE_CHECKING:
    from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
    from headwater.harness.planning.files import Files
    from headwater.harness.planning.job import Job


def _files(job: Job, files: Files) -> Iterable[Path]:
    """Return the arrays of the splits; of a subset of the training images, only those."""
    splits = ("train",) if job.record.size else ("train", "test")
    return [files.features(job.id, split) for split in splits]


@job_kind("features", role="dependency", plural="feature sets", files=_files, code="headwater")
def features(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Extract the features that probes and estimators read."""
    from headwater.harness.measure import features

    return features.extract(job, bench, report)
