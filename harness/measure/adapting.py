"""Adapt jobs: one source, one adaptation, one subset of one task; reported on test, chosen on validation."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.measure.adaptation_context import make_context, shown
from headwater.harness.measure.augmentation import augmentation
from headwater.harness.measure.backbone import save_state
from headwater.harness.measure.batches import Batches, steps_per_epoch
from headwater.harness.measure.loaded_cell import LoadedCell, load_cell
from headwater.harness.measure.snapshot import Snapshots
from headwater.harness.measure.training import (
    EpochCriterion,
    Report,
    TrainingResult,
    never_stop,
    predict,
    train,
)
from headwater.harness.measure.tuning import Enough, TrialSetting, tune
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench, save_array
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

    cell: LoadedCell
    """As it was trained: where it was tuned, with what was chosen."""
    network: nn.Module
    trained: TrainingResult
    outputs: Tensor
    """(N, ...) float32 on the test split."""
    tested: Mapping[str, float]
    images: int
    choice: Mapping[str, Value]
    trials: tuple[Trial, ...] = ()


def adapt(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Train on images and measure; raises NotApplicable for a subset that the task cannot fill. Cells on features: `solving`."""
    cell = load_cell(job, bench)
    fitted = (
        fit_tuned(cell, bench, report) if job.tuning else fit(cell, bench, report, resumable=True)
    )
    kept = _keep_network(fitted.cell, bench, fitted.network) if job.keep else {}
    return JobResult(
        metrics=(
            *measurements("validation", fitted.trained.measured),
            *measurements("test", fitted.tested),
        ),
        curves=fitted.trained.curves,
        images=fitted.images,
        train_images=len(cell.chosen),
        artifacts=keep_predictions(job, bench, fitted.outputs, _on_validation(fitted, bench))
        | kept,
        choice=dict(fitted.choice),
        trials=fitted.trials,
        earlier=fitted.trained.earlier,
    )


def build_objective(cell: LoadedCell, bench: Workbench) -> Objective:
    """The cell as training finds it, bit for bit: the source's weights under a head drawn from the cell's seed."""
    settings, device, methods = cell.settings, bench.device, cell.task_type.methods
    backbone, width = bench.backbone(cell.source, cell.job, dense=cell.task_type.dense)
    torch.manual_seed(cell.seed)
    steps = steps_per_epoch(len(cell.chosen.train), settings.batch_size) * settings.epochs
    head = methods.head(width, cell.prepared.outputs)
    if cell.sees_labels:
        methods.init_head(head, cell.prepared.train.targets[cell.chosen.train])
    head = device.place(head)
    objective = cell.card.method(make_context(cell, bench, backbone, head, steps), **cell.options)
    if not hasattr(objective, "network"):
        raise BadPlugin(
            f"{cell.card.name} returned a {type(objective).__name__}, not an Objective",
            subject=cell.card.name,
        )
    return objective


def fit(cell: LoadedCell, bench: Workbench, report: Report, *, resumable: bool = False) -> Fitted:
    """Train a cell, choose the epoch on validation, and look at test once.

    ``resumable``: from its job's snapshot, if a killed worker left one; only for what the job itself trains.
    """
    network, trained = _trained(cell, bench, report, resumable=resumable)
    return _tested(cell, bench, network, trained)


def fit_tuned(cell: LoadedCell, bench: Workbench, report: ReportProgress) -> Fitted:
    """Train a cell once for each trial, choose trial and epoch on validation, and look at test once."""
    assert cell.job.tuning is not None, "the planner gives every tuned cell its search"
    found = tune(
        cell.job.tuning,
        TrialSetting(cell.settings, cell.options),
        cell.card.options(),
        cell.seed,
        cell.job.record.sign,
        lambda setting, report, enough: _trained(cell.at(setting), bench, report, enough),
        report,
    )
    fitted = _tested(cell.at(found.setting), bench, found.network, found.trained)
    return replace(fitted, images=found.images, choice=found.choice, trials=found.trials)


def _trained(
    cell: LoadedCell,
    bench: Workbench,
    report: Report,
    enough: Enough = never_stop,
    *,
    resumable: bool = False,
) -> tuple[nn.Module, TrainingResult]:
    settings, device, methods, prepared = (
        cell.settings,
        bench.device,
        cell.task_type.methods,
        cell.prepared,
    )
    objective = build_objective(cell, bench)
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
        Snapshots.of(cell.job, bench, generator)
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
            EpochCriterion(
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


def _tested(
    cell: LoadedCell, bench: Workbench, network: nn.Module, trained: TrainingResult
) -> Fitted:
    test = Batches(cell.prepared.test, cell.source, bench.device)
    outputs = predict(
        network,
        test.in_order(np.arange(len(cell.prepared.test)), cell.settings.batch_size),
        bench.device,
    )
    tested = cell.task_type.methods.measure(outputs, torch.from_numpy(cell.prepared.test.targets))
    return Fitted(cell, network, trained, outputs, tested, trained.images, {"epoch": trained.epoch})


def _on_validation(fitted: Fitted, bench: Workbench) -> Tensor:
    """(N, ...) the chosen epoch's outputs on the validation images: choices between sources are made on them."""
    cell = fitted.cell
    batches = Batches(cell.prepared.train, cell.source, bench.device)
    return predict(
        fitted.network,
        batches.in_order(cell.chosen.validation, cell.settings.batch_size),
        bench.device,
    )


def measurements(split: str, values: Mapping[str, float]) -> list[Measurement]:
    return [Measurement(split, name, value) for name, value in values.items()]


def keep_predictions(
    job: Job, bench: Workbench, test: Tensor, validation: Tensor
) -> dict[str, str]:
    paths = {
        "predictions": bench.files.predictions(job.id),
        "validation_predictions": bench.files.predictions(job.id, "validation"),
    }
    for path, outputs in zip(paths.values(), (test, validation), strict=True):
        save_array(path, compress_outputs(outputs))
    return {role: bench.files.relative(path) for role, path in paths.items()}


def compress_outputs(outputs: Tensor) -> np.ndarray:
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


def _keep_network(cell: LoadedCell, bench: Workbench, network: nn.Module) -> dict[str, str]:
    """Leave the trained network, and the settings that made it, for analyses."""
    path = bench.files.checkpoint(cell.job.id)
    save_state(
        network,
        path,
        {"training": cell.settings.model_dump_json(), "options": json.dumps(dict(cell.options))},
    )
    return {"network": bench.files.relative(path)}
