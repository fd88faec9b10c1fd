"""The one training loop: whatever an adaptation asks to optimise, for the budget that all sources share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.measure.device import Device
from harness.spec import Training
from leaderboard.records import CurvePoint
from registry import Batch, Objective, ParameterGroup
from registry.errors import TrainingError

Report = Callable[[int, int, float, int], None]
"""(epoch, epochs, validation metric, images so far): called after each epoch; may raise to stop."""


@dataclass(frozen=True)
class Trained:
    """What a training came to; the network holds the weights of the chosen epoch."""

    curves: tuple[CurvePoint, ...]
    epoch: int
    images: int
    measured: Mapping[str, float]
    """Every validation metric of the chosen epoch."""


@dataclass(frozen=True)
class Judge:
    """How an epoch is judged: ``evaluate()`` gives every metric on validation, ``metric`` decides with ``sign``."""

    evaluate: Callable[[], Mapping[str, float]]
    metric: str
    sign: int


def train(
    objective: Objective,
    epoch_of_batches: Callable[[], Iterator[Batch]],
    steps_per_epoch: int,
    settings: Training,
    loss: Callable[[Tensor, Tensor], Tensor],
    judge: Judge,
    device: Device,
    report: Report,
) -> Trained:
    """Train for ``settings.epochs`` and return to the epoch that was best on validation.

    Raises TrainingError where the loss stops being a number.
    """
    network = objective.network
    optimiser = _optimiser(objective.groups, settings, device)
    schedule = _schedule(optimiser, settings, steps_per_epoch * settings.epochs)
    step, images = 0, 0
    curves: list[CurvePoint] = []
    best: tuple[float, float] = (-math.inf, -math.inf)
    best_epoch, best_state = 0, {}
    best_measured: Mapping[str, float] = {}
    for epoch in range(1, settings.epochs + 1):
        began = time.perf_counter()
        _training_mode(network, objective.frozen)
        total, seen = torch.zeros((), device=device.name), 0
        for batch in epoch_of_batches():
            with device.precision():
                value = objective.loss(batch, step) if objective.loss else loss(network(batch.images), batch.targets)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            schedule.step()
            if objective.after_step:
                objective.after_step(step)
            total += value.detach() * len(batch.rows)
            seen += len(batch.rows)
            step += 1
        images += seen
        mean_loss = total.item() / seen
        if not math.isfinite(mean_loss):
            raise TrainingError(
                f"the loss became {mean_loss} in epoch {epoch}", hint=f"Lower training.learning_rate (now {settings.learning_rate})."
            )
        seconds = time.perf_counter() - began
        measured = judge.evaluate()
        curves += [CurvePoint(epoch, "train", "loss", mean_loss), CurvePoint(epoch, "train", "seconds", seconds)]
        curves += [CurvePoint(epoch, "validation", name, value) for name, value in measured.items()]
        quality = judge.sign * measured[judge.metric], -measured.get("log_loss", 0.0)
        if quality >= best:
            best, best_epoch, best_state, best_measured = quality, epoch, _copy(network), measured
        report(epoch, settings.epochs, measured[judge.metric], images)
    network.load_state_dict(best_state)
    return Trained(tuple(curves), best_epoch, images, best_measured)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _training_mode(network: nn.Module, frozen: Sequence[nn.Module]) -> None:
    network.train()
    for module in frozen:
        module.eval()


def _optimiser(groups: Sequence[ParameterGroup], settings: Training, device: Device) -> torch.optim.Optimizer:
    split: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in groups:
        decay = settings.weight_decay if group.weight_decay is None else group.weight_decay
        rate = settings.learning_rate * group.scale
        for parameter in group.parameters:
            if parameter.requires_grad:
                # Decay pulls matrices towards zero; on biases and norms it only hurts (Goyal et al. 2017, section 5.3).
                split.setdefault((rate, decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    alike = [{"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in split.items()]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(alike, lr=settings.learning_rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(alike, lr=settings.learning_rate, fused=True)


def _schedule(optimiser: torch.optim.Optimizer, settings: Training, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
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
