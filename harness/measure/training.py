"""Train a network: the one loop for whatever an adaptation optimises, under the budget that all
sources share.

An epoch is one pass over the training images, in steps of one batch, each with its own learning
rate: a linear warm-up, then a cosine to zero. After each epoch the network is measured on the
validation images. The weights of the epoch that is best there are the result, so that sources which
learn fast and sources which overfit late get the same treatment. Only the objective, the
optimiser's state, the schedule and random numbers move between epochs; ``snapshot`` keeps them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headwater.harness.measure.device import Device
from headwater.harness.measure.snapshot import Engine, Snapshots, TrainingState
from headwater.harness.planning.spec import Training
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
    """What the chosen epoch was chosen by."""
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
        last: Whether the last epoch is chosen, whatever it is worth: without the target's labels
            there is nothing to choose by.
    """

    evaluate: Callable[[], Mapping[str, float]]
    metric: str
    sign: int
    should_stop: StoppingRule = never_stop
    last: bool = False

    def quality(self, measured: Mapping[str, float]) -> EpochQuality:
        """Return the worth of an epoch with these validation metrics."""
        return self.sign * measured[self.metric], -measured.get("log_loss", 0.0)


def train(
    objective: Objective,
    epoch_of_batches: Callable[[], Iterator[Batch]],
    *,
    steps_per_epoch: int,
    settings: Training,
    loss: Loss,
    criterion: EpochCriterion,
    device: Device,
    report: ReportEpoch,
    snapshots: Snapshots | None = None,
) -> TrainingResult:
    """Train for ``settings.epochs`` and return to the epoch that was best on validation.

    Args:
        objective: The network, what is optimised in it, and possibly a loss of its own.
        epoch_of_batches: Returns the batches of one epoch; called once an epoch.
        steps_per_epoch: Number of those batches; the schedule is as long as all epochs.
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
    schedule = _schedule(optimiser, settings, steps_per_epoch * settings.epochs)
    engine = Engine(objective, optimiser, schedule, device)
    state = snapshots.resume(engine) if snapshots else TrainingState()
    earlier = state.seconds
    stopped = False
    while state.epoch < settings.epochs and not stopped:
        began = time.perf_counter()
        mean_loss = _epoch(engine, epoch_of_batches(), loss, state)
        if not math.isfinite(mean_loss):
            # The images count as processed, though for nothing.
            report(state.epoch, settings.epochs, math.nan, state.images)
            raise TrainingError(
                f"the loss became {mean_loss} in epoch {state.epoch}",
                hint=f"Lower training.learning_rate (now {settings.learning_rate:g}).",
            )
        seconds = time.perf_counter() - began
        measured = criterion.evaluate()
        _add_to_curves(state, mean_loss, seconds, measured)
        by_epoch = (float(state.epoch), 0.0)
        quality = by_epoch if criterion.last else criterion.quality(measured)
        if quality >= state.quality:
            _keep_as_best(state, objective.network, measured, quality)
        state.seconds += time.perf_counter() - began
        if snapshots:
            snapshots.keep(engine, state)
        report(state.epoch, settings.epochs, measured[criterion.metric], state.images)
        stopped = criterion.should_stop(state.epoch, criterion.quality(measured))
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
        earlier=earlier,
    )


def _epoch(engine: Engine, batches: Iterator[Batch], loss: Loss, state: TrainingState) -> float:
    """Train for one epoch and return the mean loss of its images."""
    objective, device = engine.objective, engine.device
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
    groups: Sequence[ParameterGroup], settings: Training, device: Device
) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over the trainable parameters, those with equal rate and decay
    in one group.
    """
    by_rate_and_decay: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in groups:
        decay = settings.weight_decay if group.weight_decay is None else group.weight_decay
        rate = settings.learning_rate * group.scale
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
        return torch.optim.AdamW(merged, lr=settings.learning_rate, fused=True)
    sgd = torch.optim.SGD(
        merged, lr=settings.learning_rate, momentum=0.9, nesterov=True, fused=True
    )
    for parameters in by_rate_and_decay.values():
        for parameter in parameters:
            # Momentum starts at zero, as it would by itself; but the fused step fails where a parameter (a joint
            # chain's other head) gets its first gradient later than others.
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def _schedule(
    optimiser: torch.optim.Optimizer, settings: Training, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the learning rate's schedule: a linear warm-up, then a cosine to zero."""
    warm = max(1, round(settings.warm_up * steps)) if settings.warm_up else 0

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

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
