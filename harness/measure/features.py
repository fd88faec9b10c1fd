"""Run feature jobs: a frozen source looks once at a task's images, for every probe and estimator.

Most task types are scored on one vector an image. Task types that are scored by a probe with places
(masks, maps) are scored on one vector a place instead, taken from the deepest map that the source
would give a dense head.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from headwater.harness.data.prepared import Prepared, PreparedSplit
from headwater.harness.data.subset import draw_rows
from headwater.harness.measure.batches import Batches
from headwater.harness.measure.probabilities import SourceWithClassifier, load_with_classifier
from headwater.harness.measure.probing import features_at, probe_of
from headwater.harness.measure.training import predict
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench, save_array
from headwater.harness.planning.job import Job
from headwater.registry import Probe, Task

EVALUATION_BATCH = 128
"""Images at once."""


def rows_of(
    size: str, seed: int | None, task: Task, prepared: Prepared, bench: Workbench
) -> np.ndarray:
    """Return the rows of the train split that a subset of this size holds, ascending.

    All rows are returned where there are fewer.
    """
    strata = bench.task_type(task).methods.strata(prepared.train.targets)
    return draw_rows(strata, size, seed or 0)


def extract(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Write a source's features as arrays beside the store.

    The probabilities of the source's own classes are written too, where it has any.

    A job without a size looks at all images of both splits, a job with a size at that subset of the
    train split only. The arrays are (N, D) features and (N, Cs) probabilities, float32. Task types
    that are scored by a probe with places get (M, D) features instead, one row for each place; of
    places no source's own classes are known.
    """
    source = bench.registry.source(job.record.source)
    task = bench.registry.task(job.record.task)
    task_type = bench.task_type(task)
    prepared = bench.prepared(task, job.image_size)
    size = job.record.size
    if not size:
        network = _load(job, bench)
        artifacts: dict[str, str] = {}
        for name, split in (("train", prepared.train), ("test", prepared.test)):
            rows = np.arange(len(split))
            artifacts |= _extract_vectors(job, bench, network, split=split, name=name, rows=rows)
        images = len(prepared.train) + len(prepared.test)
        return JobResult(images=images, artifacts=artifacts)
    rows = rows_of(size, job.record.seed, task=task, prepared=prepared, bench=bench)
    if task_type.probed_as:
        probe = probe_of(task, task_type, prepared, rows)
        if probe.places is not None:
            batches = Batches(prepared.train, source, bench.device)
            return _extract_places(job, bench, probe, batches=batches, rows=rows)
    network = _load(job, bench)
    artifacts = _extract_vectors(job, bench, network, split=prepared.train, name="train", rows=rows)
    return JobResult(images=len(rows), artifacts=artifacts)


def _load(job: Job, bench: Workbench) -> SourceWithClassifier:
    source = bench.registry.source(job.record.source)
    network = load_with_classifier(source, job, bench)
    bench.device.place(network)
    return network


def _extract_vectors(
    job: Job,
    bench: Workbench,
    network: SourceWithClassifier,
    *,
    split: PreparedSplit,
    name: str,
    rows: np.ndarray,
) -> dict[str, str]:
    """Write the features of some rows of a split and, of the train split, the probabilities.

    Returns:
        The artifacts.
    """
    source = bench.registry.source(job.record.source)
    images = Batches(split, source, bench.device).in_order(rows, EVALUATION_BATCH)
    outputs = predict(network, images, bench.device).numpy()
    features, probabilities = np.split(outputs, [network.width], axis=1)
    artifacts = _save(job, bench, name, features)
    if name == "train" and probabilities.shape[1]:
        artifacts |= _save(job, bench, "probabilities", probabilities)
    return artifacts


def _extract_places(
    job: Job, bench: Workbench, probe: Probe, *, batches: Batches, rows: np.ndarray
) -> JobResult:
    """Write the features of a probe's places; images without a place are not looked at."""
    backbone, _ = bench.backbone(batches.source, job, dense=True)
    network = bench.device.place(backbone).eval()
    images = np.unique(probe.image)

    @torch.inference_mode()
    def deepest_maps() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(images), EVALUATION_BATCH):
            chunk = images[start : start + EVALUATION_BATCH]
            with bench.device.precision():
                maps = network(batches.images(rows[chunk]))[-1]
            yield chunk, maps.float().cpu().numpy()

    features = features_at(probe, deepest_maps())
    return JobResult(images=len(images), artifacts=_save(job, bench, "train", features))


def _save(job: Job, bench: Workbench, name: str, array: np.ndarray) -> dict[str, str]:
    """Write one of a job's arrays and return its path by role."""
    path = bench.files.features(job.id, name)
    save_array(path, np.ascontiguousarray(array))
    role = name if name == "probabilities" else f"features_{name}"
    return {role: bench.files.relative(path)}
