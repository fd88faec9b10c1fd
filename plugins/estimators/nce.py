"""nce: how little the source's most likely class leaves open about the label.

Source: Tran, Nguyen, Hassner, Transferability and Hardness of Supervised Classification Tasks (ICCV
2019, arXiv 1908.08142), with pseudo-labels for Z.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from headwater import Bound, Shape, estimator

if TYPE_CHECKING:
    import numpy as np


def labels_unexplained(shape: Shape) -> float:
    """Return the score where the label is as open as it can be."""
    # Where C is None, Bound reads the TypeError as: not known.
    return -math.log(shape.classes)  # type: ignore[arg-type]


LABELS_UNEXPLAINED = Bound("−log C", labels_unexplained)


@estimator("nce", low=LABELS_UNEXPLAINED, high=0.0)
def nce(labels: np.ndarray, source_probabilities: np.ndarray) -> float:
    """Negative conditional entropy −H(Y|Z) of the label Y given the source's most likely class Z,
    in nats.

    −H(Y|Z) = Σ_{y,z} p(y, z) log p(y, z)/p(z), where the joint distribution is the empirical one,
    nothing added to its cells.

    Args:
        labels: (N,) classes.
        source_probabilities: (N, Cs) by the source's own classifier; of equal probabilities the
            first counts.

    Returns:
        The score, between −log C and 0.
    """
    import numpy as np

    classes = int(labels.max()) + 1
    z = source_probabilities.argmax(1).astype(np.int64)
    cells, joint_counts = np.unique(z * classes + labels, return_counts=True)
    counts_of_z = np.bincount(z)[cells // classes]
    return float(joint_counts @ np.log(joint_counts / counts_of_z) / len(labels))
