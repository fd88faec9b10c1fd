"""Boxes drawn on an image, each under its class on a ground of its colour."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LEGIBLE = 480
"""Least side of a drawn image, in pixels: lines and names are of one size."""
LETTERS = 13
COLOURS = (
    "#e6194b",
    "#3cb44b",
    "#4363d8",
    "#f58231",
    "#911eb4",
    "#008080",
    "#f032e6",
    "#9a6324",
    "#808000",
    "#000075",
)
"""Classes take them in turn."""

Ground = tuple[float, float, float, float]
"""left, top, right, bottom, in pixels."""


def drawn(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    scores: np.ndarray | None = None,
) -> np.ndarray:
    """(H, W, 3) uint8 with boxes (n, 4), shares of the sides, each under its class and score; a small image is enlarged.

    A name for which there is no room left below its box's corner is not there.
    """
    times = math.ceil(LEGIBLE / min(image.shape[:2]))
    large = Image.fromarray(image.repeat(times, 0).repeat(times, 1))
    draw, font = ImageDraw.Draw(large), ImageFont.load_default(LETTERS)
    corners = np.asarray(boxes, np.float64) * (*large.size, *large.size)
    colours = [COLOURS[int(label) % len(COLOURS)] for label in labels]
    for corner, colour in reversed(
        [*zip(corners.tolist(), colours, strict=True)]
    ):  # the first, and surest, on top
        draw.rectangle(corner, outline=colour, width=2)
    taken: list[Ground] = []
    for place, ((left, top, _, _), colour) in enumerate(
        zip(corners.tolist(), colours, strict=True)
    ):
        name = classes[int(labels[place])] + ("" if scores is None else f" {scores[place]:.2f}")
        _, _, width, height = draw.textbbox((0, 0), name, font=font)
        ground = _free(
            min(left, large.width - width - 2),
            top - height - 2,
            width + 2,
            height + 1,
            large.height,
            taken,
        )
        if ground is None:
            continue
        draw.rectangle(ground, fill=colour)
        draw.text((ground[0] + 1, ground[1]), name, fill="white", font=font)
        taken.append(ground)
    return np.array(large)


def _free(
    left: float, top: float, width: float, height: float, end: int, taken: list[Ground]
) -> Ground | None:
    """A place of that size within the image, moved down until it covers none that is taken; None where that is past the image's ``end``."""
    left, top = max(0.0, left), max(0.0, top)
    if top >= end:
        return None
    below = [
        bottom
        for (x1, y1, x2, bottom) in taken
        if x1 <= left + width and left <= x2 and y1 <= top + height and top <= bottom
    ]
    return (
        _free(left, max(below) + 1, width, height, end, taken)
        if below
        else (left, top, left + width, top + height)
    )
