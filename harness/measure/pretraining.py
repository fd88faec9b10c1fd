"""Run pretrain jobs: the source step of a chain, on one task or jointly on several (multi-source).

Jointly means one backbone with a head for each task, and one task in each step. What keeps the
tasks in balance:

- Tasks take turns in rounds. Each round holds every task once, in random order, so that each task
  appears equally often whatever its size; smaller tasks start over.
- The number of steps is that of all tasks' images together, so that several tasks cost what their
  images cost.
- Each task's loss is divided by the loss of guessing (for classification the logarithm of the
  number of classes), so that no task drowns the others.
- The epoch is chosen by the mean of the tasks' metrics without their units (``unitless``), for the
  same reason.

Tasks may be of different types: vectors and maps come from the same network.
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
from headwater.harness.measure.backbone import (
    Backbone,
    family_of,
    save_state,
    save_weights,
    width_of,
)
from headwater.harness.measure.batches import Augment, Batches, steps_per_epoch
from headwater.harness.measure.device import Device
from headwater.harness.measure.snapshot import Snapshots
from headwater.harness.measure.training import Budget, EpochCriterion, predict, train
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
from headwater.harness.planning.job import Job
from headwater.harness.planning.recipes import resolve
from headwater.harness.planning.spec import SOURCE_SEED, Training
from headwater.leaderboard.store.records import Measurement
from headwater.registry import Batch, Metric, Objective, ParameterGroup, SourceModel, Task, TaskType
from headwater.registry.names import split_list

EVALUATION_BATCH = 128
"""Images at once in evaluation."""
MIN_DISTANCE = 1e-12
"""What a smaller distance from a metric's bound counts as: no average would bear the logarithm of
0.
"""


@dataclass(frozen=True)
class _ChainTask:
    """A source task of a chain, with its head.

    Attributes:
        backbone: Gives vectors or maps, as the task's type wants; its network is that of all the
            chain's tasks.
        weight: What the task's loss is multiplied by.
    """

    task: Task
    task_type: TaskType
    prepared: Prepared
    chosen: Subset
    batches: Batches
    augment: Augment | None
    backbone: Backbone
    head: nn.Module
    weight: float

    @property
    def network(self) -> nn.Module:
        return nn.Sequential(self.backbone, self.head)

    @property
    def metric(self) -> Metric:
        """The task's metric."""
        return self.task_type.metric(self.task.metric)

    def endless_batches(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yield shuffled batches of the task without end."""
        while True:
            yield from self.batches.shuffled(self.chosen.train, size, generator, self.augment)

    def loss(self, batch: Batch) -> Tensor:
        """Return the weighted loss of a batch of the task."""
        outputs = self.network(batch.images)
        return self.weight * self.task_type.methods.loss(outputs, batch.targets)

    def quality(self, device: Device) -> float:
        """Measure the task's metric on its validation images; higher is better."""
        rows = self.chosen.validation
        images = self.batches.in_order(rows, EVALUATION_BATCH)
        outputs = predict(self.network, images, device)
        targets = torch.from_numpy(self.prepared.train.targets[rows])
        measured = self.task_type.methods.measure(outputs, targets)
        return self.metric.sign * measured[self.metric.name]


class _JointTraining:
    """Several tasks that train one backbone in turns: the batches, the loss and the validation of
    each epoch.
    """

    def __init__(
        self,
        tasks: list[_ChainTask],
        settings: Training,
        generator: torch.Generator,
        device: Device,
    ) -> None:
        self.tasks = tasks
        self.settings = settings
        self.generator = generator
        self.device = device
        self.steps = sum(
            steps_per_epoch(len(task.chosen.train), settings.batch_size) for task in tasks
        )
        self.turns: list[int] = []
        """The task of each step of the epoch under way."""

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of one epoch, each of the task whose turn it is."""
        size = self.settings.batch_size
        streams = [task.endless_batches(size, self.generator) for task in self.tasks]
        self.turns = _balanced_turns(len(self.tasks), self.steps, self.generator)
        for turn in self.turns:
            yield next(streams[turn])

    def loss(self, batch: Batch, step: int) -> Tensor:
        """Return the loss of a step's batch, ``step`` counted from the training's first."""
        return self.tasks[self.turns[step % self.steps]].loss(batch)

    def evaluate(self) -> Mapping[str, float]:
        """Return each task's quality on validation, and as ``mean`` the mean of them without their
        units.
        """
        qualities = {task.task.name: task.quality(self.device) for task in self.tasks}
        without_units = [
            unitless(quality, task.metric)
            for quality, task in zip(qualities.values(), self.tasks, strict=True)
        ]
        return {"mean": float(np.mean(without_units))} | qualities


def pretrain(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Train the base's weights on the chain's tasks and keep the epoch best on validation, averaged
    over tasks.

    The backbone's weights and the tasks' heads are written to the store's folder of files.
    """
    settings = job.training
    assert settings is not None, "the planner gives every pre-training its budget"
    seed = job.record.seed or 0
    base = bench.registry.source(job.record.source)
    cards = [bench.registry.task(name) for name in split_list(job.record.task, "+")]
    backbone, _ = bench.backbone(base, job)
    # The heads are drawn from this seed, in the order of the tasks.
    torch.manual_seed(seed)
    tasks = [_chain_task(card, base, backbone, job=job, bench=bench) for card in cards]
    network = bench.device.place(nn.ModuleList([backbone, *(task.head for task in tasks)]))
    generator = torch.Generator().manual_seed(seed)
    joint = _JointTraining(tasks, settings, generator, bench.device)
    objective = Objective(network, [ParameterGroup(list(network.parameters()))], loss=joint.loss)
    recipe = resolve(
        settings, family_of(backbone), is_random=base.random, steps_per_epoch=joint.steps
    )
    validation_images = min(len(task.chosen.validation) for task in tasks)
    weights = bench.files.checkpoint(job.id)
    heads = bench.files.heads(job.id)
    with Snapshots.of(job, bench, generator) as snapshots:
        trained = train(
            objective,
            joint.batches,
            budget=Budget(recipe.epochs, joint.steps),
            settings=recipe,
            loss=nn.Identity(),  # never called: the objective has a loss of its own
            criterion=EpochCriterion(
                joint.evaluate, "mean", sign=1, last=recipe.chooses_last(validation_images)
            ),
            device=bench.device,
            report=report,
            snapshots=snapshots,
        )
        save_weights(backbone, weights)
        types = {str(index): task.task.type for index, task in enumerate(tasks)}
        save_state(nn.ModuleList(task.head for task in tasks), heads, types)
    measured = trained.measured.items()
    return JobResult(
        metrics=tuple(Measurement("validation", name, value) for name, value in measured),
        curves=trained.curves,
        images=trained.images,
        train_images=sum(len(task.chosen) for task in tasks),
        artifacts={
            "checkpoint": bench.files.relative(weights),
            "heads": bench.files.relative(heads),
        },
        choice={"epoch": trained.epoch, "epochs": recipe.epochs, "rising": trained.rising},
        earlier=trained.earlier,
    )


def unitless(quality: float, metric: Metric) -> float:
    """Turn a metric into a number that may be averaged with those of other tasks.

    It only ever rises with the metric, so that one task alone has the same best epoch.

    - Between two bounds: the place from 0 (worst) to 1.
    - With one bound: the logarithm of the distance from it. Another unit (an error in months or
      years) moves it alike in all epochs. For R², whose bound is 1, it is the logarithm of the
      variance that is left.
    - With no bound: the metric as it is.

    Args:
        quality: The metric with its sign such that higher is better.
        metric: Its card, with bounds of the same sign.
    """
    low, high = metric.bounds
    if math.isfinite(low) and math.isfinite(high):
        return (quality - low) / (high - low)
    if math.isfinite(high):
        return -math.log(max(high - quality, MIN_DISTANCE))
    if math.isfinite(low):
        return math.log(max(quality - low, MIN_DISTANCE))
    return quality


def _chain_task(
    task: Task, base: SourceModel, backbone: Backbone, *, job: Job, bench: Workbench
) -> _ChainTask:
    assert job.training is not None, "the planner gives every pre-training its budget"
    task_type = bench.task_type(task)
    methods = task_type.methods
    prepared = bench.prepared(task, job.image_size)
    strata = methods.strata(prepared.train.targets)
    # Every training of a chain holds out the same images: adaptations that go on learning from its
    # data (``adaptation_context``) know which.
    chosen = draw_subset(strata, "full", seed=SOURCE_SEED, validation=job.validation)
    shared = Backbone(backbone.network, dense=task_type.dense)
    head = methods.head(width_of(shared, job.image_size), prepared.outputs)
    methods.init_head(head, prepared.train.targets[chosen.train])
    return _ChainTask(
        task=task,
        task_type=task_type,
        prepared=prepared,
        chosen=chosen,
        batches=Batches(prepared.train, base, bench.device),
        augment=augmentation(job.training, task, task_type),
        backbone=shared,
        head=head,
        weight=1 / methods.chance(prepared.outputs),
    )


def _balanced_turns(tasks: int, steps: int, generator: torch.Generator) -> list[int]:
    """Draw whose turn it is in each step: rounds of all tasks, each round in random order."""
    count = math.ceil(steps / tasks)
    rounds = [torch.randperm(tasks, generator=generator) for _ in range(count)]
    return torch.cat(rounds)[:steps].tolist()
