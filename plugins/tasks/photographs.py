"""Photographs: patches of the two real ones that scikit-learn brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import Split, task

if TYPE_CHECKING:
    import numpy as np

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
ROWS, COLUMNS = 2, 3
"""Regions of a photograph: each is one class."""

PATCH = 32
PER_CLASS = {"train": 160, "test": 40}
TEST_SHARE = 0.25
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
    images=len(CLASSES) * PER_CLASS["train"],
)
def photographs() -> dict[str, Split]:
    """Which of twelve regions of two photographs a 32×32 patch is from; test patches share no pixel
    with train.
    """
    import numpy as np

    generator = np.random.default_rng(SEED)
    regions = _regions()
    splits = {}
    for name, count in PER_CLASS.items():
        chosen = [index for index in range(len(regions)) for _ in range(count)]
        splits[name] = Split(
            [_patch(_part(regions[index], name), generator) for index in chosen], chosen
        )
    return splits


def _regions() -> list[np.ndarray]:
    import numpy as np
    from sklearn.datasets import load_sample_image

    regions: list[np.ndarray] = []
    for photo in PHOTOGRAPHS:
        for band in np.array_split(load_sample_image(photo), ROWS, axis=0):
            regions.extend(np.array_split(band, COLUMNS, axis=1))
    return regions


def _part(region: np.ndarray, split: str) -> np.ndarray:
    """A region's upper rows for training, its lowest for testing."""
    cut = round(region.shape[0] * (1 - TEST_SHARE))
    return region[:cut] if split == "train" else region[cut:]


def _patch(region: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(32, 32, 3) uint8 from anywhere in the region."""
    height, width = region.shape[:2]
    top, left = generator.integers(0, height - PATCH + 1), generator.integers(0, width - PATCH + 1)
    return region[top : top + PATCH, left : left + PATCH]
