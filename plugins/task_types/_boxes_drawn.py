"""Boxes drawn on an image, each under its class on a ground of its colour."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LEGIBLE = 480
"""Least side of a drawn image, in pixels: lines and names are of one size."""
LETTERS = 13
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#f032e6", "#9a6324", "#808000", "#000075")
"""Classes take them in turn."""


def drawn(image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, classes: Sequence[str], scores: np.ndarray | None = None) -> np.ndarray:
    """(H, W, 3) uint8 with boxes (n, 4), shares of the sides, each under its class and score; a small image is enlarged."""
    times = math.ceil(LEGIBLE / min(image.shape[:2]))
    large = Image.fromarray(image.repeat(times, 0).repeat(times, 1))
    draw, font = ImageDraw.Draw(large), ImageFont.load_default(LETTERS)
    corners = np.asarray(boxes, np.float64) * (*large.size, *large.size)
    colours = [COLOURS[int(label) % len(COLOURS)] for label in labels]
    for corner, colour in zip(corners.tolist(), colours, strict=True):
        draw.rectangle(corner, outline=colour, width=2)
    for place, ((left, top, _, _), colour) in enumerate(zip(corners.tolist(), colours, strict=True)):
        name = classes[int(labels[place])] + ("" if scores is None else f" {scores[place]:.2f}")
        _, _, width, height = draw.textbbox((0, 0), name, font=font)
        at = max(0.0, min(left, large.width - width - 2)), max(0.0, top - height - 2)  # within the image
        draw.rectangle((*at, at[0] + width + 2, at[1] + height + 1), fill=colour)
        draw.text((at[0] + 1, at[1]), name, fill="white", font=font)
    return np.array(large)
