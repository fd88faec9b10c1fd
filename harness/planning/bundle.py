"""Bundles: jobs that one worker solves in one call. See docs/decisions/bundles.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headwater.harness.planning.job import Job

Bundle = tuple[Job, ...]

MAX_JOBS_PER_BUNDLE = 64
"""Bounds what an interruption costs, and leaves other workers something to do."""


def bundle_label(bundle: Bundle, labels: Mapping[str, str] | None = None) -> str:
    """Return the label of the first job and how many more there are.

    Args:
        bundle: The jobs.
        labels: Labels by job to use instead of the jobs' own.
    """
    first = bundle[0]
    label = labels[first.id] if labels else first.label
    if len(bundle) == 1:
        return label
    return f"{label} and {len(bundle) - 1} more"


def share_seconds(seconds: float, images: Sequence[int]) -> list[float]:
    """Divide the wall time of a bundle among its jobs.

    Args:
        seconds: The wall time.
        images: Training images that each job was allowed.

    Returns:
        Seconds of each job in proportion to its images; equal parts if no job was allowed any.
    """
    total = sum(images)
    if not total:
        return [seconds / len(images)] * len(images)
    return [seconds * count / total for count in images]
