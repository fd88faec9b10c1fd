"""Batches: rows of mapped uint8 images become normalised float tensors on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headwater.harness.data.prepared import PreparedSplit
from headwater.harness.measure.device import Device
from headwater.registry import Batch, SourceModel

Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""(images (B, 3, S, S), targets (B, ...), generator) -> both, of the same shapes."""


@dataclass(frozen=True)
class Batches:
    """Serves one split to one source: its own mean and standard deviation, the device's memory layout."""

    split: PreparedSplit
    source: SourceModel
    device: Device

    def images(self, rows: np.ndarray) -> Tensor:
        """(B, 3, S, S) float32, normalised; channels-last, which is how the cache lies on disk."""
        pixels = torch.from_numpy(self.split.images[rows]).to(self.device.name, non_blocking=True)
        mean, std = (
            torch.tensor(values, device=self.device.name) * 255
            for values in (self.source.mean, self.source.std)
        )
        return pixels.float().sub_(mean).div_(std).permute(0, 3, 1, 2)

    def targets(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.split.targets[rows]).to(self.device.name, non_blocking=True)

    def shuffled(
        self, rows: np.ndarray, size: int, generator: torch.Generator, augment: Augment | None
    ) -> Iterator[Batch]:
        """One epoch in random order. A last batch of one joins the one before: batch norm needs two."""
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for chunk in _chunks(order, size):
            images, targets = self.images(chunk), self.targets(chunk)
            if augment:
                images, targets = augment(images, targets, generator)
            yield Batch(images, targets, torch.from_numpy(chunk))

    def in_order(self, rows: np.ndarray, size: int) -> Iterator[Tensor]:
        for start in range(0, len(rows), size):
            yield self.images(rows[start : start + size])


def steps_per_epoch(count: int, size: int) -> int:
    return max(1, math.ceil(count / size) - (count % size == 1 and count > 1))


def _chunks(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    steps = steps_per_epoch(len(order), size)
    for step in range(steps):
        end = len(order) if step == steps - 1 else (step + 1) * size
        yield order[step * size : end]
