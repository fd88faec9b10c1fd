"""Draw targets and predictions on images: boxes, masks, depths, points.

Images are (H, W, 3) uint8. Small ones are enlarged by a whole factor, so that lines, dots and names
can be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MIN_BOXES_SIDE = 480
"""Least side of an image with boxes, in pixels."""
NAME_SIZE = 13
"""Size of the names of boxes' classes, in pixels."""
BOX_COLOURS = (
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
"""Colours of boxes; classes take them in turn. White names can be read on all of them."""

MASK_COLOURS = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
    (250, 190, 212),
    (0, 128, 128),
    (220, 190, 255),
    (170, 110, 40),
    (255, 250, 200),
    (128, 0, 0),
    (170, 255, 195),
    (128, 128, 0),
    (255, 215, 180),
    (0, 0, 128),
    (128, 128, 128),
)
"""Sasha Trubetskoy's list of 20 simple, distinct colours (sashamaps.net/docs/resources/20-colors).
"""
ROUND_DARKENING = 0.85
"""Factor by which the colours get darker with every round through them."""
KEY_ROWS = 12
"""Classes in a column of the key."""
KEY_ROW_HEIGHT = 16
"""Pixels of a class in the key."""
MAX_KEY_LETTERS = 32
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

MIN_POINTS_SIDE = 256
"""Least side of an image with points, in pixels."""
TRUE_POINT, PREDICTED_POINT = (60, 220, 90), (255, 90, 60)
"""Colours of points."""

Rectangle = tuple[float, float, float, float]
"""left, top, right, bottom, in pixels."""


# -- boxes -------------------------------------------------------------------------------------------


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    *,
    classes: Sequence[str],
    scores: np.ndarray | None = None,
) -> np.ndarray:
    """Return the image with boxes, each under its class and score.

    A name is left out if there is no room for it below its box's upper edge.

    Args:
        image: (H, W, 3) uint8.
        boxes: (n, 4): x1, y1, x2, y2 as shares of the sides; the first are drawn on top.
        labels: (n,) indices of classes.
        classes: names.
        scores: (n,); None for boxes without.
    """
    enlarged = Image.fromarray(_enlarged(image, MIN_BOXES_SIDE))
    draw = ImageDraw.Draw(enlarged)
    corners = (np.asarray(boxes, np.float64) * (*enlarged.size, *enlarged.size)).tolist()
    colours = [BOX_COLOURS[int(label) % len(BOX_COLOURS)] for label in labels]
    for rectangle, colour in reversed([*zip(corners, colours, strict=True)]):
        draw.rectangle(rectangle, outline=colour, width=2)
    names = [classes[int(label)] for label in labels]
    if scores is not None:
        names = [f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True)]
    _draw_names(enlarged, names, colours, corners)
    return np.array(enlarged)


def _draw_names(
    image: Image.Image,
    names: Sequence[str],
    colours: Sequence[str],
    corners: Sequence[Sequence[float]],
) -> None:
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(NAME_SIZE)
    taken: list[Rectangle] = []
    for name, colour, (left, top, _, _) in zip(names, colours, corners, strict=True):
        _, _, width, height = draw.textbbox((0, 0), name, font=font)
        x = max(0.0, min(left, image.width - width - 2))
        y = max(0.0, top - height - 2)
        wanted = (x, y, x + width + 2, y + height + 1)
        ground = _free_rectangle(wanted, taken, image.height)
        if ground is None:
            continue
        draw.rectangle(ground, fill=colour)
        draw.text((ground[0] + 1, ground[1]), name, fill="white", font=font)
        taken.append(ground)


def _free_rectangle(
    wanted: Rectangle, taken: Sequence[Rectangle], image_height: float
) -> Rectangle | None:
    """Return the rectangle, moved down until it covers none that is taken; None if it would be
    below the image.
    """
    left, top, right, bottom = wanted
    if top >= image_height:
        return None
    in_the_way = [
        other_bottom
        for x1, y1, x2, other_bottom in taken
        if x1 <= right and left <= x2 and y1 <= bottom and top <= other_bottom
    ]
    if not in_the_way:
        return wanted
    lower = max(in_the_way) + 1
    return _free_rectangle((left, lower, right, lower + bottom - top), taken, image_height)


# -- masks and depths --------------------------------------------------------------------------------


def draw_mask(image: np.ndarray, mask: np.ndarray, void: int) -> np.ndarray:
    """Return the image (S, S, 3) under the colours of a mask (S, S) of class numbers; void stays as
    it is.
    """
    import torch
    from torchvision.utils import draw_segmentation_masks

    numbers = [number for number in np.unique(mask).tolist() if number != void]
    masks = torch.from_numpy(np.stack([mask == number for number in numbers]))
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    colours = [mask_colour(number) for number in numbers]
    drawn = draw_segmentation_masks(pixels, masks, alpha=0.6, colors=colours)
    return drawn.permute(1, 2, 0).numpy()


def mask_colour(number: int) -> tuple[int, int, int]:
    """Return the colour of a class by its number: red, green, blue."""
    rounds, place = divmod(number, len(MASK_COLOURS))
    red, green, blue = (round(value * ROUND_DARKENING**rounds) for value in MASK_COLOURS[place])
    return red, green, blue


def draw_colour_key(numbers: Sequence[int], classes: Sequence[str]) -> np.ndarray:
    """Return a panel that tells which colour is which class, in columns of a dozen.

    Args:
        numbers: the classes to show.
        classes: names of all classes.

    Returns:
        (192, W, 3) uint8: of a size that is not enlarged.
    """
    font = ImageFont.load_default(KEY_ROW_HEIGHT - 3)
    columns = [numbers[start : start + KEY_ROWS] for start in range(0, len(numbers), KEY_ROWS)]
    widths = []
    for column in columns:
        longest = max(font.getlength(_shortened(classes[number])) for number in column)
        widths.append(2 * KEY_ROW_HEIGHT + math.ceil(longest))
    height = KEY_ROWS * KEY_ROW_HEIGHT
    panel = Image.new("RGB", (max(height, sum(widths)), height), "white")
    draw = ImageDraw.Draw(panel)
    # A bitmap font, which Pillow falls back on, knows no anchor.
    scalable = isinstance(font, ImageFont.FreeTypeFont)
    anchor, below = ("lm", KEY_ROW_HEIGHT / 2) if scalable else (None, 0)
    left = 0
    for column, width in zip(columns, widths, strict=True):
        for row, number in enumerate(column):
            top = KEY_ROW_HEIGHT * row
            square = (left + 2, top + 1, left + KEY_ROW_HEIGHT - 1, top + KEY_ROW_HEIGHT - 2)
            draw.rectangle(square, fill=mask_colour(number))
            start = (left + KEY_ROW_HEIGHT + 4, top + below)
            draw.text(start, _shortened(classes[number]), fill="black", font=font, anchor=anchor)
        left += width
    return np.asarray(panel)


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_KEY_LETTERS else f"{name[: MAX_KEY_LETTERS - 3]}..."


def colour_depths(metres: np.ndarray, near: float, far: float) -> np.ndarray:
    """Return depths (S, S), in metres, as colours (S, S, 3) uint8.

    Dark blue at ``near`` and before, yellow at ``far`` and beyond, black where the depth is 0.
    """
    metres = np.asarray(metres, dtype=np.float32)
    place = (metres - near) / max(far - near, 1e-6) * (len(VIRIDIS) - 1)
    channels = [np.interp(place, np.arange(len(VIRIDIS)), channel) for channel in VIRIDIS.T]
    colours = np.stack(channels, -1).round()
    return np.where((metres > 0)[..., None], colours, 0).astype(np.uint8)


# -- points ------------------------------------------------------------------------------------------


def draw_points(image: np.ndarray, places: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return the image with dots at places (M, 2), shares of the sides; a dark ring shows them on
    their own colour.
    """
    import torch
    from torchvision.utils import draw_keypoints

    enlarged = torch.from_numpy(_enlarged(image, MIN_POINTS_SIDE)).permute(2, 0, 1)
    shares = torch.from_numpy(np.ascontiguousarray(places, dtype=np.float32))
    pixels = shares[None] * enlarged.shape[1]
    rings = draw_keypoints(enlarged, pixels, colors=(0, 0, 0), radius=4)
    return draw_keypoints(rings, pixels, colors=colour, radius=3).permute(1, 2, 0).numpy()


def _enlarged(image: np.ndarray, least_side: int) -> np.ndarray:
    """Return the image with each pixel repeated until its shorter side has ``least_side`` pixels."""
    factor = math.ceil(least_side / min(image.shape[:2]))
    return np.ascontiguousarray(image.repeat(factor, 0).repeat(factor, 1))
