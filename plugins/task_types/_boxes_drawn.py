"""Boxes drawn on an image, by torchvision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torchvision.utils import draw_bounding_boxes

LEGIBLE = 480
"""Least side of a drawn image, in pixels: lines and names are of one size."""
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#f032e6", "#9a6324", "#808000", "#000075")
"""Classes take them in turn."""


def drawn(image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, classes: Sequence[str], scores: np.ndarray | None = None) -> np.ndarray:
    """(H, W, 3) uint8 with boxes (n, 4), shares of the sides, each under its class and score; a small image is enlarged."""
    times = math.ceil(LEGIBLE / min(image.shape[:2]))
    large = np.ascontiguousarray(image.repeat(times, 0).repeat(times, 1))
    if not len(boxes):
        return large
    height, width = large.shape[:2]
    corners = torch.from_numpy(boxes.astype(np.float32) * np.array([width, height, width, height], np.float32))
    indices = [int(label) for label in labels]
    names = [f" {classes[index]}" for index in indices]
    if scores is not None:
        names = [f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True)]
    colours = [COLOURS[index % len(COLOURS)] for index in indices]
    return draw_bounding_boxes(torch.from_numpy(large).permute(2, 0, 1), corners, names, colours, width=2).permute(1, 2, 0).numpy()
