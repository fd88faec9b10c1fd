"""Adapt jobs: one source, one adaptation, one subset of one task; reported on test, chosen on validation."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.measure.augmentation import augmentation
from headwater.harness.measure.backbone import save_state
from headwater.harness.measure.batches import Batches, steps_per_epoch
from headwater.harness.measure.cell import Cell, cell_of
from headwater.harness.measure.contexts import context_of, shown
from headwater.harness.measure.snapshot import Snapshots
from headwater.harness.measure.tools import JobResult, Progress, Tools, save_array
from headwater.harness.measure.training import Judge, Report, Trained, never_stop, predict, train
from headwater.harness.measure.tuning import Enough, Setting, tune
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Measurement, Trial
from headwater.registry import Objective
from headwater.registry.errors import BadPlugin
from headwater.registry.names import Value

HALF, COARSE = 1e4, 0.01
"""The largest number that is kept in half precision, and the share of the outputs' deviation that it may move one by."""


@dataclass(frozen=True)
class Fitted:
    """What one training left, or the best of several: the network with the chosen epoch's weights, and its worth on test."""

    cell: Cell
    """As it was trained: where it was tuned, with what was chosen."""
    network: nn.Module
    trained: Trained
    outputs: Tensor
    """(N, ...) float32 on the test split."""
    tested: Mapping[str, float]
    images: int
    choice: Mapping[str, Value]
    trials: tuple[Trial, ...] = ()


def adapt(job: Job, tools: Tools, report: Progress) -> JobResult:
    """Train on images and measure; raises NotApplicable for a subset that the task cannot fill. Cells on features: `solving`."""
    cell = cell_of(job, tools)
    fitted = (
        fit_tuned(cell, tools, report) if job.tuning else fit(cell, tools, report, resumable=True)
    )
    kept = _keep_network(fitted.cell, tools, fitted.network) if job.keep else {}
    return JobResult(
        metrics=(
            *measurements("validation", fitted.trained.measured),
            *measurements("test", fitted.tested),
        ),
        curves=fitted.trained.curves,
        images=fitted.images,
        train_images=len(cell.chosen),
        artifacts=keep_predictions(job, tools, fitted.outputs, _on_validation(fitted, tools))
        | kept,
        choice=dict(fitted.choice),
        trials=fitted.trials,
        earlier=fitted.trained.earlier,
    )


def begin(cell: Cell, tools: Tools) -> Objective:
    """The cell as training finds it, bit for bit: the source's weights under a head drawn from the cell's seed."""
    settings, device, methods = cell.settings, tools.device, cell.task_type.methods
    backbone, width = tools.backbone(cell.source, cell.job, dense=cell.task_type.dense)
    torch.manual_seed(cell.seed)
    steps = steps_per_epoch(len(cell.chosen.train), settings.batch_size) * settings.epochs
    head = methods.head(width, cell.prepared.outputs)
    if cell.sees_labels:
        methods.init_head(head, cell.prepared.train.targets[cell.chosen.train])
    head = device.place(head)
    objective = cell.card.method(context_of(cell, tools, backbone, head, steps), **cell.options)
    if not hasattr(objective, "network"):
        raise BadPlugin(
            f"{cell.card.name} returned a {type(objective).__name__}, not an Objective",
            subject=cell.card.name,
        )
    return objective


def fit(cell: Cell, tools: Tools, report: Report, *, resumable: bool = False) -> Fitted:
    """Train a cell, choose the epoch on validation, and look at test once.

    ``resumable``: from its job's snapshot, if a killed worker left one; only for what the job itself trains.
    """
    network, trained = _trained(cell, tools, report, resumable=resumable)
    return _tested(cell, tools, network, trained)


def fit_tuned(cell: Cell, tools: Tools, report: Progress) -> Fitted:
    """Train a cell once for each trial, choose trial and epoch on validation, and look at test once."""
    assert cell.job.tuning is not None, "the planner gives every tuned cell its search"
    found = tune(
        cell.job.tuning,
        Setting(cell.settings, cell.options),
        cell.card.options(),
        cell.seed,
        cell.job.record.sign,
        lambda setting, report, enough: _trained(cell.at(setting), tools, report, enough),
        report,
    )
    fitted = _tested(cell.at(found.setting), tools, found.network, found.trained)
    return replace(fitted, images=found.images, choice=found.choice, trials=found.trials)


def _trained(
    cell: Cell,
    tools: Tools,
    report: Report,
    enough: Enough = never_stop,
    *,
    resumable: bool = False,
) -> tuple[nn.Module, Trained]:
    settings, device, methods, prepared = (
        cell.settings,
        tools.device,
        cell.task_type.methods,
        cell.prepared,
    )
    objective = begin(cell, tools)
    learn = Batches(prepared.train, cell.source, device)
    generator = torch.Generator().manual_seed(cell.seed)
    augment = augmentation(cell.settings, cell.task, cell.task_type)

    def validate() -> Mapping[str, float]:
        outputs = predict(
            objective.network, learn.in_order(cell.chosen.validation, settings.batch_size), device
        )
        return methods.measure(
            outputs, torch.from_numpy(prepared.train.targets[cell.chosen.validation])
        )

    # A loss or a step of the plugin's own may remember what a snapshot does not hold: such a training begins anew.
    plain = objective.loss is None and objective.after_step is None
    with (
        Snapshots.of(cell.job, tools, generator)
        if resumable and plain
        else contextlib.nullcontext() as snapshots
    ):
        trained = train(
            objective,
            lambda: shown(
                learn.shuffled(cell.chosen.train, settings.batch_size, generator, augment), cell
            ),
            steps_per_epoch(len(cell.chosen.train), settings.batch_size),
            settings,
            methods.loss,
            Judge(
                validate,
                cell.job.record.metric,
                cell.job.record.sign,
                enough,
                last=not cell.sees_labels,
            ),
            device,
            report,
            snapshots,
        )
    return (objective.finish() if objective.finish else objective.network), trained


def _tested(cell: Cell, tools: Tools, network: nn.Module, trained: Trained) -> Fitted:
    test = Batches(cell.prepared.test, cell.source, tools.device)
    outputs = predict(
        network,
        test.in_order(np.arange(len(cell.prepared.test)), cell.settings.batch_size),
        tools.device,
    )
    tested = cell.task_type.methods.measure(outputs, torch.from_numpy(cell.prepared.test.targets))
    return Fitted(cell, network, trained, outputs, tested, trained.images, {"epoch": trained.epoch})


def _on_validation(fitted: Fitted, tools: Tools) -> Tensor:
    """(N, ...) the chosen epoch's outputs on the validation images: choices between sources are made on them."""
    cell = fitted.cell
    batches = Batches(cell.prepared.train, cell.source, tools.device)
    return predict(
        fitted.network,
        batches.in_order(cell.chosen.validation, cell.settings.batch_size),
        tools.device,
    )


def measurements(split: str, values: Mapping[str, float]) -> list[Measurement]:
    return [Measurement(split, name, value) for name, value in values.items()]


def keep_predictions(job: Job, tools: Tools, test: Tensor, validation: Tensor) -> dict[str, str]:
    paths = {
        "predictions": tools.files.predictions(job.id),
        "validation_predictions": tools.files.predictions(job.id, "validation"),
    }
    for path, outputs in zip(paths.values(), (test, validation), strict=True):
        save_array(path, kept(outputs))
    return {role: tools.files.relative(path) for role, path in paths.items()}


def kept(outputs: Tensor) -> np.ndarray:
    """As they are kept: in half precision, scores of -inf (classes that are ruled out) at the end of its range.

    In single precision where half would move one by more than a hundredth of the outputs' deviation: years, prices, pixels.
    """
    half, finite = outputs.clamp(-HALF, HALF).to(torch.float16), outputs.isfinite()
    moved = (half.float() - outputs)[finite].abs()
    coarse = moved.numel() and float(moved.max()) > COARSE * float(
        outputs[finite].std(correction=0)
    )
    array: np.ndarray = (outputs.float() if coarse else half).numpy()
    return array


def _keep_network(cell: Cell, tools: Tools, network: nn.Module) -> dict[str, str]:
    """Leave the trained network, and the settings that made it, for analyses."""
    path = tools.files.checkpoint(cell.job.id)
    save_state(
        network,
        path,
        {"training": cell.settings.model_dump_json(), "options": json.dumps(dict(cell.options))},
    )
    return {"network": tools.files.relative(path)}
