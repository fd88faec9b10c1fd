"""Snapshots: all that moves in a training, kept at the end of an epoch, so that a killed one goes on to the same bits."""

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
"""How much of a training may be lost, epochs permitting: they are kept whole."""
SHARE = 0.05
"""The most of a training's time that snapshots may take; those of large networks are written less often."""


@dataclass
class SoFar:
    """What a training has come to at the end of an epoch; 0: it has not begun."""

    epoch: int = 0
    step: int = 0
    images: int = 0
    seconds: float = 0.0
    curves: list[CurvePoint] = field(default_factory=list)
    quality: tuple[float, float] = (-math.inf, -math.inf)
    """Of the best epoch: its validation metric, higher is better, and its negative log loss, where there is one."""
    best: int = 0
    measured: Mapping[str, float] = field(default_factory=dict)
    """Every validation metric of the best epoch."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """The network's state after the best epoch."""


@dataclass(frozen=True)
class Engine:
    """What moves in a training besides random numbers: weights, and what the optimiser and its schedule remember."""

    objective: Objective
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    device: Device

    def state(self) -> dict[str, Any]:
        return {
            "network": self.objective.network.state_dict(),
            "beside": [parameter.detach() for parameter in self._beside()],
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        self.objective.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        for parameter, kept in zip(self._beside(), state["beside"], strict=True):
            parameter.copy_(kept)

    def _beside(self) -> list[torch.nn.Parameter]:
        """Parameters that are trained with the network without being its own."""
        own = {id(parameter) for parameter in self.objective.network.parameters()}
        return [
            parameter
            for group in self.objective.groups
            for parameter in group.parameters
            if id(parameter) not in own
        ]


class Snapshots:
    """The place of one training's snapshot: a file beside the store, removed when the training came to an end.

    As a context it removes the file when it is left without an exception, or with a TrainingError, which would only
    come again. Whatever else ends it, a kill or Ctrl-C, leaves the file for the next time.
    """

    def __init__(
        self, path: Path, identity: str, generator: torch.Generator, every: float | None = None
    ) -> None:
        self.path, self.identity, self.generator = path, identity, generator
        self.every = EVERY_SECONDS if every is None else every
        self.due = time.monotonic() + self.every

    @classmethod
    def of(cls, job: Job, bench: Workbench, generator: torch.Generator) -> Self:
        """A job's own; ``generator`` draws its batches. Another torch, or another kind of device, begins anew."""
        return cls(
            bench.files.snapshot(job.id),
            digest("snapshot 1", job.id, torch.__version__, bench.device.name),
            generator,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, TrainingError):
            self.path.unlink(missing_ok=True)

    def resume(self, engine: Engine) -> SoFar:
        """Put the engine and all random numbers where the snapshot left them; without a fitting one, leave them alone."""
        kept = self._read()
        if kept is None:
            return SoFar()
        engine.load(kept["engine"])
        self.generator.set_state(kept["random"]["batches"])
        torch.set_rng_state(kept["random"]["torch"])
        if engine.device.name == "cuda":
            torch.cuda.set_rng_state(kept["random"]["cuda"])
        values = kept["so_far"]
        return SoFar(**values | {"curves": [CurvePoint(*point) for point in values["curves"]]})

    def keep(self, engine: Engine, so_far: SoFar) -> None:
        """Write a snapshot, where the last is old enough. A full disk costs the snapshot, not the training."""
        began = time.monotonic()
        if began < self.due:
            return
        random = {"batches": self.generator.get_state(), "torch": torch.get_rng_state()}
        if engine.device.name == "cuda":
            random["cuda"] = torch.cuda.get_rng_state()
        curves = [
            [point.epoch, point.split, point.metric, float(point.value)] for point in so_far.curves
        ]
        measured = {name: float(value) for name, value in so_far.measured.items()}
        values = vars(so_far) | {
            "curves": curves,
            "measured": measured,
            "quality": tuple(map(float, so_far.quality)),
        }
        kept = {
            "identity": self.identity,
            "engine": engine.state(),
            "random": random,
            "so_far": values,
        }
        with contextlib.suppress(OSError, RuntimeError):  # torch's own word for a failed write
            write_atomically(self.path, lambda temporary: torch.save(kept, temporary))
        now = time.monotonic()
        self.due = now + max(self.every, (now - began) / SHARE if self.every else 0.0)

    def _read(self) -> Mapping[str, Any] | None:
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
        except (
            Exception
        ):  # missing, cut short, not ours: in every case the training begins at its beginning
            return None
        return kept if isinstance(kept, dict) and kept.get("identity") == self.identity else None
