"""A toy source, a toy task and separable data: small enough to run any plugin on in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headwater.registry import Split, source_model, task
from headwater.registry.defaults import DEFAULT_TASK_TYPE

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 16
CLASSES = 3
WIDTH = 8


@source_model(
    "toy/network",
    domain="synthetic",
    task_type=DEFAULT_TASK_TYPE,
    pretrained_on=["toy"],
    images=100,
    input_size=SIDE,
    random=True,
)
def network() -> nn.Module:
    """Two convolutions, a stem and a stage, pooled to eight features."""
    from torch import nn

    class Toy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, WIDTH, 3, stride=2)
            self.stage = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)

        def forward_features(self, images: Tensor) -> Tensor:
            return self.stage(self.convolution(images).relu()).relu()

        def forward_head(self, maps: Tensor, pre_logits: bool = True) -> Tensor:
            return maps.mean((2, 3))

    return Toy()


@task(
    "toy/stripes",
    domain="synthetic",
    metric="accuracy",
    classes=["flat", "across", "down"],
    mirror=False,
)
def stripes() -> dict[str, Split]:
    """Noisy images that are plain, striped across or striped down."""
    return {"train": _split(30, seed=0), "test": _split(12, seed=1)}


def _split(count: int, seed: int) -> Split:
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % CLASSES
    images = generator.integers(0, 80, (count, SIDE, SIDE, 3)).astype(np.uint8)
    images[targets == 1, ::2] += 150
    images[targets == 2, :, ::2] += 150
    return Split(list(images), targets.tolist())


def clusters(count: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) float32 around a centre per class, and labels (N,) int64."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    centres = np.random.default_rng(99).normal(size=(CLASSES, width)) * 3
    return (centres[labels] + generator.normal(size=(count, width))).astype(
        np.float32
    ), labels.astype(np.int64)
