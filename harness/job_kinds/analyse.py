"""Analyse jobs: what transfer changed inside the networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.registry.cards.job_kind import job_kind

if TYPE_CHECKING:
    from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
    from headwater.harness.planning.job import Job


@job_kind("analyse", role="goal", plural="analyses", code="headwater")
def analyse(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Analyse the trained networks of a cell."""
    from headwater.harness.measure import analysing

    return analysing.analyse(job, bench, report)
