"""Estimate jobs: transferability scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.registry.cards.job_kind import job_kind

if TYPE_CHECKING:
    from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
    from headwater.harness.planning.job import Job


# The note on an estimate is about its value, so the flaws of the data are not added to it.
@job_kind("estimate", role="goal", plural="estimates", notes_flaws=False, code="headwater")
def estimate(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Score a source by an estimator, from the features of the training images."""
    from headwater.harness.measure import estimator_scores

    return estimator_scores.estimate(job, bench, report)
