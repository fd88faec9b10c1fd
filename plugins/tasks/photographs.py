"""Photographs: patches of the two real ones that scikit-learn brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import Split, task

if TYPE_CHECKING:
    import numpy as np

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
ROWS, COLUMNS = 2, 3
"""Regions of a photograph: each is one class."""

PATCH_SIDE = 32
PATCHES_PER_CLASS = {"train": 160, "test": 40}
TEST_SHARE = 0.25
"""Share of a region's rows, its lowest, that test patches are from."""
SEED = 12
CLASSES = [
    f"{photo.partition('.')[0]} {row}-{column}"
    for photo in PHOTOGRAPHS
    for row in range(ROWS)
    for column in range(COLUMNS)
]


@task(
    "quickstart/photographs",
    domain="consumer",
    metric="accuracy",
    classes=CLASSES,
    images=len(CLASSES) * PATCHES_PER_CLASS["train"],
)
def photographs() -> dict[str, Split]:
    """Which of twelve regions of two photographs a 32×32 patch is from; test patches share no pixel
    with train.
    """
    import numpy as np

    generator = np.random.default_rng(SEED)
    regions = _regions()
    splits = {}
    for split, count in PATCHES_PER_CLASS.items():
        patches: list[np.ndarray] = []
        classes: list[int] = []
        for index, region in enumerate(regions):
            part = _part(region, split)
            patches += [_patch(part, generator) for _ in range(count)]
            classes += [index] * count
        splits[split] = Split(patches, classes)
    return splits


def _regions() -> list[np.ndarray]:
    """Return the regions of all photographs, row by row, in the order of ``CLASSES``."""
    import numpy as np
    from sklearn.datasets import load_sample_image

    regions: list[np.ndarray] = []
    for photo in PHOTOGRAPHS:
        pixels = load_sample_image(photo)
        for band in np.array_split(pixels, ROWS, axis=0):
            regions.extend(np.array_split(band, COLUMNS, axis=1))
    return regions


def _part(region: np.ndarray, split: str) -> np.ndarray:
    """Return a region's upper rows for training, its lowest for testing."""
    cut = round(region.shape[0] * (1 - TEST_SHARE))
    if split == "train":
        return region[:cut]
    return region[cut:]


def _patch(region: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return (32, 32, 3) uint8 from anywhere in the region."""
    height, width = region.shape[:2]
    top = generator.integers(0, height - PATCH_SIDE + 1)
    left = generator.integers(0, width - PATCH_SIDE + 1)
    return region[top : top + PATCH_SIDE, left : left + PATCH_SIDE]
