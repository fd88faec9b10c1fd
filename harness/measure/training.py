"""The one training loop: whatever an adaptation asks to optimise, for the budget that all sources share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headwater.harness.measure.device import Device
from headwater.harness.measure.snapshot import Engine, Snapshots, SoFar
from headwater.harness.planning.spec import Training
from headwater.leaderboard.store.records import CurvePoint
from headwater.registry import Batch, Objective, ParameterGroup
from headwater.registry.errors import TrainingError

Report = Callable[[int, int, float, int], None]
"""(epoch, epochs, validation metric, images so far): called after each epoch; may raise to stop."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to; the network holds the weights of the chosen epoch."""

    curves: tuple[CurvePoint, ...]
    epoch: int
    """The chosen one."""
    epochs: int
    """How many were trained."""
    images: int
    measured: Mapping[str, float]
    """Every validation metric of the chosen epoch."""
    quality: tuple[float, float] = (-math.inf, -math.inf)
    """What the chosen epoch was chosen by: its metric, higher is better; then its log loss, where there is one."""
    earlier: float = 0.0
    """Seconds spent before an interruption, by a worker that is gone."""


def never_stop(epoch: int, quality: tuple[float, float]) -> bool:
    """Never enough."""
    return False


@dataclass(frozen=True)
class EpochCriterion:
    """How an epoch is judged: ``evaluate()`` gives every metric on validation, ``metric`` decides with ``sign``.

    ``enough(epoch, quality)`` may end the training early. ``last``: the last epoch is taken, whatever it is worth: without the
    target's labels there is nothing to choose by.
    """

    evaluate: Callable[[], Mapping[str, float]]
    metric: str
    sign: int
    enough: Callable[[int, tuple[float, float]], bool] = never_stop
    last: bool = False

    def quality(self, measured: Mapping[str, float]) -> tuple[float, float]:
        return self.sign * measured[self.metric], -measured.get("log_loss", 0.0)


def train(
    objective: Objective,
    epoch_of_batches: Callable[[], Iterator[Batch]],
    steps_per_epoch: int,
    settings: Training,
    loss: Callable[[Tensor, Tensor], Tensor],
    judge: EpochCriterion,
    device: Device,
    report: Report,
    snapshots: Snapshots | None = None,
) -> TrainingResult:
    """Train for ``settings.epochs`` and return to the epoch that was best on validation.

    With ``snapshots`` it goes on from the one it finds there, and leaves others. Raises TrainingError where the loss, or
    the metric of every epoch, is not a number.
    """
    optimiser = _optimiser(objective.groups, settings, device)
    engine = Engine(
        objective,
        optimiser,
        _schedule(optimiser, settings, steps_per_epoch * settings.epochs),
        device,
    )
    so_far = snapshots.resume(engine) if snapshots else SoFar()
    earlier, enough = so_far.seconds, False
    while so_far.epoch < settings.epochs and not enough:
        began = time.perf_counter()
        mean_loss = _epoch(engine, epoch_of_batches(), loss, so_far)
        if not math.isfinite(mean_loss):
            report(
                so_far.epoch, settings.epochs, math.nan, so_far.images
            )  # they were processed, for nothing
            raise TrainingError(
                f"the loss became {mean_loss} in epoch {so_far.epoch}",
                hint=f"Lower training.learning_rate (now {settings.learning_rate:g}).",
            )
        seconds = time.perf_counter() - began
        measured = judge.evaluate()
        quality = (float(so_far.epoch), 0.0) if judge.last else judge.quality(measured)
        _note(so_far, objective.network, mean_loss, seconds, measured, quality)
        so_far.seconds += time.perf_counter() - began
        if snapshots:
            snapshots.keep(engine, so_far)
        report(so_far.epoch, settings.epochs, measured[judge.metric], so_far.images)
        enough = judge.enough(so_far.epoch, judge.quality(measured))
    if not so_far.best:
        raise TrainingError(
            f"{judge.metric} on validation was not a number after any epoch", subject=judge.metric
        )
    objective.network.load_state_dict(so_far.weights)
    return TrainingResult(
        tuple(so_far.curves),
        so_far.best,
        so_far.epoch,
        so_far.images,
        so_far.measured,
        so_far.quality,
        earlier,
    )


def _epoch(
    engine: Engine,
    batches: Iterator[Batch],
    loss: Callable[[Tensor, Tensor], Tensor],
    so_far: SoFar,
) -> float:
    """One pass; returns the mean loss of its images."""
    objective, device = engine.objective, engine.device
    network = objective.network
    _training_mode(network, objective.frozen)
    total, seen = torch.zeros((), device=device.name), 0
    for batch in batches:
        with device.precision():
            value = (
                objective.loss(batch, so_far.step)
                if objective.loss
                else loss(network(batch.images), batch.targets)
            )
        engine.optimiser.zero_grad(set_to_none=True)
        value.backward()
        engine.optimiser.step()
        engine.schedule.step()
        if objective.after_step:
            objective.after_step(so_far.step)
        total += value.detach() * len(batch.rows)
        seen += len(batch.rows)
        so_far.step += 1
    so_far.epoch += 1
    so_far.images += seen
    return total.item() / seen


def _note(
    so_far: SoFar,
    network: nn.Module,
    loss: float,
    seconds: float,
    measured: Mapping[str, float],
    quality: tuple[float, float],
) -> None:
    epoch = so_far.epoch
    so_far.curves += [
        CurvePoint(epoch, "train", "loss", loss),
        CurvePoint(epoch, "train", "seconds", seconds),
    ]
    so_far.curves += [
        CurvePoint(epoch, "validation", name, value) for name, value in measured.items()
    ]
    if quality >= so_far.quality:
        so_far.quality, so_far.best, so_far.measured, so_far.weights = (
            quality,
            epoch,
            measured,
            _copy(network),
        )


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _training_mode(network: nn.Module, frozen: Sequence[nn.Module]) -> None:
    network.train()
    for module in frozen:
        module.eval()


def _optimiser(
    groups: Sequence[ParameterGroup], settings: Training, device: Device
) -> torch.optim.Optimizer:
    split: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in groups:
        decay = settings.weight_decay if group.weight_decay is None else group.weight_decay
        rate = settings.learning_rate * group.scale
        for parameter in group.parameters:
            if parameter.requires_grad:
                # Decay pulls matrices towards zero; on biases and norms it only hurts (Goyal et al. 2017, section 5.3).
                split.setdefault((rate, decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    alike = [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in split.items()
    ]
    if settings.optimiser == "sgd":
        sgd = torch.optim.SGD(
            alike, lr=settings.learning_rate, momentum=0.9, nesterov=True, fused=True
        )
        for parameters in split.values():
            for parameter in parameters:
                # Momentum starts at zero, as it would by itself; but the fused step fails where a parameter (a joint chain's
                # other head) gets its first gradient later than others.
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    return torch.optim.AdamW(alike, lr=settings.learning_rate, fused=True)


def _schedule(
    optimiser: torch.optim.Optimizer, settings: Training, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then a cosine to zero."""
    warm = max(1, round(settings.warm_up * steps)) if settings.warm_up else 0

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


@torch.inference_mode()
def predict(network: nn.Module, batches: Iterator[Tensor], device: Device) -> Tensor:
    """The network's outputs on a split, in evaluation mode: (N, ...) float32 on the CPU."""
    network.eval()
    outputs = []
    for images in batches:
        with device.precision():
            outputs.append(network(images).float())
    return torch.cat(outputs).cpu()
