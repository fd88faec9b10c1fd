"""Handwritten digits: 1,797 real scans of 8×8 pixels that scikit-learn brings along."""

from __future__ import annotations

from headwater import Split, task

TEST_IMAGES = 597
"""The last ones: scikit-learn keeps the order of the writers, so most test digits are by hands
unseen in training.
"""


@task(
    "sklearn/digits",
    domain="characters",
    metric="accuracy",
    classes=[str(digit) for digit in range(10)],
    images=1200,
    mirror=False,
    licence="cc-by-4.0",
)
def digits() -> dict[str, Split]:
    """Handwritten digits, 8×8 pixels, from UCI's optical recognition set (Alpaydin & Kaynak 1998)."""
    import numpy as np
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.round(data.images * (255 / 16)).astype(np.uint8)  # the scans count ink from 0 to 16
    cut = len(images) - TEST_IMAGES
    return {
        "train": Split(images[:cut], data.target[:cut]),
        "test": Split(images[cut:], data.target[cut:]),
    }
