"""Feature jobs: a frozen source looks once at the images of a task; every probe and estimator reads the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from headwater.harness.data.prepared import Prepared, PreparedSplit
from headwater.harness.data.subset import first
from headwater.harness.measure.batches import Batches
from headwater.harness.measure.probabilities import looking
from headwater.harness.measure.probing import features_at, probe_of
from headwater.harness.measure.tools import JobResult, Progress, Tools, save_array
from headwater.harness.measure.training import predict
from headwater.harness.planning.job import Job
from headwater.registry import Probe, SourceModel, Task

BATCH = 128


def rows_of(
    size: str, seed: int | None, task: Task, prepared: Prepared, tools: Tools
) -> np.ndarray:
    """The rows of the train split that a subset of this size holds, or all where there are fewer; ascending."""
    return first(tools.task_type(task).methods.strata(prepared.train.targets), size, seed or 0)


def extract(job: Job, tools: Tools, report: Progress) -> JobResult:
    """(N, D) float32 features and (N, Cs) probabilities of the source's own classes, where it has any, as arrays beside the store.

    Of both splits; a job with a size looks only at that subset of the train split. Of task types that are scored by a probe with
    places, (M, D) instead, one row for each place; no source's own classes are known there.
    """
    source, task = tools.registry.source(job.record.source), tools.registry.task(job.record.task)
    prepared, task_type = tools.prepared(task, job.image_size), tools.task_type(task)
    if not (subset := job.record.size):
        return _pooled(
            job,
            {
                "train": (prepared.train, _all(prepared.train)),
                "test": (prepared.test, _all(prepared.test)),
            },
            source,
            tools,
        )
    rows = rows_of(subset, job.record.seed, task, prepared, tools)
    if (
        task_type.probed_as
        and (probe := probe_of(task, task_type, prepared, rows)).places is not None
    ):
        return _at_places(job, probe, Batches(prepared.train, source, tools.device), rows, tools)
    return _pooled(job, {"train": (prepared.train, rows)}, source, tools)


def _all(split: PreparedSplit) -> np.ndarray:
    return np.arange(len(split))


def _pooled(
    job: Job,
    splits: Mapping[str, tuple[PreparedSplit, np.ndarray]],
    source: SourceModel,
    tools: Tools,
) -> JobResult:
    network = looking(source, job, tools)
    tools.device.place(network)
    artifacts: dict[str, str] = {}
    images = 0
    for split, (data, rows) in splits.items():
        found = predict(
            network, Batches(data, source, tools.device).in_order(rows, BATCH), tools.device
        ).numpy()
        images += len(rows)
        artifacts |= _kept(job, tools, split, found[:, : network.width])
        if split == "train" and found.shape[1] > network.width:
            artifacts |= _kept(job, tools, "probabilities", found[:, network.width :])
    return JobResult(images=images, artifacts=artifacts)


def _at_places(
    job: Job, probe: Probe, batches: Batches, rows: np.ndarray, tools: Tools
) -> JobResult:
    """Of the deepest map that the source would give a dense head; images without a place are not looked at."""
    network = tools.device.place(tools.backbone(batches.source, job, dense=True)[0]).eval()
    images = np.unique(probe.image)

    @torch.inference_mode()
    def looks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(images), BATCH):
            chunk = images[start : start + BATCH]
            with tools.device.precision():
                maps = network(batches.images(rows[chunk]))[-1]
            yield chunk, maps.float().cpu().numpy()

    return JobResult(
        images=len(images), artifacts=_kept(job, tools, "train", features_at(probe, looks()))
    )


def _kept(job: Job, tools: Tools, name: str, array: np.ndarray) -> dict[str, str]:
    path = tools.files.features(job.id, name)
    save_array(path, np.ascontiguousarray(array))
    return {
        "probabilities" if name == "probabilities" else f"features_{name}": tools.files.relative(
            path
        )
    }
