"""Draw pixels of dense tasks as rows, so that an estimator of classification can score
segmentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.registry.errors import DataError

if TYPE_CHECKING:
    import numpy as np

IGNORE = 255
"""The value that masks give to pixels of no class, by the custom of segmentation data sets."""

MAX_PIXELS_PER_CLASS = 200
"""Pixels of each class, at most: more of one image's pixels hardly tell more."""

ROUNDING = 1e-9
"""Share of a cell's side that float arithmetic may be off by, where a place lies on a border."""


def sample_pixels(
    features: Any,
    masks: Any,
    *,
    per_class: int = MAX_PIXELS_PER_CLASS,
    seed: int = 0,
    ignore: int = IGNORE,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw class-balanced pixels from all images together, without replacement.

    Each pixel has the features of the cell that its centre lies in. The same seed draws the same
    pixels from the same masks, whatever the source.

    Args:
        features: Maps (N, D, h, w).
        masks: (N, H, W) int, the class of each pixel.
        per_class: Pixels of each class, at most.
        seed: Seed of the draw.
        ignore: The value of pixels of no class.

    Returns:
        Features (M, D) and labels (M,), ordered by class.

    Raises:
        DataError: The arrays do not fit, or no pixel has a class.
    """
    import numpy as np

    features, masks = np.asanyarray(features), np.asanyarray(masks)
    _fit(features, masks)
    if per_class < 1:
        raise DataError(
            f"per_class is {per_class}: at least one pixel of each class is needed",
            subject="per_class",
        )
    random = np.random.default_rng(seed)
    classes = [int(value) for value in np.unique(masks) if value != ignore]
    if not classes:
        raise DataError(
            "no pixel has a class",
            subject="masks",
            hint=f"Pixels of the value {ignore} are left out: set ignore=.",
        )
    drawn = {value: draw(np.flatnonzero(masks == value), per_class, random) for value in classes}
    image, row, column = np.unravel_index(np.concatenate(list(drawn.values())), masks.shape)
    places = np.stack([(column + 0.5) / masks.shape[2], (row + 0.5) / masks.shape[1]], axis=1)
    rows, columns = cells_at(places, *features.shape[2:])
    counts = [len(pixels) for pixels in drawn.values()]
    labels = np.repeat(np.array(classes, dtype=np.int64), counts)
    return features[image, :, rows, columns], labels


def cells_at(places: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of a map that places lie in.

    A place on the border of two cells belongs to the later one, a place on the image's far edge to
    the last.

    Args:
        places: (M, 2), (x, y) from 0 to 1 across the image.
        height: Number of rows of the map.
        width: Number of its columns.

    Returns:
        The row and the column of each cell, (M,) int each.
    """
    import numpy as np

    sides = np.array([width, height])
    cells = (
        np.floor(np.asarray(places, dtype=np.float64) * sides + ROUNDING)
        .astype(np.int64)
        .clip(0, sides - 1)
    )
    return cells[:, 1], cells[:, 0]


def draw(candidates: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """Draw at most so many of (n,) candidates, without replacement, and return them in their order."""
    if len(candidates) <= most:
        return candidates
    chosen: np.ndarray = random.choice(candidates, most, replace=False)
    chosen.sort()
    return chosen


def _fit(features: np.ndarray, masks: np.ndarray) -> None:
    if features.ndim != 4:
        raise DataError(
            f"feature maps have shape {features.shape}; wanted are (N, D, h, w)", subject="features"
        )
    if masks.ndim != 3 or masks.dtype.kind not in "iu":
        raise DataError(
            f"masks are {masks.dtype} of shape {masks.shape}; wanted are whole numbers (N, H, W)",
            subject="masks",
        )
    if len(features) != len(masks):
        raise DataError(
            f"masks are of {len(masks):,} images, feature maps of {len(features):,}",
            subject="masks",
        )
