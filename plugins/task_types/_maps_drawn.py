"""Maps as people look at them: masks drawn over their images, what the colours mean, depths in colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLOURS = (
    *(
        (230, 25, 75),
        (60, 180, 75),
        (255, 225, 25),
        (0, 130, 200),
        (245, 130, 48),
        (145, 30, 180),
        (70, 240, 240),
        (240, 50, 230),
    ),
    *(
        (210, 245, 60),
        (250, 190, 212),
        (0, 128, 128),
        (220, 190, 255),
        (170, 110, 40),
        (255, 250, 200),
        (128, 0, 0),
        (170, 255, 195),
    ),
    *((128, 128, 0), (255, 215, 180), (0, 0, 128), (128, 128, 128)),
)
"""Sasha Trubetskoy's list of 20 simple, distinct colours (sashamaps.net/docs/resources/20-colors)."""

DARKER = 0.85
"""With every round of the colours, where classes are more."""

ROWS, LEADING = 12, 16
"""Classes in a column of the key, and the pixels that each has."""

LONGEST = 32
"""Letters of a class's name in the key."""

VIRIDIS = np.array(
    [
        (68, 1, 84),
        (71, 44, 122),
        (59, 81, 139),
        (44, 113, 142),
        (33, 144, 141),
        (39, 173, 129),
        (92, 200, 99),
        (170, 220, 50),
        (253, 231, 37),
    ]
)
"""Nine colours of matplotlib's viridis, evenly spaced."""


def colour(number: int) -> tuple[int, int, int]:
    """A class's."""
    again, place = divmod(number, len(COLOURS))
    red, green, blue = (round(value * DARKER**again) for value in COLOURS[place])
    return red, green, blue


def drawn(image: np.ndarray, mask: np.ndarray, void: int) -> np.ndarray:
    """(S, S, 3) uint8 under the colours of a mask (S, S); void stays as it is."""
    import torch
    from torchvision.utils import draw_segmentation_masks

    numbers = [number for number in np.unique(mask).tolist() if number != void]
    masks = torch.from_numpy(np.stack([mask == number for number in numbers]))
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    return (
        draw_segmentation_masks(
            pixels, masks, alpha=0.6, colors=[colour(number) for number in numbers]
        )
        .permute(1, 2, 0)
        .numpy()
    )


def key(numbers: Sequence[int], classes: Sequence[str]) -> np.ndarray:
    """A panel that says which colour is which class, in columns of a dozen: (192, W, 3) uint8, of a size that is not enlarged."""
    font = ImageFont.load_default(LEADING - 3)
    columns = [numbers[start : start + ROWS] for start in range(0, len(numbers), ROWS)]
    widths = [
        2 * LEADING + math.ceil(max(font.getlength(_short(classes[number])) for number in column))
        for column in columns
    ]
    panel = Image.new("RGB", (max(ROWS * LEADING, sum(widths)), ROWS * LEADING), "white")
    draw = ImageDraw.Draw(panel)
    # A bitmap font, where Pillow has no other, knows no anchor.
    anchor = "lm" if isinstance(font, ImageFont.FreeTypeFont) else None
    for place, column in enumerate(columns):
        left = sum(widths[:place])
        for row, number in enumerate(column):
            top = LEADING * row
            draw.rectangle(
                (left + 2, top + 1, left + LEADING - 1, top + LEADING - 2), fill=colour(number)
            )
            at = (left + LEADING + 4, top + (LEADING / 2 if anchor else 0))
            draw.text(at, _short(classes[number]), fill="black", font=font, anchor=anchor)
    return np.asarray(panel)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def coloured(metres: np.ndarray, near: float, far: float) -> np.ndarray:
    """(S, S) metres -> (S, S, 3) uint8: dark blue ``near`` and before, yellow ``far`` and beyond, black where it is 0."""
    metres = np.asarray(metres, dtype=np.float32)
    place = (metres - near) / max(far - near, 1e-6) * (len(VIRIDIS) - 1)
    colours = np.stack(
        [np.interp(place, np.arange(len(VIRIDIS)), channel) for channel in VIRIDIS.T], -1
    )
    return np.where((metres > 0)[..., None], colours.round(), 0).astype(np.uint8)
