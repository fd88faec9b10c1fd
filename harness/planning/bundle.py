"""Bundles: jobs that one worker does together, because they share what costs most. See docs/decisions/bundles.md."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from headwater.harness.planning.job import Job

Bundle = tuple[Job, ...]

MOST = 64
"""Jobs in a bundle: what an interruption may cost stays small, and other workers find something to do."""


def batch_key(job: Job) -> Hashable:
    """What the jobs of a bundle have in common: frozen features, and the adaptation that reads them; None for a job done alone."""
    if job.kind != "adapt" or job.features is None:
        return None
    return job.features, job.record.adaptation, job.record.protocol


def label(bundle: Bundle, labels: dict[str, str] | None = None) -> str:
    """How people read it: the first job's label, and how many more there are."""
    first = labels[bundle[0].id] if labels else bundle[0].label
    return first if len(bundle) == 1 else f"{first} and {len(bundle) - 1} more"


def shares(seconds: float, images: Sequence[int]) -> list[float]:
    """Each cell's part of the bundle's wall time, in proportion to the images it was allowed; equal parts where none was."""
    total = sum(images)
    return (
        [seconds * count / total for count in images]
        if total
        else [seconds / len(images)] * len(images)
    )
