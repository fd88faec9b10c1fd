"""Estimate jobs: a transferability score of one source on one subset of one task, from cached features."""

from __future__ import annotations

import numpy as np

from harness.job import Job
from harness.measure.features import rows_of
from harness.measure.tools import Findings, Progress, Tools
from leaderboard.records import Measurement
from registry import Evidence
from registry.errors import NotApplicable


def estimate(job: Job, tools: Tools, report: Progress) -> Findings:
    """Score a source's features of the target's training images; raises NotApplicable where the score is not defined for them."""
    card, options = tools.registry.estimator(job.record.adaptation)
    evidence = tools.evidence(job, lambda: evidence_of(job, tools))
    score = card.of(evidence, **options)
    values = score.parts or {"score": float(score)}
    return Findings(
        metrics=tuple(Measurement("train", name, value) for name, value in values.items()),
        train_images=len(evidence.features),
        choice={"features": job.features},
        note=score.note,
    )


def evidence_of(job: Job, tools: Tools) -> Evidence:
    """The features of the subset's images, with their labels and the source's probabilities."""
    assert job.features is not None, "the planner gives every estimate a job that extracts its features"
    task = tools.registry.task(job.record.task)
    prepared = tools.prepared(task, job.image_size)
    rows = rows_of(job.record.size, job.record.seed, task, prepared, tools)
    if job.record.size not in ("full", str(len(rows))):
        raise NotApplicable(f"{task.name}: only {len(rows)} training images, {job.record.size} asked for", subject=task.name)
    extracted = rows_of(job.extracted, job.record.seed, task, prepared, tools) if job.extracted else np.arange(len(prepared.train))
    places = np.searchsorted(extracted, rows)
    features = np.load(tools.files.features(job.features, "train"), mmap_mode="r")
    path = tools.files.features(job.features, "probabilities")
    probabilities = np.load(path, mmap_mode="r") if path.is_file() else None
    if len(places) < len(features):  # of all of them the mapped file itself is what estimators stream
        features, probabilities = features[places], None if probabilities is None else probabilities[places]
    return Evidence.of(features, prepared.train.targets[rows], probabilities, task.type)
