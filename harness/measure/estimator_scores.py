"""Run estimate jobs: score one source on one subset of one task, from features that were extracted
before.
"""

from __future__ import annotations

import numpy as np

from headwater.harness.data.prepared import Prepared
from headwater.harness.measure.features import rows_of
from headwater.harness.measure.probing import probe_of
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Measurement
from headwater.registry import Evidence, Task
from headwater.registry.errors import NotApplicable


def estimate(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Score a source's features of the target's training images.

    Raises:
        NotApplicable: The score is not defined for them.
    """
    card, options = bench.registry.estimator(job.record.adaptation)
    evidence = bench.evidence(job, lambda: evidence_of(job, bench))
    task = bench.registry.task(job.record.task)
    lacks_probabilities = evidence.source_probabilities is None
    if card.needs_source_probabilities and lacks_probabilities and bench.task_type(task).dense:
        raise NotApplicable(
            f"{card.name} needs the source's own classes at places of an image, "
            "and it knows those of whole images only"
        )
    score = card.of(evidence, **options)
    values = score.parts or {"score": float(score)}
    size = job.record.size
    if size == "full":
        train_images = len(bench.prepared(task, job.image_size).train)
    else:
        train_images = int(size)
    return JobResult(
        metrics=tuple(Measurement("train", name, value) for name, value in values.items()),
        train_images=train_images,
        choice={"features": job.features},
        note=score.note,
    )


def evidence_of(job: Job, bench: Workbench) -> Evidence:
    """Return what an estimator looks at: features of the subset's images, or of places in them,
    with labels.

    The source's probabilities are added where its feature job wrote any.

    Raises:
        NotApplicable: The task has fewer images than the subset.
    """
    assert job.features is not None, (
        "the planner gives every estimate a job that extracts its features"
    )
    task = bench.registry.task(job.record.task)
    task_type = bench.task_type(task)
    prepared = bench.prepared(task, job.image_size)
    size = job.record.size
    rows = rows_of(size, job.record.seed, task=task, prepared=prepared, bench=bench)
    if size not in ("full", str(len(rows))):
        raise NotApplicable(
            f"{task.name}: only {len(rows)} training images, {size} asked for",
            subject=task.name,
        )
    # The extracted features may be those of more images: ``feature_rows`` are the subset's among them.
    feature_rows = np.searchsorted(_extracted_rows(job, task, prepared, bench), rows)
    labels = prepared.train.targets[rows]
    if task_type.probed_as:
        probe = probe_of(task, task_type, prepared, rows)
        labels = probe.labels
        has_places = probe.places is not None
        feature_rows = np.arange(len(labels)) if has_places else feature_rows[probe.image]
    features = np.load(bench.files.features(job.features, "train"), mmap_mode="r")
    path = bench.files.features(job.features, "probabilities")
    probabilities = np.load(path, mmap_mode="r") if path.is_file() else None
    # If all features are used, estimators stream them from the mapped file; indexing would copy them.
    if not np.array_equal(feature_rows, np.arange(len(features))):
        features = features[feature_rows]
        if probabilities is not None:
            probabilities = probabilities[feature_rows]
    assert task_type.scored_as is not None, "the planner skips types that estimators cannot score"
    return Evidence.of(features, labels, probabilities, task_type.scored_as)


def _extracted_rows(job: Job, task: Task, prepared: Prepared, bench: Workbench) -> np.ndarray:
    """Return the rows of the train split that the feature job looked at, ascending."""
    if not job.extracted:
        return np.arange(len(prepared.train))
    return rows_of(job.extracted, job.record.seed, task=task, prepared=prepared, bench=bench)
