"""Adapt jobs: one source, one adaptation, one subset of one task; reported on test, chosen on validation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from harness.data.prepared import Prepared
from harness.data.subset import Subset, subset
from harness.job import Job
from harness.measure.batches import Augment, Batches, steps_per_epoch
from harness.measure.tools import Findings, Progress, Tools, save_array
from harness.measure.training import Judge, predict, train
from leaderboard.records import Measurement
from registry import Adaptation, Context, Features, SourceModel, Task, TaskType
from registry.errors import BadPlugin, NotApplicable


def adapt(job: Job, tools: Tools, report: Progress) -> Findings:
    """Adapt and measure; raises NotApplicable for a subset that the task cannot fill."""
    record = job.record
    source, task = tools.registry.source(record.source), tools.registry.task(record.task)
    card, options = tools.registry.adaptation(record.adaptation)
    task_type, prepared = tools.task_type(task), tools.prepared(task, job.image_size)
    try:
        chosen = subset(task_type.methods.strata(prepared.train.targets), record.size, record.seed or 0, job.validation)
    except NotApplicable as error:
        raise NotApplicable(f"{task.name}: {error.message}", subject=task.name, hint=error.hint) from None
    if card.on == "features":
        return _solve(job, tools, card, options, prepared, chosen, task_type)
    return _train(job, tools, (source, task), card, options, prepared, chosen, task_type, report)


def _train(
    job: Job,
    tools: Tools,
    pair: tuple[SourceModel, Task],
    card: Adaptation,
    options: Mapping[str, object],
    prepared: Prepared,
    chosen: Subset,
    task_type: TaskType,
    report: Progress,
) -> Findings:
    (source, task), settings, device = pair, job.training, tools.device
    assert settings is not None, "the planner gives every image-trained cell its budget"
    seed = job.record.seed or 0
    backbone, width = tools.backbone(source, job)
    torch.manual_seed(seed)
    methods = task_type.methods
    per_epoch = steps_per_epoch(len(chosen.train), settings.batch_size)
    head = device.place(methods.head(width, prepared.outputs))
    objective = card.method(Context(source, task, device.place(backbone), head, methods.loss, per_epoch * settings.epochs), **options)
    if not hasattr(objective, "network"):
        raise BadPlugin(f"{card.name} returned a {type(objective).__name__}, not an Objective", subject=card.name)
    learn, test = Batches(prepared.train, source, device), Batches(prepared.test, source, device)
    generator = torch.Generator().manual_seed(seed)
    augment = Augment(task.mirror) if settings.augmentation == "standard" else None

    def validate() -> Mapping[str, float]:
        outputs = predict(objective.network, learn.in_order(chosen.validation, settings.batch_size), device)
        return methods.measure(outputs, torch.from_numpy(prepared.train.targets[chosen.validation]))

    trained = train(
        objective,
        lambda: learn.shuffled(chosen.train, settings.batch_size, generator, augment),
        per_epoch,
        settings,
        methods.loss,
        Judge(validate, job.record.metric, job.record.sign),
        device,
        report,
    )
    outputs = predict(objective.network, test.in_order(np.arange(len(prepared.test)), settings.batch_size), device)
    tested = methods.measure(outputs, torch.from_numpy(prepared.test.targets))
    return Findings(
        metrics=(*_measurements("validation", trained.measured), *_measurements("test", tested)),
        curves=trained.curves,
        images=trained.images,
        train_images=len(chosen),
        artifacts=_keep_predictions(job, tools, outputs),
        choice={"epoch": trained.epoch},
    )


def _solve(
    job: Job,
    tools: Tools,
    card: Adaptation,
    options: Mapping[str, object],
    prepared: Prepared,
    chosen: Subset,
    task_type: TaskType,
) -> Findings:
    """Adaptations on frozen features: a file read, a solve, no network at all."""
    assert job.features is not None, "the planner gives every cell on features a job that extracts them"
    x_train, x_test = (np.load(tools.files.features(job.features, split), mmap_mode="r") for split in ("train", "test"))
    y_train, y_test = prepared.train.targets, prepared.test.targets

    def measured(scores: np.ndarray, targets: np.ndarray) -> Mapping[str, float]:
        return task_type.methods.measure(torch.from_numpy(np.ascontiguousarray(scores)).float(), torch.from_numpy(targets))

    solution = card.method(
        Features(
            train=x_train[chosen.train],
            train_targets=y_train[chosen.train],
            validation=x_train[chosen.validation],
            validation_targets=y_train[chosen.validation],
            outputs=prepared.outputs,
            measure=lambda scores, targets: job.record.sign * measured(scores, targets)[job.record.metric],
        ),
        **options,
    )
    outputs = solution.predict(np.asarray(x_test))
    validated = measured(solution.predict(x_train[chosen.validation]), y_train[chosen.validation])
    return Findings(
        metrics=(*_measurements("validation", validated), *_measurements("test", measured(outputs, y_test))),
        train_images=len(chosen),
        artifacts=_keep_predictions(job, tools, torch.from_numpy(outputs)),
        choice=dict(solution.choice),
    )


def _measurements(split: str, values: Mapping[str, float]) -> list[Measurement]:
    return [Measurement(split, name, value) for name, value in values.items()]


def _keep_predictions(job: Job, tools: Tools, outputs: Tensor) -> dict[str, str]:
    path = tools.files.predictions(job.id)
    save_array(path, outputs.clamp(-1e4, 1e4).to(torch.float16).numpy())
    return {"predictions": tools.files.relative(path)}
