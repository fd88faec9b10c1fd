"""Predictions of a done cell, and how far the cell's metric on them can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from headwater.harness.data.prepared import Prepared, prepare
from headwater.harness.data.subset import draw_subset
from headwater.harness.planning.files import Files
from headwater.harness.planning.job import Job
from headwater.leaderboard.statistics.precision import between, resampled, wilson
from headwater.registry import Registry, TaskType


@dataclass(frozen=True)
class Predictions:
    """The outputs of a cell's network, image by image in the task's own order.

    Attributes:
        outputs: (N, ...) float32.
        targets: (N, ...), encoded.
        metric: The cell's metric.
        task_type: The type of the cell's task.
        rows: (N,) int, the images of the task's split. Predictions of sources that share them are
            compared image by image.
    """

    outputs: np.ndarray
    targets: np.ndarray
    metric: str
    task_type: TaskType
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def is_accuracy(self) -> bool:
        """True where the metric is the share of images whose prediction is correct."""
        return self.task_type.metric(self.metric).is_accuracy

    @cached_property
    def correct(self) -> np.ndarray:
        """(N,) float: 1 where the prediction is correct; only where ``is_accuracy``."""
        return (self.outputs.argmax(1) == self.targets).astype(float)

    def value(self, rows: np.ndarray | None = None) -> float:
        """Return the metric on these rows of the predictions, or on all of them."""
        if self.is_accuracy:
            return float(self.correct.mean() if rows is None else self.correct[rows].mean())
        import torch

        outputs = self.outputs if rows is None else self.outputs[rows]
        targets = self.targets if rows is None else self.targets[rows]
        methods = self.task_type.methods
        return methods.measure(torch.from_numpy(outputs), torch.from_numpy(targets))[self.metric]

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the metric on all images like these.

        Wilson's interval for a share of images, else a bootstrap over the images. None where they
        cannot tell: a single image has no spread, and a metric without a value (a precision where
        there are no objects) has no bounds.
        """
        if self.is_accuracy:
            return wilson(self.value(), len(self))
        low, high = between(self.drawn) if len(self) > 1 else (math.nan, math.nan)
        return None if math.isnan(low) else (low, high)

    @cached_property
    def drawn(self) -> np.ndarray:
        """The metric in each draw of a bootstrap over the images."""
        import torch

        methods, threads = self.task_type.methods, torch.get_num_threads()
        torch.set_num_threads(1)  # many small sums: threads only wait for each other
        try:
            tally = methods.tally(torch.from_numpy(self.outputs), torch.from_numpy(self.targets))
            if tally is None:
                return resampled(self.value, len(self))
            return resampled(
                lambda rows: methods.tallied(tally[rows].sum(0))[self.metric], len(self)
            )
        finally:
            torch.set_num_threads(threads)


def predictions_of(
    job: Job, files: Files, registry: Registry, split: str, *, prepared: Prepared | None = None
) -> Predictions | None:
    """Return the stored predictions of a done cell.

    Args:
        job: The cell's job.
        files: The files beside the store.
        registry: The cards of the cell's task and task type.
        split: ``test`` or ``validation``.
        prepared: The task's data at the job's image size, where the caller has them.

    Returns:
        The predictions; None where none were stored, as by an older Headwater.
    """
    path, record = files.predictions(job.id, split), job.record
    if not path.is_file():
        return None
    task = registry.task(record.task)
    task_type = registry.task_type(task.type)
    prepared = prepared or prepare(task, task_type, job.image_size)
    if split == "test":
        rows = np.arange(len(prepared.test))
        targets = prepared.test.targets
    else:
        strata = task_type.methods.strata(prepared.train.targets)
        chosen = draw_subset(strata, record.size, record.seed or 0, job.validation)
        rows = chosen.validation
        targets = prepared.train.targets[rows]
    outputs = np.load(path).astype(np.float32)
    return Predictions(outputs, targets, record.metric, task_type=task_type, rows=rows)
