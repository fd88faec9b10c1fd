"""Train a network: the one loop for whatever an adaptation optimises, under the budget that all
sources share.

An epoch is one pass over the training images, in steps of one batch, each with its own learning
rate: a linear warm-up, then a cosine to zero. After each epoch the network is measured on the
validation images. The weights of the epoch that is best there are the result, so that sources which
learn fast and sources which overfit late get the same treatment; where validation is too small to
choose by, those of the last epoch are. Only the objective, the optimiser's state, the schedule and
random numbers move between epochs; ``snapshot`` keeps them.

A training to convergence goes on after its budget, in cycles of the same schedule that double what
was trained (Loshchilov and Hutter 2017, arXiv 1608.03983), until two cycles in a row have brought
nothing on validation.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.measure.device import Device
from headwater.harness.measure.snapshot import Engine, Snapshots, TrainingState
from headwater.harness.planning.recipes import Recipe
from headwater.leaderboard.store.records import CurvePoint
from headwater.registry import Batch, Objective, ParameterGroup
from headwater.registry.errors import TrainingError

ReportEpoch = Callable[[int, int, float, int], None]
"""(epoch, epochs, validation metric, images so far): called after each epoch; may raise to stop."""

EpochQuality = tuple[float, float]
"""The worth of an epoch on validation: its metric, higher is better; then its negative log loss, 0
where there is none.
"""

StoppingRule = Callable[[int, EpochQuality], bool]
"""(epoch, quality) -> whether the training ends after this epoch."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> the loss, a scalar."""


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training; the network holds the weights of the chosen epoch."""

    curves: tuple[CurvePoint, ...]
    epoch: int
    """The chosen epoch."""
    epochs: int
    """Number of epochs that were trained."""
    images: int
    """Images processed in all epochs."""
    measured: Mapping[str, float]
    """Every validation metric of the chosen epoch."""
    quality: EpochQuality = (-math.inf, -math.inf)
    """The worth of the chosen epoch on validation."""
    rising: bool = False
    """Whether validation was still getting better when the training ended."""
    earlier: float = 0.0
    """Seconds spent before an interruption, by a worker that is gone."""


def never_stop(epoch: int, quality: EpochQuality) -> bool:
    """Return False: the default stopping rule never stops."""
    return False


@dataclass(frozen=True)
class EpochCriterion:
    """Measures an epoch on validation and says which epoch is chosen.

    Attributes:
        evaluate: Returns every metric on validation.
        metric: The metric that decides.
        sign: 1 where a higher metric is better, -1 where a lower one is.
        should_stop: May end the training early.
        last: Whether the last epoch is chosen, whatever it is worth: without the target's labels,
            or on few validation images, there is nothing to choose by.
    """

    evaluate: Callable[[], Mapping[str, float]]
    metric: str
    sign: int
    should_stop: StoppingRule = never_stop
    last: bool = False

    def quality(self, measured: Mapping[str, float]) -> EpochQuality:
        """Return the worth of an epoch with these validation metrics."""
        return self.sign * measured[self.metric], -measured.get("log_loss", 0.0)


@dataclass(frozen=True)
class Budget:
    """How long a training is.

    Attributes:
        epochs: The budget that all sources share; the schedule ends with it.
        steps_per_epoch: Optimisation steps of an epoch.
        converge: How many times the budget a training to convergence may take; 1: just the budget.
        stop_after: The epoch to stop after, for a training that repeats another's choice; None:
            the last.
    """

    epochs: int
    steps_per_epoch: int
    converge: int = 1
    stop_after: int | None = None

    @property
    def cycle_ends(self) -> list[int]:
        """Return the epochs at which the schedule starts again: after 1, 2, 4, 8, … budgets."""
        ends = [self.epochs]
        while ends[-1] < self.max_epochs:
            ends.append(min(2 * ends[-1], self.max_epochs))
        return ends

    @property
    def max_epochs(self) -> int:
        return self.epochs * self.converge


PATIENCE = 2
"""Cycles in a row that bring nothing before a training counts as converged: one alone may be the
noise of few validation images."""


MIN_RISE = 0.02
"""The least rise from the middle to the last third of a training, as a share of the whole curve's
range, that counts as getting better."""


def has_converged(series: Sequence[float], cycle_ends: Sequence[int]) -> bool:
    """Return whether the last cycles of a training have brought nothing on validation.

    Args:
        series: The metric after each epoch, higher is better.
        cycle_ends: The epochs, from 1, at which cycles end.
    """
    ends = [series[end - 1] for end in cycle_ends if end <= len(series)]
    if len(series) not in cycle_ends or len(ends) <= PATIENCE:
        return False
    return max(ends[-PATIENCE:]) <= max(ends[:-PATIENCE])


def is_rising(series: Sequence[float], cycle_ends: Sequence[int]) -> bool:
    """Return whether validation was still getting better when a training ended.

    After several cycles: whether the last cycle's end is better than all before. Within one cycle:
    whether the mean of the last third of the epochs exceeds that of the middle third by more than
    two standard errors of that difference, and by more than 2 % of all that validation moved. The
    schedule flattens the end, so that a network which
    rises even there has not been trained enough.

    Args:
        series: The metric after each epoch, higher is better.
        cycle_ends: The epochs, from 1, at which cycles end.
    """
    ends = [series[end - 1] for end in cycle_ends if end <= len(series)]
    if len(ends) > 1:
        return ends[-1] > max(ends[:-1])
    third = len(series) // 3
    if third < 2:
        return len(series) > 1 and series[-1] > series[0]
    last, middle = np.array(series[-third:]), np.array(series[-2 * third : -third])
    error = math.sqrt((last.var(ddof=1) + middle.var(ddof=1)) / third)
    least = max(2 * error, MIN_RISE * float(np.ptp(series)))
    return bool(last.mean() - middle.mean() > least)


def train(
    objective: Objective,
    epoch_of_batches: Callable[[], Iterator[Batch]],
    *,
    budget: Budget,
    settings: Recipe,
    loss: Loss,
    criterion: EpochCriterion,
    device: Device,
    report: ReportEpoch,
    snapshots: Snapshots | None = None,
) -> TrainingResult:
    """Train for the budget and return to the epoch that counts.

    Args:
        objective: The network, what is optimised in it, and possibly a loss of its own.
        epoch_of_batches: Returns the batches of one epoch; called once an epoch.
        budget: Number of epochs, and of batches in each.
        settings: The recipe.
        loss: Used where the objective has none.
        criterion: Chooses the epoch, and may end the training.
        device: Where the batches lie, and its precision.
        report: Called after each epoch.
        snapshots: The training goes on from the snapshot that it finds there, and leaves others.

    Raises:
        TrainingError: The loss, or the metric of every epoch, is not a number.
    """
    optimiser = build_optimiser(objective.groups, settings, device)
    schedule = _schedule(optimiser, settings.warm_up, budget)
    max_epochs = budget.stop_after or budget.max_epochs
    engine = Engine(objective, optimiser, schedule, device)
    state = snapshots.resume(engine) if snapshots else TrainingState()
    earlier = state.seconds
    stopped = False
    while state.epoch < max_epochs and not stopped:
        began = time.perf_counter()
        mean_loss = _epoch(engine, epoch_of_batches(), loss, state=state, clip=settings.clip)
        if not math.isfinite(mean_loss):
            # The images count as processed, though for nothing.
            report(state.epoch, max_epochs, math.nan, state.images)
            raise TrainingError(
                f"the loss became {mean_loss} in epoch {state.epoch}",
                hint=f"Lower training.learning_rate (now {settings.learning_rate * settings.rate_factor:g}).",
            )
        seconds = time.perf_counter() - began
        measured = criterion.evaluate()
        _add_to_curves(state, mean_loss, seconds, measured)
        quality = criterion.quality(measured)
        if criterion.last or quality >= state.quality:
            _keep_as_best(state, objective.network, measured, quality)
        state.seconds += time.perf_counter() - began
        if snapshots:
            snapshots.keep(engine, state)
        report(state.epoch, max_epochs, measured[criterion.metric], state.images)
        series = _validation_series(state, criterion)
        stopped = criterion.should_stop(state.epoch, quality) or has_converged(
            series, budget.cycle_ends
        )
    if not state.best:
        raise TrainingError(
            f"{criterion.metric} on validation was not a number after any epoch",
            subject=criterion.metric,
        )
    objective.network.load_state_dict(state.weights)
    return TrainingResult(
        curves=tuple(state.curves),
        epoch=state.best,
        epochs=state.epoch,
        images=state.images,
        measured=state.measured,
        quality=state.quality,
        rising=is_rising(_validation_series(state, criterion), budget.cycle_ends),
        earlier=earlier,
    )


def _validation_series(state: TrainingState, criterion: EpochCriterion) -> list[float]:
    """Return the metric that decides after each epoch, higher is better."""
    return [
        criterion.sign * point.value
        for point in state.curves
        if point.split == "validation" and point.metric == criterion.metric
    ]


def _epoch(
    engine: Engine, batches: Iterator[Batch], loss: Loss, *, state: TrainingState, clip: float
) -> float:
    """Train for one epoch and return the mean loss of its images."""
    objective, device = engine.objective, engine.device
    trained = [
        parameter for group in engine.optimiser.param_groups for parameter in group["params"]
    ]
    network = objective.network
    _set_training_mode(network, objective.frozen)
    total = torch.zeros((), device=device.name)
    images = 0
    for batch in batches:
        with device.precision():
            if objective.loss:
                value = objective.loss(batch, state.step)
            else:
                value = loss(network(batch.images), batch.targets)
        engine.optimiser.zero_grad(set_to_none=True)
        value.backward()
        if clip:
            nn.utils.clip_grad_norm_(trained, clip)
        engine.optimiser.step()
        engine.schedule.step()
        if objective.after_step:
            objective.after_step(state.step)
        # The sum stays on the device: reading the loss of each step would wait for the device each time.
        total += value.detach() * len(batch.rows)
        images += len(batch.rows)
        state.step += 1
    state.epoch += 1
    state.images += images
    return total.item() / images


def _add_to_curves(
    state: TrainingState, loss: float, seconds: float, measured: Mapping[str, float]
) -> None:
    epoch = state.epoch
    state.curves.append(CurvePoint(epoch, "train", "loss", loss))
    state.curves.append(CurvePoint(epoch, "train", "seconds", seconds))
    for name, value in measured.items():
        state.curves.append(CurvePoint(epoch, "validation", name, value))


def _keep_as_best(
    state: TrainingState, network: nn.Module, measured: Mapping[str, float], quality: EpochQuality
) -> None:
    state.best = state.epoch
    state.measured = measured
    state.quality = quality
    tensors = network.state_dict()
    state.weights = {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _set_training_mode(network: nn.Module, frozen: Sequence[nn.Module]) -> None:
    """Put a network into training mode, but its frozen modules into evaluation mode: their
    statistics stay.
    """
    network.train()
    for module in frozen:
        module.eval()


def build_optimiser(
    groups: Sequence[ParameterGroup], settings: Recipe, device: Device
) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over the trainable parameters, those with equal rate and decay
    in one group.
    """
    peak_rate = settings.learning_rate * settings.rate_factor
    by_rate_and_decay: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in groups:
        decay = settings.weight_decay if group.weight_decay is None else group.weight_decay
        rate = peak_rate * group.scale
        for parameter in group.parameters:
            if parameter.requires_grad:
                # Decay pulls matrices towards zero; on biases and norms it only hurts (Goyal et al. 2017, section 5.3).
                own_decay = decay if parameter.ndim > 1 else 0.0
                by_rate_and_decay.setdefault((rate, own_decay), []).append(parameter)
    merged = [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in by_rate_and_decay.items()
    ]
    if settings.optimiser != "sgd":
        return torch.optim.AdamW(merged, lr=peak_rate, fused=True)
    sgd = torch.optim.SGD(merged, lr=peak_rate, momentum=0.9, nesterov=True, fused=True)
    for parameters in by_rate_and_decay.values():
        for parameter in parameters:
            # Momentum starts at zero, as it would by itself; but the fused step fails where a parameter (a joint
            # chain's other head) gets its first gradient later than others.
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def _schedule(
    optimiser: torch.optim.Optimizer, warm_up: float, budget: Budget
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the learning rate's schedule: in each cycle a linear warm-up, then a cosine to zero.

    Args:
        optimiser: Its rates are multiplied.
        warm_up: The share of a cycle's steps that warm up.
        budget: The cycles.
    """
    starts = [0, *(end * budget.steps_per_epoch for end in budget.cycle_ends)]

    def factor(step: int) -> float:
        cycle = min(bisect_right(starts, step), len(starts) - 1) - 1
        steps = starts[cycle + 1] - starts[cycle]
        warm = max(1, round(warm_up * steps)) if warm_up else 0
        place = step - starts[cycle]
        if place < warm:
            return (place + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (place - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


@torch.inference_mode()
def predict(network: nn.Module, batches: Iterator[Tensor], device: Device) -> Tensor:
    """Return the network's outputs on batches of images, in evaluation mode: (N, ...) float32 on
    the CPU.
    """
    network.eval()
    outputs = []
    for images in batches:
        with device.precision():
            outputs.append(network(images).float())
    return torch.cat(outputs).cpu()
