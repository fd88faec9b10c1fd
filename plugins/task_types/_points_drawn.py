"""Points drawn on an image, by torchvision."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.utils import draw_keypoints

DRAWN = 256
"""Pixels that the side of a picture has at least."""
TRUE, PREDICTED = (60, 220, 90), (255, 90, 60)
"""Colours of points."""


def drawn(image: np.ndarray, places: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Dots at places (M, 2), shares of the sides, on an (S, S, 3) uint8 image that is enlarged so that they can be told apart; with a
    dark ring, so that they show on their own colour."""
    factor = -(-DRAWN // len(image))
    large = torch.from_numpy(
        np.ascontiguousarray(image.repeat(factor, 0).repeat(factor, 1))
    ).permute(2, 0, 1)
    points = torch.from_numpy(np.ascontiguousarray(places, dtype=np.float32))[None] * large.shape[1]
    ringed = draw_keypoints(large, points, colors=(0, 0, 0), radius=4)
    return draw_keypoints(ringed, points, colors=colour, radius=3).permute(1, 2, 0).numpy()
