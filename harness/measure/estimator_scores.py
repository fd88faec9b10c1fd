"""Estimate jobs: a transferability score of one source on one subset of one task, from cached features."""

from __future__ import annotations

import numpy as np

from headwater.harness.measure.features import rows_of
from headwater.harness.measure.probing import probe_of
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Measurement
from headwater.registry import Evidence
from headwater.registry.errors import NotApplicable


def estimate(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Score a source's features of the target's training images; raises NotApplicable where the score is not defined for them."""
    card, options = bench.registry.estimator(job.record.adaptation)
    evidence = bench.evidence(job, lambda: evidence_of(job, bench))
    task, size = bench.registry.task(job.record.task), job.record.size
    if (
        card.needs_source_probabilities
        and evidence.source_probabilities is None
        and bench.task_type(task).dense
    ):
        raise NotApplicable(
            f"{card.name} needs the source's own classes at places of an image, and it knows those of whole images only"
        )
    score = card.of(evidence, **options)
    values = score.parts or {"score": float(score)}
    return JobResult(
        metrics=tuple(Measurement("train", name, value) for name, value in values.items()),
        train_images=len(bench.prepared(task, job.image_size).train)
        if size == "full"
        else int(size),
        choice={"features": job.features},
        note=score.note,
    )


def evidence_of(job: Job, bench: Workbench) -> Evidence:
    """The features of the subset's images, or of places in them, with their labels and the source's probabilities."""
    assert job.features is not None, (
        "the planner gives every estimate a job that extracts its features"
    )
    task = bench.registry.task(job.record.task)
    prepared, task_type = bench.prepared(task, job.image_size), bench.task_type(task)
    rows = rows_of(job.record.size, job.record.seed, task, prepared, bench)
    if job.record.size not in ("full", str(len(rows))):
        raise NotApplicable(
            f"{task.name}: only {len(rows)} training images, {job.record.size} asked for",
            subject=task.name,
        )
    extracted = (
        rows_of(job.extracted, job.record.seed, task, prepared, bench)
        if job.extracted
        else np.arange(len(prepared.train))
    )
    places, labels = np.searchsorted(extracted, rows), prepared.train.targets[rows]
    if task_type.probed_as:
        probe = probe_of(task, task_type, prepared, rows)
        labels = probe.labels
        places = places[probe.image] if probe.places is None else np.arange(len(labels))
    features = np.load(bench.files.features(job.features, "train"), mmap_mode="r")
    path = bench.files.features(job.features, "probabilities")
    probabilities = np.load(path, mmap_mode="r") if path.is_file() else None
    if not np.array_equal(
        places, np.arange(len(features))
    ):  # of all of them the mapped file itself is what estimators stream
        features, probabilities = (
            features[places],
            None if probabilities is None else probabilities[places],
        )
    return Evidence.of(features, labels, probabilities, task_type.probed_as or task.type)
