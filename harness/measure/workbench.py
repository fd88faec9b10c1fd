"""Workbench: what every job on a worker shares, kept warm between jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from headwater.harness.data.prepared import Prepared, prepare
from headwater.harness.measure.backbone import Backbone, BackboneCache, normalise_like
from headwater.harness.measure.device import Device
from headwater.harness.planning.files import Files
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import CurvePoint, Measurement, Trial
from headwater.registry import Evidence, Pyramid, Registry, SourceModel, Task, TaskType
from headwater.registry.cards.analysis import Reading


class ReportProgress(Protocol):
    """Told after each epoch: (epoch, epochs, validation metric, images so far), and which trial of how many; may raise to stop."""

    def __call__(
        self, epoch: int, epochs: int, value: float, images: int, trial: int = 0, trials: int = 0
    ) -> None: ...


@dataclass
class Workbench:
    """The registry, the device, the store's files, and what was built or mapped for the last jobs."""

    registry: Registry
    files: Files
    device: Device
    backbones: BackboneCache = field(default_factory=BackboneCache)
    prepared_tasks: dict[tuple[object, int], Prepared] = field(default_factory=dict)
    decoded_images: int = 0
    """Images decoded since the worker last set this to 0: nobody on the node had them."""
    flaw_notes: dict[str, str] = field(default_factory=dict)
    """What is wrong with the annotations of the tasks that were asked for since the worker last emptied this, by task."""
    last_evidence: tuple[object, Evidence] | None = None
    """The evidence of the last estimate: its statistics serve the next estimator too."""

    def task_type(self, task: Task) -> TaskType:
        return self.registry.task_type(task.type)

    def prepared(self, task: Task, image_size: int) -> Prepared:
        key = (task.identity(), image_size)
        if key not in self.prepared_tasks:
            self.prepared_tasks[key] = prepare(
                task, self.task_type(task), image_size, self.device.threads
            )
            self.decoded_images += self.prepared_tasks[key].decoded
        if flawed := self.prepared_tasks[key].flawed:
            self.flaw_notes[task.name] = flawed.of_task(task.name)
        return self.prepared_tasks[key]

    def backbone(
        self, source: SourceModel, job: Job, *, dense: bool = False
    ) -> tuple[Backbone, int | Pyramid]:
        """A fresh copy of the job's source, weights loaded, and its width; ``dense``: one that gives maps."""
        return self.backbones.get(
            source, job.image_size, job.record.seed or 0, self.checkpoint(job), dense=dense
        )

    def load_source(self, name: str, job: Job, *, dense: bool = False) -> Backbone:
        """A fresh copy of a source beside the job's own, to be fed as that one is.

        A chain only where the job says which training made its weights. Random numbers go on as if it had not been built.
        """
        source, given = self.registry.source(name), self.registry.source(job.record.source)
        trained = job.beside.get(source.name)
        checkpoint = self.files.checkpoint(trained) if trained else None
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            backbone, _ = self.backbones.get(
                source, job.image_size, job.record.seed or 0, checkpoint, dense=dense
            )
        return normalise_like(given, backbone, source)

    def evidence(self, job: Job, load: Callable[[], Evidence]) -> Evidence:
        """What a job's estimator looks at, kept for the next ones of the same source, task and subset."""
        key = (job.features, job.record.size, job.record.seed)
        if self.last_evidence is None or self.last_evidence[0] != key:
            self.last_evidence = key, load()
        return self.last_evidence[1]

    def checkpoint(self, job: Job) -> Path | None:
        return self.files.checkpoint(job.checkpoint) if job.checkpoint else None


@dataclass(frozen=True)
class JobResult:
    """What a job measured, before it becomes an outcome."""

    metrics: tuple[Measurement, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    images: int = 0
    train_images: int | None = None
    artifacts: dict[str, str] = field(default_factory=dict)
    choice: dict[str, object] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    trials: tuple[Trial, ...] = ()
    note: str = ""
    earlier: float = 0.0
    """Seconds spent on it before an interruption, by a worker that is gone."""


def save_array(path: Path, array: np.ndarray) -> None:
    from headwater.registry.cache import write_atomically

    write_atomically(path, lambda temporary: np.save(temporary, array))
