"""nce: how little the source's most likely class leaves open about the label."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headwater.registry import estimator
from headwater.registry.evidence.shape import Shape

if TYPE_CHECKING:
    import numpy as np


def nothing_known(shape: Shape) -> float:
    """−log C: the label is as open as it can be."""
    return -math.log(shape.classes)  # type: ignore[arg-type]  # None: a TypeError, which Estimator.range reads as unknown


@estimator("nce", low=nothing_known, high=0.0)
def nce(labels: np.ndarray, source_probabilities: np.ndarray) -> float:
    """Negative conditional entropy −H(Y|Z) of the label Y given the source's most likely class Z, in nats.

    ``labels``: (N,) classes. ``source_probabilities``: (N, Cs); of equal probabilities the first counts. The joint distribution is
    the empirical one, nothing added to its cells. Source: Tran, Nguyen, Hassner, Transferability and Hardness of Supervised
    Classification Tasks (ICCV 2019, arXiv 1908.08142), with pseudo-labels for Z.
    """
    import numpy as np

    classes = int(labels.max()) + 1
    guesses = source_probabilities.argmax(1).astype(np.int64)
    cells, joint = np.unique(guesses * classes + labels, return_counts=True)
    given = np.bincount(guesses)[cells // classes]
    return float(joint @ np.log(joint / given) / len(labels))
