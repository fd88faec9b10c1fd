"""Letters drawn on the spot: a source of characters that needs no download."""

from __future__ import annotations

import string
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from headwater import Split, task

if TYPE_CHECKING:
    import numpy as np

SIDE = 32
DRAWING_SCALE = 2
"""How many times larger a letter is drawn, so that slants and strokes stay smooth."""
LETTERS_PER_CLASS = {"train": 100, "test": 25}
SEED = 26


@task(
    "quickstart/letters",
    domain="characters",
    metric="accuracy",
    classes=list(string.ascii_uppercase),
    images=len(string.ascii_uppercase) * LETTERS_PER_CLASS["train"],
    mirror=False,
)
def letters() -> dict[str, Split]:
    """The 26 capital letters in Pillow's own font: slanted, turned, thick or thin, blurred, noisy;
    32×32 pixels.
    """
    import numpy as np

    generator = np.random.default_rng(SEED)
    return {name: _split(count, generator) for name, count in LETTERS_PER_CLASS.items()}


def _split(count: int, generator: np.random.Generator) -> Split:
    letters = [letter for letter in string.ascii_uppercase for _ in range(count)]
    return Split([_letter(letter, generator) for letter in letters], letters)


def _letter(letter: str, generator: np.random.Generator) -> np.ndarray:
    """Return (32, 32) uint8, white on black."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter

    side = DRAWING_SCALE * SIDE
    canvas = Image.new("L", (side, side))
    font = _font(round(generator.uniform(0.95, 1.3) * side))
    stroke = int(generator.integers(0, 2 * DRAWING_SCALE))
    centre = (side / 2, side / 2)
    ImageDraw.Draw(canvas).text(
        centre, letter, fill=255, font=font, anchor="mm", stroke_width=stroke
    )
    distortion = _distortion(side, generator)
    canvas = canvas.transform(
        canvas.size, Image.Transform.AFFINE, distortion, Image.Resampling.BILINEAR
    )
    blur = float(generator.uniform(0.25, 1.5) * DRAWING_SCALE)
    canvas = canvas.filter(ImageFilter.GaussianBlur(blur))
    canvas = canvas.resize((SIDE, SIDE), Image.Resampling.BOX)

    contrast = generator.uniform(0.7, 1.0)
    noise = generator.normal(0, 12, (SIDE, SIDE))
    ink = np.asarray(canvas, dtype=np.float64) * contrast + noise
    return ink.clip(0, 255).astype(np.uint8)


@lru_cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _distortion(side: int, generator: np.random.Generator) -> tuple[float, ...]:
    """Return the coefficients of PIL's affine transform: a turn, a slant, a stretch and a shift.

    PIL takes a pixel p of the result from A p + b. With c the centre and s the shift,
    b = c − A (c + s), so that what was in the centre is moved by s and stays in the middle of the
    turn.
    """
    import numpy as np

    turn = generator.uniform(-0.25, 0.25)
    slant = generator.uniform(-0.35, 0.35)
    stretch = generator.uniform(0.85, 1.3, 2)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    shear = np.array([[stretch[0], slant], [0, stretch[1]]])
    matrix = rotation @ shear
    centre = np.full(2, side / 2)
    shift = generator.uniform(-0.06, 0.06, 2) * side
    offset = centre - matrix @ (centre + shift)
    return (*matrix[0], offset[0], *matrix[1], offset[1])
