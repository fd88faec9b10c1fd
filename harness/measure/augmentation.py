"""Augmentation: what training images go through, and with them the targets that have places in the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision import tv_tensors
from torchvision.transforms.v2 import Transform

from headwater.harness.measure.batches import Augment
from headwater.harness.planning.spec import Training
from headwater.registry import Task, TaskType
from headwater.registry.cards.task_type import TaskTypeMethods

SHIFT = 0.1
"""Largest shift, as a share of the side."""
SCALE = (0.8, 1.2)
"""Range of zooms, uniform in the logarithm."""


def augmentation(settings: Training, task: Task, task_type: TaskType) -> Augment | None:
    """What a task's training images go through, or None for nothing."""
    if settings.augmentation != "standard":
        return None
    if not task_type.dense:
        return RandomAffine(task.mirror)
    transform = task_type.methods.augmentation(task.mirror)
    return PairedTransform(task_type.methods, transform) if transform else None


@dataclass(frozen=True)
class PairedTransform:
    """Images and targets moved together, one by one, by a transform of torchvision.transforms.v2."""

    methods: TaskTypeMethods
    transform: Transform

    def __call__(
        self, images: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """images (B, 3, S, S) and encoded targets (B, ...) -> the same shapes."""
        # torchvision draws from the global generator only; ours goes on by one draw a batch, and so can be resumed.
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            moved = [
                self._one(image, target) for image, target in zip(images, targets, strict=True)
            ]
        both = [torch.stack(values) for values in zip(*moved, strict=True)]
        return both[0].contiguous(memory_format=torch.channels_last), both[1]

    def _one(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        moved = self.transform({"image": tv_tensors.Image(image), **self.methods.annotate(target)})
        return moved.pop("image").as_subclass(Tensor), self.methods.annotated(moved, target)


@dataclass(frozen=True)
class RandomAffine:
    """Random shift, zoom and, where the task allows, mirroring: one affine map an image, on the whole batch."""

    mirror: bool

    def __call__(
        self, images: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """images (B, 3, S, S) -> the same shape, borders repeated; targets as they are."""
        count = len(images)
        draw = torch.rand(4, count, generator=generator)
        low, high = (math.log(bound) for bound in SCALE)
        zoom = torch.exp(low + (high - low) * draw[0])
        flip = torch.where(draw[3] < 0.5, -1.0, 1.0) if self.mirror else torch.ones(count)
        theta = torch.zeros(count, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1] = flip / zoom, 1 / zoom
        theta[:, :, 2] = (draw[1:3].T * 2 - 1) * 2 * SHIFT  # the grid spans -1..1, twice the side
        grid = functional.affine_grid(
            theta.to(images.device), list(images.shape), align_corners=False
        )
        return functional.grid_sample(
            images, grid, padding_mode="border", align_corners=False
        ), targets
