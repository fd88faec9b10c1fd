"""What is measured here: a small task, a tiny source, and an adaptation that does nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import headwater as hw

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

CLASSES = ("bars", "checks", "noise")


def _textures(count: int, side: int, seed: int) -> hw.Split:
    """uint8 images of three textures in random colours, (side, side, 3) each."""
    import numpy as np

    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    row, column = np.mgrid[:side, :side]
    masks = (column // 6 % 2, (row // 6 + column // 6) % 2, None)
    images = []
    for label in labels:
        chosen = masks[label]
        mask = random.integers(0, 2, (side, side)) if chosen is None else chosen
        dark, light = random.integers(0, 120, 3), random.integers(130, 256, 3)
        images.append(np.where(mask[..., None] == 1, light, dark).astype(np.uint8))
    return hw.Split(images, labels.tolist())


@hw.task("perf/textures", domain="synthetic", classes=CLASSES)
def textures() -> dict[str, hw.Split]:
    """150 and 60 images of 96×96 pixels."""
    return {"train": _textures(150, 96, 0), "test": _textures(60, 96, 1)}


@hw.task("perf/many_textures", domain="synthetic", classes=CLASSES)
def many_textures() -> dict[str, hw.Split]:
    """As many images of 224×224 pixels as keep a GPU busy: 4,096 and 1,024."""
    return {"train": _textures(4096, 224, 0), "test": _textures(1024, 224, 1)}


@hw.task("perf/dots", domain="synthetic", classes=CLASSES)
def dots() -> dict[str, hw.Split]:
    """30 and 15 images of 8×8 pixels."""
    return {"train": _textures(30, 8, 0), "test": _textures(15, 8, 1)}


@hw.source_model("perf/tiny", architecture="tiny")
def tiny() -> nn.Module:
    """One convolution."""
    import torch
    from torch import nn

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3)

        def forward_features(self, images: Tensor) -> Tensor:
            features: Tensor = self.stem(images).relu()
            return features

        def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
            return maps.mean((2, 3))

    torch.manual_seed(0)
    return Tiny()


@hw.adaptation("perf/nothing", on="features")
def nothing(cells: Sequence[hw.Features], *, turn: int = 0) -> list[hw.Solution]:
    """Scores every class alike, and says how long that took."""
    import numpy as np

    began = time.perf_counter()
    outputs = cells[0].outputs

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.zeros((len(rows), outputs), np.float32)

    return [hw.Solution(predict, choice={"seconds": time.perf_counter() - began}) for _ in cells]
