"""Batches: rows of mapped uint8 images become normalised float tensors on the device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.data.prepared import PreparedSplit
from harness.measure.device import Device
from registry import Batch, SourceModel

SHIFT = 0.1
"""Largest shift, as a share of the side."""
SCALE = (0.8, 1.2)
"""Range of zooms, uniform in the logarithm."""


@dataclass(frozen=True)
class Batches:
    """Serves one split to one source: its own mean and standard deviation, the device's memory layout."""

    split: PreparedSplit
    source: SourceModel
    device: Device

    def images(self, rows: np.ndarray) -> Tensor:
        """(B, 3, S, S) float32, normalised; channels-last, which is how the cache lies on disk."""
        pixels = torch.from_numpy(self.split.images[rows]).to(self.device.name, non_blocking=True)
        mean, std = (torch.tensor(values, device=self.device.name) * 255 for values in (self.source.mean, self.source.std))
        return pixels.float().sub_(mean).div_(std).permute(0, 3, 1, 2)

    def targets(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.split.targets[rows]).to(self.device.name, non_blocking=True)

    def shuffled(self, rows: np.ndarray, size: int, generator: torch.Generator, augment: Augment | None) -> Iterator[Batch]:
        """One epoch in random order. A last batch of one joins the one before: batch norm needs two."""
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for chunk in _chunks(order, size):
            images = self.images(chunk)
            if augment:
                images = augment(images, generator)
            yield Batch(images, self.targets(chunk), torch.from_numpy(chunk))

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


@dataclass(frozen=True)
class Augment:
    """Random shift, zoom and, where the task allows, mirroring: one affine map an image, on the whole batch."""

    mirror: bool

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """images (B, 3, S, S) -> the same shape, borders repeated."""
        count = len(images)
        draw = torch.rand(4, count, generator=generator)
        low, high = (math.log(bound) for bound in SCALE)
        zoom = torch.exp(low + (high - low) * draw[0])
        flip = torch.where(draw[3] < 0.5, -1.0, 1.0) if self.mirror else torch.ones(count)
        theta = torch.zeros(count, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1] = flip / zoom, 1 / zoom
        theta[:, :, 2] = (draw[1:3].T * 2 - 1) * 2 * SHIFT  # the grid spans -1..1, twice the side
        grid = functional.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
