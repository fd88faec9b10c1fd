"""Pre-training jobs: a chain's source step, on one task or jointly on several (multi-source).

Jointly means one backbone, a head per task, and in each step a batch of one task: tasks take turns in a random
order in which each appears equally often, whatever its size (task-balanced), the smaller ones starting over.
The epochs are those of all tasks' images together, so that several tasks cost what their images cost. Each
task's loss is divided by the loss of guessing (log of its classes, for classification), so that none drowns
the others; for the same reason the epoch is chosen by metrics without their units. Tasks may be of different
types: vectors and maps come from the same network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.data.prepared import Prepared
from headwater.harness.data.subset import Subset, draw_subset
from headwater.harness.measure.augmentation import augmentation
from headwater.harness.measure.backbone import Backbone, save_state, save_weights, width_of
from headwater.harness.measure.batches import Augment, Batches, steps_per_epoch
from headwater.harness.measure.snapshot import Snapshots
from headwater.harness.measure.training import EpochCriterion, predict, train
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Measurement
from headwater.registry import Batch, Metric, Objective, ParameterGroup, SourceModel, Task, TaskType
from headwater.registry.names import split_list

BATCH = 128
"""Images at once in evaluation."""
_TINY = 1e-12
"""What a distance of 0 counts as, whose logarithm no average would bear."""


@dataclass(frozen=True)
class _Course:
    """One source task of a chain, with its head."""

    task: Task
    task_type: TaskType
    prepared: Prepared
    chosen: Subset
    batches: Batches
    augment: Augment | None
    backbone: Backbone
    """As the task's type wants it, giving vectors or maps; its network is that of all courses."""
    head: nn.Module
    weight: float

    @property
    def network(self) -> nn.Module:
        return nn.Sequential(self.backbone, self.head)

    @property
    def metric(self) -> Metric:
        """The task's own."""
        return self.task_type.metric(self.task.metric)

    def quality(self, bench: Workbench) -> float:
        """Its metric on its validation images, higher is better."""
        rows = self.chosen.validation
        outputs = predict(self.network, self.batches.in_order(rows, BATCH), bench.device)
        measured = self.task_type.methods.measure(
            outputs, torch.from_numpy(self.prepared.train.targets[rows])
        )
        return self.metric.sign * measured[self.metric.name]


def pretrain(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Train the base's weights on the chain's tasks and keep the epoch best on validation, averaged over tasks."""
    settings, device = job.training, bench.device
    assert settings is not None, "the planner gives every pre-training its budget"
    seed = job.record.seed or 0
    base = bench.registry.source(job.record.source)
    tasks = [bench.registry.task(name) for name in split_list(job.record.task, "+")]
    backbone, _ = bench.backbone(base, job)
    torch.manual_seed(seed)
    courses = [_course(task, base, backbone, job, bench) for task in tasks]
    network = device.place(nn.ModuleList([backbone, *(course.head for course in courses)]))
    steps = sum(
        steps_per_epoch(len(course.chosen.train), settings.batch_size) for course in courses
    )
    generator = torch.Generator().manual_seed(seed)
    turns: list[int] = []

    def batches() -> Iterator[Batch]:
        endless = [_endless(course, settings.batch_size, generator) for course in courses]
        turns[:] = _balanced_turns(len(courses), steps, generator)
        for turn in list(turns):
            yield next(endless[turn])

    def loss(batch: Batch, step: int) -> Tensor:
        course = courses[turns[step % steps]]
        return course.weight * course.task_type.methods.loss(
            course.network(batch.images), batch.targets
        )

    def validate() -> Mapping[str, float]:
        values = [course.quality(bench) for course in courses]
        mean = float(
            np.mean(
                [
                    unitless(value, course.metric)
                    for course, value in zip(courses, values, strict=True)
                ]
            )
        )
        return {"mean": mean} | {
            course.task.name: value for course, value in zip(courses, values, strict=True)
        }

    objective = Objective(network, [ParameterGroup(list(network.parameters()))], loss=loss)
    path = bench.files.checkpoint(job.id)
    with Snapshots.of(job, bench, generator) as snapshots:
        trained = train(
            objective,
            batches,
            steps,
            settings,
            nn.Identity(),
            EpochCriterion(validate, "mean", 1),
            device,
            report,
            snapshots,
        )
        save_weights(backbone, path)
        save_state(
            nn.ModuleList(course.head for course in courses),
            bench.files.heads(job.id),
            {str(index): task.type for index, task in enumerate(tasks)},
        )
    return JobResult(
        metrics=tuple(
            Measurement("validation", name, value) for name, value in trained.measured.items()
        ),
        curves=trained.curves,
        images=trained.images,
        train_images=sum(len(course.chosen) for course in courses),
        artifacts={
            "checkpoint": bench.files.relative(path),
            "heads": bench.files.relative(bench.files.heads(job.id)),
        },
        choice={"epoch": trained.epoch},
        earlier=trained.earlier,
    )


def unitless(quality: float, metric: Metric) -> float:
    """A metric, its sign such that higher is better, as a number that may be averaged with those of other tasks.

    Between two bounds its place from 0 (worst) to 1. With one bound the logarithm of its distance from that, which another unit (an
    error in months or years) moves alike in all epochs; so does R², as the logarithm of what is left of the variance. With no bound
    as it is. It only ever rises with the metric, so that one task alone has the same best epoch.
    """
    low, high = metric.bounds
    if math.isfinite(low) and math.isfinite(high):
        return (quality - low) / (high - low)
    if math.isfinite(high):
        return -math.log(max(high - quality, _TINY))
    return math.log(max(quality - low, _TINY)) if math.isfinite(low) else quality


def _course(
    task: Task, base: SourceModel, backbone: Backbone, job: Job, bench: Workbench
) -> _Course:
    task_type, prepared = bench.task_type(task), bench.prepared(task, job.image_size)
    methods = task_type.methods
    chosen = draw_subset(
        methods.strata(prepared.train.targets), "full", job.record.seed or 0, job.validation
    )
    assert job.training is not None, "the planner gives every pre-training its budget"
    seen = Backbone(backbone.network, dense=task_type.dense)
    head = methods.head(width_of(seen, job.image_size), prepared.outputs)
    methods.init_head(head, prepared.train.targets[chosen.train])
    augment = augmentation(job.training, task, task_type)
    batches = Batches(prepared.train, base, bench.device)
    return _Course(
        task,
        task_type,
        prepared,
        chosen,
        batches,
        augment,
        seen,
        head,
        1 / methods.chance(prepared.outputs),
    )


def _endless(course: _Course, size: int, generator: torch.Generator) -> Iterator[Batch]:
    while True:
        yield from course.batches.shuffled(course.chosen.train, size, generator, course.augment)


def _balanced_turns(courses: int, steps: int, generator: torch.Generator) -> list[int]:
    """Whose turn it is in each step: rounds of all tasks, each round in random order."""
    rounds = [
        torch.randperm(courses, generator=generator) for _ in range(math.ceil(steps / courses))
    ]
    return torch.cat(rounds)[:steps].tolist()
