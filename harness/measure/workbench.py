"""Keep what every job on a worker shares warm between jobs; and say what a job returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from headwater.harness.data.prepared import Prepared, prepare
from headwater.harness.measure.backbone import (
    Backbone,
    BackboneCache,
    family_of,
    normalise_like,
)
from headwater.harness.measure.device import Device
from headwater.harness.planning.files import Files
from headwater.harness.planning.job import Job
from headwater.harness.planning.recipes import Family
from headwater.leaderboard.store.records import CurvePoint, Measurement, Trial
from headwater.registry import (
    Evidence,
    Pyramid,
    Registry,
    SourceModel,
    Task,
    TaskType,
    TaskTypeMethods,
)
from headwater.registry.cache import write_atomically
from headwater.registry.cards.analysis import Reading


class ReportProgress(Protocol):
    """Called by a job after each epoch; may raise to stop it."""

    def __call__(
        self, epoch: int, epochs: int, value: float, images: int, trial: int = 0, trials: int = 0
    ) -> None:
        """Hear how far a job is.

        Args:
            epoch: The epoch that ended, from 1.
            epochs: Of how many.
            value: The validation metric.
            images: Images processed so far.
            trial: Of a tuned cell, the trial under way, from 1.
            trials: Of how many.
        """


@dataclass
class Workbench:
    """The registry, the device, the store's files, and what was built or mapped for the last jobs.

    A worker has one and runs one job at a time on it.
    """

    registry: Registry
    files: Files
    device: Device
    backbones: BackboneCache = field(default_factory=BackboneCache)
    prepared_tasks: dict[tuple[object, int], Prepared] = field(default_factory=dict)
    """Mapped data by task identity and image size."""
    floors: dict[tuple[object, int], Mapping[str, float]] = field(default_factory=dict)
    """What no network reaches, by task identity and image size."""
    decoded_images: int = 0
    """Images decoded since the worker last set this to 0: nobody on the node had them."""
    flaw_notes: dict[str, str] = field(default_factory=dict)
    """By task, the note on its flawed annotations, of tasks that were asked for since the worker
    last emptied this.
    """
    last_evidence: tuple[object, Evidence] | None = None
    """The evidence of the last estimate, with its key: its statistics serve the next estimator too.
    """

    def task_type(self, task: Task) -> TaskType:
        """Return the card of a task's type."""
        return self.registry.task_type(task.type)

    def prepared(self, task: Task, image_size: int) -> Prepared:
        """Return a task's images and targets, mapped; they are decoded if the node does not have
        them yet.
        """
        key = (task.identity(), image_size)
        if key not in self.prepared_tasks:
            prepared = prepare(task, self.task_type(task), image_size, self.device.threads)
            self.prepared_tasks[key] = prepared
            self.decoded_images += prepared.decoded
        flawed = self.prepared_tasks[key].flawed
        if flawed:
            self.flaw_notes[task.name] = flawed.of_task(task.name)
        return self.prepared_tasks[key]

    def floor(self, task: Task, image_size: int) -> Mapping[str, float]:
        """Return what the best prediction that looks at no image reaches on test, by metric.

        Empty where the task's type has no such prediction. It is made from the labels of all
        training images, whatever the size of the subset: what is known without a network.
        """
        key = (task.identity(), image_size)
        if key not in self.floors:
            methods = self.task_type(task).methods
            self.floors[key] = floor_of(methods, self.prepared(task, image_size))
        return self.floors[key]

    def backbone(
        self, source: SourceModel, job: Job, *, dense: bool = False
    ) -> tuple[Backbone, int | Pyramid]:
        """Return a fresh copy of the job's source, weights loaded, and its width; ``dense``: a
        backbone that gives maps.
        """
        checkpoint = self.files.checkpoint(job.checkpoint) if job.checkpoint else None
        return self._copy(source, job, checkpoint, dense=dense)

    def load_source(self, name: str, job: Job, *, dense: bool = False) -> Backbone:
        """Return a fresh copy of another source than the job's own, for images normalised as the
        job's source wants them.

        A chain can be loaded only where the job says which training made its weights. Random
        numbers go on as if the source had not been built.
        """
        source = self.registry.source(name)
        training_job = job.extra_checkpoints.get(source.name)
        checkpoint = self.files.checkpoint(training_job) if training_job else None
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            backbone, _ = self._copy(source, job, checkpoint, dense=dense)
        return normalise_like(self.registry.source(job.record.source), backbone, source)

    def family(self, source: SourceModel, job: Job) -> Family:
        """Return the family of the job's source, whose recipe its training follows: as its card
        says, else as its layers show.
        """
        if source.recipe:
            return source.recipe
        checkpoint = self.files.checkpoint(job.checkpoint) if job.checkpoint else None
        backbone = self.backbones.built_backbone(
            source, job.image_size, seed=job.record.seed or 0, checkpoint=checkpoint
        )
        return family_of(backbone)

    def _copy(
        self, source: SourceModel, job: Job, checkpoint: Path | None, *, dense: bool
    ) -> tuple[Backbone, int | Pyramid]:
        return self.backbones.get(
            source, job.image_size, seed=job.record.seed or 0, checkpoint=checkpoint, dense=dense
        )

    def evidence(self, job: Job, load: Callable[[], Evidence]) -> Evidence:
        """Return what a job's estimator looks at, kept for the next ones of the same source, task
        and subset.
        """
        key = (job.features, job.record.size, job.record.seed)
        if self.last_evidence is None or self.last_evidence[0] != key:
            self.last_evidence = key, load()
        return self.last_evidence[1]


def floor_of(methods: TaskTypeMethods, prepared: Prepared) -> Mapping[str, float]:
    """Measure a task type's constant prediction on test; {} where it has none."""
    constant = methods.constant(prepared.train.targets, prepared.outputs)
    if constant is None:
        return {}
    targets = torch.from_numpy(prepared.test.targets)
    predictions = constant.expand(len(targets), *constant.shape)
    measured = methods.measure(predictions, targets)
    return {name: value for name, value in measured.items() if math.isfinite(value)}


@dataclass(frozen=True)
class JobResult:
    """The measurements of a job, before they become an outcome."""

    metrics: tuple[Measurement, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    images: int = 0
    """Images processed: trained on in all epochs and trials, or extracted."""
    train_images: int | None = None
    """Images of the target that were allowed, validation included."""
    artifacts: dict[str, str] = field(default_factory=dict)
    """Paths by role, relative to the store's folder of files."""
    choice: Mapping[str, object] = field(default_factory=dict)
    """What was chosen on validation, such as the epoch."""
    readings: tuple[Reading, ...] = ()
    trials: tuple[Trial, ...] = ()
    note: str = ""
    earlier: float = 0.0
    """Seconds spent on it before an interruption, by a worker that is gone."""


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as .npy; the file is whole or not there."""
    write_atomically(path, lambda temporary: np.save(temporary, array))
