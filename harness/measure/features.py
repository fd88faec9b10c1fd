"""Feature jobs: a frozen source looks once at the images of a task; every probe and estimator reads the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from headwater.harness.data.prepared import Prepared, PreparedSplit
from headwater.harness.data.subset import draw_rows
from headwater.harness.measure.batches import Batches
from headwater.harness.measure.probabilities import looking
from headwater.harness.measure.probing import features_at, probe_of
from headwater.harness.measure.training import predict
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench, save_array
from headwater.harness.planning.job import Job
from headwater.registry import Probe, SourceModel, Task

BATCH = 128


def rows_of(
    size: str, seed: int | None, task: Task, prepared: Prepared, bench: Workbench
) -> np.ndarray:
    """The rows of the train split that a subset of this size holds, or all where there are fewer; ascending."""
    return draw_rows(bench.task_type(task).methods.strata(prepared.train.targets), size, seed or 0)


def extract(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """(N, D) float32 features and (N, Cs) probabilities of the source's own classes, where it has any, as arrays beside the store.

    Of both splits; a job with a size looks only at that subset of the train split. Of task types that are scored by a probe with
    places, (M, D) instead, one row for each place; no source's own classes are known there.
    """
    source, task = bench.registry.source(job.record.source), bench.registry.task(job.record.task)
    prepared, task_type = bench.prepared(task, job.image_size), bench.task_type(task)
    if not (subset := job.record.size):
        return _pooled(
            job,
            {
                "train": (prepared.train, _all(prepared.train)),
                "test": (prepared.test, _all(prepared.test)),
            },
            source,
            bench,
        )
    rows = rows_of(subset, job.record.seed, task, prepared, bench)
    if (
        task_type.probed_as
        and (probe := probe_of(task, task_type, prepared, rows)).places is not None
    ):
        return _at_places(job, probe, Batches(prepared.train, source, bench.device), rows, bench)
    return _pooled(job, {"train": (prepared.train, rows)}, source, bench)


def _all(split: PreparedSplit) -> np.ndarray:
    return np.arange(len(split))


def _pooled(
    job: Job,
    splits: Mapping[str, tuple[PreparedSplit, np.ndarray]],
    source: SourceModel,
    bench: Workbench,
) -> JobResult:
    network = looking(source, job, bench)
    bench.device.place(network)
    artifacts: dict[str, str] = {}
    images = 0
    for split, (data, rows) in splits.items():
        found = predict(
            network, Batches(data, source, bench.device).in_order(rows, BATCH), bench.device
        ).numpy()
        images += len(rows)
        artifacts |= _kept(job, bench, split, found[:, : network.width])
        if split == "train" and found.shape[1] > network.width:
            artifacts |= _kept(job, bench, "probabilities", found[:, network.width :])
    return JobResult(images=images, artifacts=artifacts)


def _at_places(
    job: Job, probe: Probe, batches: Batches, rows: np.ndarray, bench: Workbench
) -> JobResult:
    """Of the deepest map that the source would give a dense head; images without a place are not looked at."""
    network = bench.device.place(bench.backbone(batches.source, job, dense=True)[0]).eval()
    images = np.unique(probe.image)

    @torch.inference_mode()
    def looks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(images), BATCH):
            chunk = images[start : start + BATCH]
            with bench.device.precision():
                maps = network(batches.images(rows[chunk]))[-1]
            yield chunk, maps.float().cpu().numpy()

    return JobResult(
        images=len(images), artifacts=_kept(job, bench, "train", features_at(probe, looks()))
    )


def _kept(job: Job, bench: Workbench, name: str, array: np.ndarray) -> dict[str, str]:
    path = bench.files.features(job.id, name)
    save_array(path, np.ascontiguousarray(array))
    return {
        "probabilities" if name == "probabilities" else f"features_{name}": bench.files.relative(
            path
        )
    }
