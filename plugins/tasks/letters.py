"""Letters drawn on the spot: a source of characters that needs no download."""

from __future__ import annotations

import string
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from headwater import Split, task

if TYPE_CHECKING:
    import numpy as np

SIZE = 32
SCALE = 2
PER_CLASS = {"train": 100, "test": 25}
SEED = 26


@task(
    "quickstart/letters",
    domain="characters",
    metric="accuracy",
    classes=list(string.ascii_uppercase),
    images=len(string.ascii_uppercase) * PER_CLASS["train"],
    mirror=False,
)
def letters() -> dict[str, Split]:
    """The 26 capital letters in Pillow's own font: slanted, turned, thick or thin, blurred, noisy;
    32×32 pixels.
    """
    import numpy as np

    generator = np.random.default_rng(SEED)
    return {name: _split(count, generator) for name, count in PER_CLASS.items()}


def _split(count: int, generator: np.random.Generator) -> Split:
    letters = [letter for letter in string.ascii_uppercase for _ in range(count)]
    return Split([_letter(letter, generator) for letter in letters], letters)


def _letter(letter: str, generator: np.random.Generator) -> np.ndarray:
    """(32, 32) uint8, white on black: drawn larger first, so that slants and strokes stay smooth."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter

    side = SCALE * SIZE
    canvas = Image.new("L", (side, side))
    font = _font(round(generator.uniform(0.95, 1.3) * side))
    stroke = int(generator.integers(0, 2 * SCALE))
    ImageDraw.Draw(canvas).text(
        (side / 2, side / 2), letter, fill=255, font=font, anchor="mm", stroke_width=stroke
    )
    canvas = canvas.transform(
        canvas.size, Image.Transform.AFFINE, _distortion(side, generator), Image.Resampling.BILINEAR
    )
    canvas = canvas.filter(
        ImageFilter.GaussianBlur(float(generator.uniform(0.25, 1.5) * SCALE))
    ).resize((SIZE, SIZE), Image.Resampling.BOX)
    ink = np.asarray(canvas, dtype=np.float64) * generator.uniform(0.7, 1.0) + generator.normal(
        0, 12, (SIZE, SIZE)
    )
    return ink.clip(0, 255).astype(np.uint8)


@lru_cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _distortion(side: int, generator: np.random.Generator) -> tuple[float, ...]:
    """Coefficients of PIL's affine transform: a turn, a slant, a stretch and a shift about the
    centre.
    """
    import numpy as np

    turn, slant = generator.uniform(-0.25, 0.25), generator.uniform(-0.35, 0.35)
    stretch = generator.uniform(0.85, 1.3, 2)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) @ np.array(
        [[stretch[0], slant], [0, stretch[1]]]
    )
    centre = np.full(2, side / 2)
    offset = centre - matrix @ (centre + generator.uniform(-0.06, 0.06, 2) * side)
    return (*matrix[0], offset[0], *matrix[1], offset[1])
