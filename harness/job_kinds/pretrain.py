"""Pretrain jobs: the source step of a chain."""

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
    return [files.checkpoint(job.id), files.heads(job.id)]


@job_kind("pretrain", role="dependency", plural="chains", files=_files, code="headwater")
def pretrain(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Train a base on the source tasks of a chain, and keep its weights and heads."""
    from headwater.harness.measure import pretraining

    return pretraining.pretrain(job, bench, report)
