"""Feature jobs: a frozen source looks once at every image of a task; every probe and estimator reads the result."""

from __future__ import annotations

import numpy as np

from harness.job import Job
from harness.measure.batches import Batches
from harness.measure.tools import Findings, Progress, Tools, save_array
from harness.measure.training import predict

BATCH = 128


def extract(job: Job, tools: Tools, report: Progress) -> Findings:
    """(N, D) float32 features of both splits, as arrays beside the store."""
    source, task = tools.registry.source(job.record.source), tools.registry.task(job.record.task)
    prepared = tools.prepared(task, job.image_size)
    backbone, _ = tools.backbone(source, job)
    network = tools.device.place(backbone)
    artifacts, images = {}, 0
    for split, data in (("train", prepared.train), ("test", prepared.test)):
        batches = Batches(data, source, tools.device)
        features = predict(network, batches.in_order(np.arange(len(data)), BATCH), tools.device)
        path = tools.files.features(job.id, split)
        save_array(path, features.numpy())
        artifacts[f"features_{split}"] = tools.files.relative(path)
        images += len(data)
    return Findings(images=images, artifacts=artifacts)
