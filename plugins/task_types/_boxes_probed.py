"""What of boxes estimators score: places with a class, those of no object among them."""

from __future__ import annotations

import numpy as np

from headwater import Probe

TRIES = 8
"""Places drawn of each image to find some in no box."""


def probe_of(targets: np.ndarray) -> Probe:
    """The centre of every box (N, K, 5) with its class; and places in no box, drawn from a fixed seed, as the class after the last."""
    image, box = np.nonzero(targets[..., 4] >= 0)
    corners, labels = targets[image, box, :4], targets[image, box, 4].astype(np.int64)
    elsewhere, places = _elsewhere(targets)
    images = np.concatenate([image, elsewhere])
    order = np.argsort(images, kind="stable")
    all_labels = np.concatenate([labels, np.full(len(elsewhere), labels.max(initial=-1) + 1)])
    return Probe(
        all_labels[order],
        images[order],
        np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, places])[order],
    )


def _elsewhere(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images (m,) and places (m, 2) in none of their boxes."""
    places = np.random.default_rng(0).random((len(targets), TRIES, 1, 2))
    given = targets[:, None]
    inside = ((places >= given[..., :2]) & (places <= given[..., 2:4])).all(-1) & (
        given[..., 4] >= 0
    )
    image, place = np.nonzero(~inside.any(-1))
    return image, places[image, place, 0]
