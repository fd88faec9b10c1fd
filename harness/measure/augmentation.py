"""Augment training images, and with them the targets that have places in the image."""

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

MAX_SHIFT = 0.1
"""Largest shift, as a share of the side."""
ZOOM_RANGE = (0.8, 1.2)
"""Range of zooms, uniform in the logarithm."""


def augmentation(settings: Training, task: Task, task_type: TaskType) -> Augment | None:
    """Return what a task's training images go through; None for nothing."""
    if settings.augmentation != "standard":
        return None
    if not task_type.dense:
        return RandomAffine(task.mirror)
    transform = task_type.methods.augmentation(task.mirror)
    return PairedTransform(task_type.methods, transform) if transform else None


@dataclass(frozen=True)
class PairedTransform:
    """Moves each image and its target together, by a transform of torchvision.transforms.v2."""

    methods: TaskTypeMethods
    transform: Transform

    def __call__(
        self, images: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Transform images (B, 3, S, S) and encoded targets (B, ...); both keep their shapes."""
        # torchvision draws from the global generator only. Ours moves on by one draw a batch, and so can be resumed.
        seed = int(torch.randint(2**62, (), generator=generator))
        moved_images, moved_targets = [], []
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            for image, target in zip(images, targets, strict=True):
                moved_image, moved_target = self._transform_one(image, target)
                moved_images.append(moved_image)
                moved_targets.append(moved_target)
        batch = torch.stack(moved_images).contiguous(memory_format=torch.channels_last)
        return batch, torch.stack(moved_targets)

    def _transform_one(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        moved = self.transform({"image": tv_tensors.Image(image), **self.methods.annotate(target)})
        return moved.pop("image").as_subclass(Tensor), self.methods.annotated(moved, target)


@dataclass(frozen=True)
class RandomAffine:
    """Shifts, zooms and, where the task allows, mirrors each image at random: one affine map an
    image, on the whole batch.

    The grid of an affine map says where each pixel of the result comes from, in coordinates from -1
    to 1: a zoom by z divides them by z, a mirrored image has x negated, and a shift by a share of
    the side is twice that in them.
    """

    mirror: bool

    def __call__(
        self, images: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Transform images (B, 3, S, S), their borders repeated; the targets stay as they are."""
        count = len(images)
        # Rows: zoom, shift along x, shift along y, mirror.
        draw = torch.rand(4, count, generator=generator)
        low, high = (math.log(bound) for bound in ZOOM_RANGE)
        zoom = torch.exp(low + (high - low) * draw[0])
        flip = torch.where(draw[3] < 0.5, -1.0, 1.0) if self.mirror else torch.ones(count)
        theta = torch.zeros(count, 2, 3)
        theta[:, 0, 0] = flip / zoom
        theta[:, 1, 1] = 1 / zoom
        theta[:, :, 2] = (draw[1:3].T * 2 - 1) * 2 * MAX_SHIFT
        shape = list(images.shape)
        grid = functional.affine_grid(theta.to(images.device), shape, align_corners=False)
        moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        return moved, targets
