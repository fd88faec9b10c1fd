"""Pixels of dense tasks as rows: what makes an estimator of classification one of segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from registry.errors import DataError

if TYPE_CHECKING:
    import numpy as np

IGNORE = 255
"""The value that masks give to pixels of no class, by the custom of segmentation data sets."""


def sample_pixels(features: Any, masks: Any, *, per_class: int = 200, seed: int = 0, ignore: int = IGNORE) -> tuple[np.ndarray, np.ndarray]:
    """Class-balanced pixels: features (M, D) and labels (M,), ordered by class.

    ``features``: maps (N, D, h, w); ``masks``: (N, H, W) int, the class of each pixel, ``ignore`` where there is none. At most
    ``per_class`` pixels of each class are drawn from all images together, without replacement; each has the features of the cell
    that its centre lies in. The same seed draws the same pixels from the same masks, whatever the source.
    Raises DataError where the arrays do not fit or no pixel has a class.
    """
    import numpy as np

    features, masks = np.asanyarray(features), np.asanyarray(masks)
    _fit(features, masks)
    if per_class < 1:
        raise DataError(f"per_class is {per_class}: at least one pixel of each class is needed", subject="per_class")
    random = np.random.default_rng(seed)
    classes = [int(value) for value in np.unique(masks) if value != ignore]
    if not classes:
        raise DataError("no pixel has a class", subject="masks", hint=f"Pixels of the value {ignore} are left out: set ignore=.")
    drawn = {value: _draw(np.flatnonzero(masks == value), per_class, random) for value in classes}
    image, row, column = np.unravel_index(np.concatenate(list(drawn.values())), masks.shape)
    (_, _, h, w), (_, height, width) = features.shape, masks.shape
    # The centre of pixel i of H lies at (i + ½) / H of the side, and so in cell ⌊(2i + 1) h / 2H⌋ of h.
    cells = features[image, :, (2 * row + 1) * h // (2 * height), (2 * column + 1) * w // (2 * width)]
    return cells, np.repeat(np.array(classes, dtype=np.int64), [len(rows) for rows in drawn.values()])


def _draw(candidates: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    if len(candidates) <= most:
        return candidates
    chosen: np.ndarray = random.choice(candidates, most, replace=False)
    chosen.sort()
    return chosen


def _fit(features: np.ndarray, masks: np.ndarray) -> None:
    if features.ndim != 4:
        raise DataError(f"feature maps have shape {features.shape}; wanted are (N, D, h, w)", subject="features")
    if masks.ndim != 3 or masks.dtype.kind not in "iu":
        raise DataError(f"masks are {masks.dtype} of shape {masks.shape}; wanted are whole numbers (N, H, W)", subject="masks")
    if len(features) != len(masks):
        raise DataError(f"masks are of {len(masks):,} images, feature maps of {len(features):,}", subject="masks")
