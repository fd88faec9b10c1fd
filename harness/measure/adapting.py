"""Run adapt jobs: train one source by one adaptation on one subset of one task, and measure it on
test.

Choices (the epoch and, where the cell is tuned, the trial) are made on validation images out of the
subset; the test images are looked at once, by the network that was chosen.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.measure.adaptation_context import hide_labels, make_context
from headwater.harness.measure.augmentation import augmentation
from headwater.harness.measure.backbone import save_state
from headwater.harness.measure.batches import Batches, steps_per_epoch
from headwater.harness.measure.loaded_cell import LoadedCell, load_cell
from headwater.harness.measure.snapshot import Snapshots
from headwater.harness.measure.training import (
    Budget,
    EpochCriterion,
    ReportEpoch,
    StoppingRule,
    TrainingResult,
    never_stop,
    predict,
    train,
)
from headwater.harness.measure.tuning import TrialSetting, tune
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench, save_array
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Measurement, Trial
from headwater.registry import Batch, Objective
from headwater.registry.names import Value

MAX_HALF = 1e4
"""The largest number that is stored in half precision."""
MAX_ROUNDING = 0.01
"""The share of the outputs' deviation that half precision may move one of them by."""


@dataclass(frozen=True)
class FittedCell:
    """A trained cell, or the best of several trials: the network with the chosen epoch's weights,
    measured on test.

    Attributes:
        cell: As it was trained: where it was tuned, with the values that were chosen.
        outputs: (N, ...) float32 on the test split.
        validation: (M, ...) float32 on the validation images, by the network that was chosen there:
            choices between sources are made on them. Where the recipe refits, ``network`` is
            another, which has trained on these images.
        tested: Every metric on test.
        images: Images processed, those of all trials.
        choice: The chosen epoch and, where the cell was tuned, trial and values.
    """

    cell: LoadedCell
    network: nn.Module
    trained: TrainingResult
    outputs: Tensor
    validation: Tensor
    tested: Mapping[str, float]
    images: int
    choice: Mapping[str, Value]
    trials: tuple[Trial, ...] = ()


def adapt(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Train a cell on images and measure it; cells on features are solved by ``feature_solving``.

    Raises:
        NotApplicable: The task cannot fill the subset, or the adaptation does not apply to the
            source.
    """
    cell = load_cell(job, bench)
    if job.tuning:
        fitted = fit_tuned(cell, bench, report)
    else:
        fitted = fit(cell, bench, report, resumable=True)
    network = _keep_network(fitted.cell, bench, fitted.network) if job.keep else {}
    predictions = keep_predictions(job, bench, fitted.outputs, fitted.validation)
    return JobResult(
        metrics=(
            *measurements("validation", fitted.trained.measured),
            *measurements("test", fitted.tested),
            *measurements("floor", bench.floor(cell.task, job.image_size)),
        ),
        curves=fitted.trained.curves,
        images=fitted.images,
        train_images=len(cell.chosen),
        artifacts=predictions | network,
        choice=dict(fitted.choice)
        | {"epochs": cell.settings.epochs, "rising": fitted.trained.rising},
        trials=fitted.trials,
        earlier=fitted.trained.earlier,
    )


def build_objective(cell: LoadedCell, bench: Workbench) -> Objective:
    """Build a cell as training finds it, bit for bit: the source's weights under a head drawn from
    the cell's seed.

    Raises:
        BadPlugin: The adaptation returned no Objective.
        NotApplicable: The adaptation does not apply to the source or the task.
    """
    methods = cell.task_type.methods
    backbone, width = bench.backbone(cell.source, cell.job, dense=cell.task_type.dense)
    # The head is the first that is drawn after this seed, so it is the same for every source of equal width.
    torch.manual_seed(cell.seed)
    head = methods.head(width, cell.prepared.outputs)
    if cell.sees_labels:
        methods.init_head(head, cell.prepared.train.targets[cell.chosen.train])
    head = bench.device.place(head)
    steps = _steps_per_epoch(cell) * cell.settings.epochs
    context = make_context(cell, bench, backbone=backbone, head=head, steps=steps)
    return cell.card.objective(context, **cell.options)


def fit(
    cell: LoadedCell, bench: Workbench, report: ReportEpoch, *, resumable: bool = False
) -> FittedCell:
    """Train a cell, choose the epoch on validation, and measure that network on test.

    Args:
        resumable: Go on from the snapshot of the cell's job, if a killed worker left one. Only for
            the training that the job itself asks for.
    """
    network, trained = _train(cell, bench, report, resumable=resumable)
    return _measure_chosen(cell, bench, network, trained)


def fit_tuned(cell: LoadedCell, bench: Workbench, report: ReportProgress) -> FittedCell:
    """Train a cell once for each trial, choose trial and epoch on validation, and measure that
    network on test.
    """
    assert cell.job.tuning is not None, "the planner gives every tuned cell its search"

    def run_trial(
        setting: TrialSetting, report: ReportEpoch, should_stop: StoppingRule
    ) -> tuple[nn.Module, TrainingResult]:
        return _train(cell.with_setting(setting), bench, report, should_stop)

    tuned = tune(
        cell.job.tuning,
        TrialSetting(cell.settings, cell.options),
        defaults=cell.card.options(),
        seed=cell.seed,
        sign=cell.job.record.sign,
        run_trial=run_trial,
        report=report,
    )
    chosen = cell.with_setting(tuned.setting)
    fitted = _measure_chosen(chosen, bench, tuned.network, tuned.trained)
    images = fitted.images - tuned.trained.images + tuned.images
    return replace(fitted, images=images, choice=tuned.choice, trials=tuned.trials)


def _train(
    cell: LoadedCell,
    bench: Workbench,
    report: ReportEpoch,
    should_stop: StoppingRule = never_stop,
    *,
    resumable: bool = False,
) -> tuple[nn.Module, TrainingResult]:
    """Train a cell and return the network that is measured, with its best epoch's weights."""
    batch_size = cell.settings.batch_size
    methods = cell.task_type.methods
    objective = build_objective(cell, bench)
    budget = Budget(cell.settings.epochs, _steps_per_epoch(cell), objective.converge)
    batches = Batches(cell.prepared.train, cell.source, bench.device)
    generator = torch.Generator().manual_seed(cell.seed)
    augment = augmentation(cell.settings, cell.task, cell.task_type)

    def epoch_of_batches() -> Iterator[Batch]:
        return hide_labels(
            batches.shuffled(cell.chosen.train, batch_size, generator, augment), cell
        )

    def evaluate() -> Mapping[str, float]:
        rows = cell.chosen.validation
        outputs = predict(objective.network, batches.in_order(rows, batch_size), bench.device)
        return methods.measure(outputs, torch.from_numpy(cell.prepared.train.targets[rows]))

    criterion = EpochCriterion(
        evaluate,
        metric=cell.job.record.metric,
        sign=cell.job.record.sign,
        should_stop=should_stop,
        last=not cell.sees_labels or cell.settings.chooses_last(len(cell.chosen.validation)),
    )
    # A loss or a step of the plugin's own may remember what a snapshot does not hold: such a training begins anew.
    is_plain = objective.loss is None and objective.after_step is None
    with (
        Snapshots.of(cell.job, bench, generator)
        if resumable and is_plain
        else contextlib.nullcontext() as snapshots
    ):
        trained = train(
            objective,
            epoch_of_batches,
            budget=budget,
            settings=cell.settings,
            loss=methods.loss,
            criterion=criterion,
            device=bench.device,
            report=report,
            snapshots=snapshots,
        )
    network = objective.finish() if objective.finish else objective.network
    return network, trained


def _steps_per_epoch(cell: LoadedCell) -> int:
    return steps_per_epoch(len(cell.chosen.train), cell.settings.batch_size)


def _measure_chosen(
    cell: LoadedCell, bench: Workbench, network: nn.Module, trained: TrainingResult
) -> FittedCell:
    """Measure the network that was chosen, refitted where the recipe says so, on test."""
    test = cell.prepared.test
    batch_size = cell.settings.batch_size
    validation_rows = Batches(cell.prepared.train, cell.source, bench.device).in_order(
        cell.chosen.validation, batch_size
    )
    validation = predict(network, validation_rows, bench.device)
    images = trained.images
    if cell.settings.refit:
        network, refitted = _refit(cell, bench, trained.epoch)
        images += refitted.images
    test_rows = Batches(test, cell.source, bench.device).in_order(np.arange(len(test)), batch_size)
    outputs = predict(network, test_rows, bench.device)
    return FittedCell(
        cell=cell,
        network=network,
        trained=trained,
        outputs=outputs,
        validation=validation,
        tested=cell.task_type.methods.measure(outputs, torch.from_numpy(test.targets)),
        images=images,
        choice={"epoch": trained.epoch},
    )


def _refit(cell: LoadedCell, bench: Workbench, epoch: int) -> tuple[nn.Module, TrainingResult]:
    """Train anew on all images of the subset, validation included, for as many steps as led to the
    chosen epoch.
    """
    rows = np.concatenate([cell.chosen.train, cell.chosen.validation])
    whole = replace(cell, chosen=replace(cell.chosen, train=np.sort(rows)))
    steps = _steps_per_epoch(whole)
    shorter = _steps_per_epoch(cell) / steps  # an epoch of more images has more steps
    budget = Budget(
        epochs=max(1, round(cell.settings.epochs * shorter)),
        steps_per_epoch=steps,
        stop_after=max(1, round(epoch * shorter)),
    )
    batch_size = cell.settings.batch_size
    objective = build_objective(whole, bench)
    batches = Batches(cell.prepared.train, cell.source, bench.device)
    generator = torch.Generator().manual_seed(cell.seed)
    augment = augmentation(cell.settings, cell.task, cell.task_type)
    metric = cell.job.record.metric
    trained = train(
        objective,
        lambda: hide_labels(
            batches.shuffled(whole.chosen.train, batch_size, generator, augment), whole
        ),
        budget=budget,
        settings=cell.settings,
        loss=cell.task_type.methods.loss,
        # No image is left to choose by, so nothing is measured and the last epoch counts.
        criterion=EpochCriterion(lambda: {metric: math.nan}, metric=metric, sign=1, last=True),
        device=bench.device,
        report=_ignore_epoch,
    )
    network = objective.finish() if objective.finish else objective.network
    return network, trained


def _ignore_epoch(epoch: int, epochs: int, value: float, images: int) -> None:
    """Report nothing: the training before has reported the cell's epochs."""


# -- what is stored ---------------------------------------------------------------------------------------


def measurements(split: str, values: Mapping[str, float]) -> list[Measurement]:
    """Return a split's metrics as rows of the store."""
    return [Measurement(split, name, value) for name, value in values.items()]


def keep_predictions(
    job: Job, bench: Workbench, test: Tensor, validation: Tensor
) -> dict[str, str]:
    """Write a cell's outputs on both splits; return their paths by role, relative to the store's
    folder of files.
    """
    splits = {
        "predictions": (bench.files.predictions(job.id), test),
        "validation_predictions": (bench.files.predictions(job.id, "validation"), validation),
    }
    artifacts = {}
    for role, (path, outputs) in splits.items():
        save_array(path, compress_outputs(outputs))
        artifacts[role] = bench.files.relative(path)
    return artifacts


def compress_outputs(outputs: Tensor) -> np.ndarray:
    """Return outputs as they are stored: in half precision, or as they are where that is too
    coarse.

    Scores of -inf (classes that are ruled out) come to the end of half precision's range. Half
    precision is too coarse where it moves an output by more than a hundredth of the outputs'
    deviation: years, prices, pixels.
    """
    half = outputs.clamp(-MAX_HALF, MAX_HALF).to(torch.float16)
    finite = outputs.isfinite()
    rounding = (half.float() - outputs)[finite].abs()
    too_coarse = False
    if rounding.numel():
        deviation = float(outputs[finite].std(correction=0))
        too_coarse = float(rounding.max()) > MAX_ROUNDING * deviation
    array: np.ndarray = (outputs.float() if too_coarse else half).numpy()
    return array


def _keep_network(cell: LoadedCell, bench: Workbench, network: nn.Module) -> dict[str, str]:
    """Write the trained network, and the settings that made it, for analyses."""
    path = bench.files.checkpoint(cell.job.id)
    facts = {
        "training": cell.settings.model_dump_json(),
        "options": json.dumps(dict(cell.options)),
    }
    save_state(network, path, facts)
    return {"network": bench.files.relative(path)}
