"""Feature jobs: a frozen source looks once at the images of a task; every probe and estimator reads the result."""

from __future__ import annotations

import numpy as np

from harness.data.prepared import Prepared
from harness.data.subset import first
from harness.job import Job
from harness.measure.batches import Batches
from harness.measure.probabilities import looking
from harness.measure.tools import Findings, Progress, Tools, save_array
from harness.measure.training import predict
from registry import Task

BATCH = 128


def rows_of(size: str, seed: int | None, task: Task, prepared: Prepared, tools: Tools) -> np.ndarray:
    """The rows of the train split that a subset of this size holds, or all where there are fewer; ascending."""
    return first(tools.task_type(task).methods.strata(prepared.train.targets), size, seed or 0)


def extract(job: Job, tools: Tools, report: Progress) -> Findings:
    """(N, D) float32 features and (N, Cs) probabilities of the source's own classes, where it has any, as arrays beside the store.

    Of both splits; a job with a size looks only at that subset of the train split.
    """
    source, task = tools.registry.source(job.record.source), tools.registry.task(job.record.task)
    prepared = tools.prepared(task, job.image_size)
    network = looking(source, job, tools)
    tools.device.place(network)
    subset = job.record.size
    splits = {"train": prepared.train} if subset else {"train": prepared.train, "test": prepared.test}
    artifacts, images = {}, 0
    for split, data in splits.items():
        rows = rows_of(subset, job.record.seed, task, prepared, tools) if subset else np.arange(len(data))
        found = predict(network, Batches(data, source, tools.device).in_order(rows, BATCH), tools.device).numpy()
        images += len(rows)
        arrays = {split: found[:, : network.width]}
        if split == "train" and found.shape[1] > network.width:
            arrays["probabilities"] = found[:, network.width :]
        for name, array in arrays.items():
            path = tools.files.features(job.id, name)
            save_array(path, np.ascontiguousarray(array))
            artifacts[f"features_{name}" if name == split else name] = tools.files.relative(path)
    return Findings(images=images, artifacts=artifacts)
