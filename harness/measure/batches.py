"""Turn rows of mapped uint8 images into normalised float batches on the device."""

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

MAX_CHANNEL = 255
"""White in uint8; means and deviations of sources are given on a scale from 0 to 1."""


@dataclass(frozen=True)
class Batches:
    """Serves one split to one source.

    Images are normalised by the source's mean and deviation.
    """

    split: PreparedSplit
    source: SourceModel
    device: Device

    def images(self, rows: np.ndarray) -> Tensor:
        """Return normalised images (B, 3, S, S) float32, channels-last."""
        device = self.device.name
        # As uint8 to the device: a quarter of the bytes of float32.
        pixels = torch.from_numpy(self.split.images[rows]).to(device, non_blocking=True)
        mean = torch.tensor(self.source.mean, device=device) * MAX_CHANNEL
        std = torch.tensor(self.source.std, device=device) * MAX_CHANNEL
        normalised = pixels.float().sub_(mean).div_(std)
        # The cache lies on disk as (B, S, S, 3): permuted it is channels-last, without a copy.
        return normalised.permute(0, 3, 1, 2)

    def targets(self, rows: np.ndarray) -> Tensor:
        """Return encoded targets (B, ...)."""
        return torch.from_numpy(self.split.targets[rows]).to(self.device.name, non_blocking=True)

    def shuffled(
        self, rows: np.ndarray, size: int, generator: torch.Generator, augment: Augment | None
    ) -> Iterator[Batch]:
        """Yield one epoch of batches in random order.

        A last batch of one image joins the batch before it: batch norm needs two.

        Args:
            rows: The images, by row of the split.
            size: Images in a batch.
            generator: Draws the order, then the augmentation of each batch in turn.
            augment: Applied to each batch; None for none.
        """
        permutation = torch.randperm(len(rows), generator=generator)
        order = rows[permutation.numpy()]
        steps = steps_per_epoch(len(order), size)
        for step in range(steps):
            start = step * size
            is_last = step == steps - 1
            end = len(order) if is_last else start + size
            chunk = order[start:end]
            images = self.images(chunk)
            targets = self.targets(chunk)
            if augment:
                images, targets = augment(images, targets, generator)
            yield Batch(images, targets, torch.from_numpy(chunk))

    def in_order(self, rows: np.ndarray, size: int) -> Iterator[Tensor]:
        """Yield the images of these rows, ``size`` at once, in their order."""
        for start in range(0, len(rows), size):
            yield self.images(rows[start : start + size])


def steps_per_epoch(count: int, size: int) -> int:
    """Return the number of batches that ``shuffled`` makes of ``count`` images."""
    ends_on_a_single = count % size == 1 and count > 1
    return max(1, math.ceil(count / size) - ends_on_a_single)
