"""Predictions: what a done cell's network said of each image, and what the cell's metric on them can tell."""

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

SHARE = ("classification", "accuracy")
"""The task type and the metric that is a share of images: its interval is Wilson's, others' are bootstrapped."""


@dataclass(frozen=True)
class Predictions:
    """``outputs``: (N, ...) float32 and ``targets``: (N, ...), image by image in the task's own order; ``metric`` is the cell's.

    ``rows``: (N,) int, which images of the task's split these are: sources that share them are compared image by image.
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
        """Whether the metric is the share of images that were answered rightly."""
        return (self.task_type.name, self.metric) == SHARE

    @cached_property
    def correct(self) -> np.ndarray:
        """(N,) float: 1 where the answer is right; for a metric that is a share of images."""
        return (self.outputs.argmax(1) == self.targets).astype(float)

    def value(self, rows: np.ndarray | None = None) -> float:
        """The metric on these rows, or on all."""
        if self.is_accuracy:
            return float(self.correct.mean() if rows is None else self.correct[rows].mean())
        import torch

        outputs, targets = (a if rows is None else a[rows] for a in (self.outputs, self.targets))
        return self.task_type.methods.measure(torch.from_numpy(outputs), torch.from_numpy(targets))[
            self.metric
        ]

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """Where the metric on all such images lies, by what these images can tell; None where they cannot: one image has no spread, and
        what has no value (a precision where there are no objects) no bounds."""
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
    job: Job, files: Files, registry: Registry, split: str, prepared: Prepared | None = None
) -> Predictions | None:
    """Those of a done cell on ``test`` or ``validation``; None where they were not kept, as by an older Headwater.

    ``prepared``: the task's data at the job's image size, where they are at hand.
    """
    path, record = files.predictions(job.id, split), job.record
    if not path.is_file():
        return None
    task = registry.task(record.task)
    task_type = registry.task_type(task.type)
    prepared = prepared or prepare(task, task_type, job.image_size)
    if split == "test":
        rows, targets = np.arange(len(prepared.test)), prepared.test.targets
    else:
        rows = draw_subset(
            task_type.methods.strata(prepared.train.targets),
            record.size,
            record.seed or 0,
            job.validation,
        ).validation
        targets = prepared.train.targets[rows]
    return Predictions(np.load(path).astype(np.float32), targets, record.metric, task_type, rows)
