"""Keep a training's whole state at the end of an epoch, so that a killed training goes on to the
same bits.

The next step of a training depends on the weights, on the optimiser's momenta and the schedule's
step, on the random numbers that shuffle and augment batches and that torch draws in the network,
and on the best epoch so far. A snapshot holds all of them, as they are between two epochs: within
an epoch the order of the batches would be missing.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from headwater.harness.measure.device import Device
from headwater.harness.measure.workbench import Workbench
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import CurvePoint
from headwater.registry import Objective
from headwater.registry.cache import write_atomically
from headwater.registry.errors import TrainingError
from headwater.registry.identity import digest

EVERY_SECONDS = 30.0
"""Least time between two snapshots: how much of a training may be lost, beside the epoch under way.
"""
MAX_TIME_SHARE = 0.05
"""The most of a training's time that snapshots may take; those of large networks are written less
often.
"""


@dataclass
class TrainingState:
    """The state of a training at the end of an epoch; in epoch 0 it has not begun."""

    epoch: int = 0
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    curves: list[CurvePoint] = field(default_factory=list)
    quality: tuple[float, float] = (-math.inf, -math.inf)
    """Worth of the best epoch: its validation metric, higher is better, and its negative log loss,
    where there is one.
    """
    best: int = 0
    """The best epoch."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """Every validation metric of the best epoch."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """The network's state after the best epoch."""


@dataclass(frozen=True)
class Engine:
    """The moving parts of a training besides random numbers: weights, optimiser and schedule."""

    objective: Objective
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    device: Device

    def state(self) -> dict[str, Any]:
        """Return all of it in a form that torch saves; the tensors are not copied."""
        return {
            "network": self.objective.network.state_dict(),
            "beside": [parameter.detach() for parameter in self._extra_parameters()],
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        """Go back to a state that ``state`` returned."""
        self.objective.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        for parameter, saved in zip(self._extra_parameters(), state["beside"], strict=True):
            parameter.copy_(saved)

    def _extra_parameters(self) -> list[torch.nn.Parameter]:
        """Return the parameters that are trained with the network without being part of it."""
        network = {id(parameter) for parameter in self.objective.network.parameters()}
        return [
            parameter
            for group in self.objective.groups
            for parameter in group.parameters
            if id(parameter) not in network
        ]


class Snapshots:
    """Reads and writes one training's snapshot: a file beside the store, removed when the training
    has ended.

    As a context it removes the file when it is left without an exception, or with a TrainingError,
    which would only come again. Whatever else ends it, a kill or Ctrl-C, leaves the file for the
    next time.

    Args:
        path: The file.
        identity: What a snapshot must have been written for to be read; any other is ignored.
        generator: Draws the training's batches.
        every: Least seconds between two snapshots; None: ``EVERY_SECONDS``.
    """

    def __init__(
        self, path: Path, identity: str, generator: torch.Generator, every: float | None = None
    ) -> None:
        self.path = path
        self.identity = identity
        self.generator = generator
        self.every = EVERY_SECONDS if every is None else every
        self.due = time.monotonic() + self.every

    @classmethod
    def of(cls, job: Job, bench: Workbench, generator: torch.Generator) -> Self:
        """Return a job's snapshots; under another torch, or on another kind of device, the training
        begins anew.
        """
        identity = digest("snapshot 1", job.id, torch.__version__, bench.device.name)
        return cls(bench.files.snapshot(job.id), identity, generator)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, TrainingError):
            self.path.unlink(missing_ok=True)

    def resume(self, engine: Engine) -> TrainingState:
        """Put the engine and all random numbers where the snapshot left them; without a fitting
        one, leave them alone.
        """
        snapshot = self._read()
        if snapshot is None:
            return TrainingState()
        engine.load(snapshot["engine"])
        random = snapshot["random"]
        self.generator.set_state(random["batches"])
        torch.set_rng_state(random["torch"])
        if engine.device.name == "cuda":
            torch.cuda.set_rng_state(random["cuda"])
        fields = dict(snapshot["so_far"])
        fields["curves"] = [CurvePoint(*point) for point in fields["curves"]]
        return TrainingState(**fields)

    def keep(self, engine: Engine, state: TrainingState) -> None:
        """Write a snapshot if the last is old enough. A full disk costs the snapshot, not the
        training.
        """
        began = time.monotonic()
        if began < self.due:
            return
        snapshot = {
            "identity": self.identity,
            "engine": engine.state(),
            "random": self._random_states(engine.device),
            "so_far": _plain_fields(state),
        }
        # torch raises a RuntimeError for a write that failed.
        with contextlib.suppress(OSError, RuntimeError):
            write_atomically(self.path, lambda temporary: torch.save(snapshot, temporary))
        now = time.monotonic()
        pause = (now - began) / MAX_TIME_SHARE if self.every else 0.0
        self.due = now + max(self.every, pause)

    def _random_states(self, device: Device) -> dict[str, Tensor]:
        states = {"batches": self.generator.get_state(), "torch": torch.get_rng_state()}
        if device.name == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        return states

    def _read(self) -> Mapping[str, Any] | None:
        """Return the snapshot, or None for a file that is missing, cut short or of another
        training.
        """
        try:
            snapshot = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception:  # torch raises a different class for every way a file can be broken
            return None
        fits = isinstance(snapshot, dict) and snapshot.get("identity") == self.identity
        return snapshot if fits else None


def _plain_fields(state: TrainingState) -> dict[str, Any]:
    """Return a state's fields as Python's own types and tensors: all that is read back with
    ``weights_only``.
    """
    curves = [
        [point.epoch, point.split, point.metric, float(point.value)] for point in state.curves
    ]
    measured = {name: float(value) for name, value in state.measured.items()}
    quality = tuple(float(value) for value in state.quality)
    return vars(state) | {"curves": curves, "measured": measured, "quality": quality}
