"""leep: how likely the labels are, predicted through the source's own classes.

With P_iz the source's probability of its class z for image i,

    p(y|z) = Σ_i 1[y_i = y] P_iz / Σ_i P_iz,    LEEP = mean_i log Σ_z p(y_i|z) P_iz

By Jensen's inequality it is at least −H(Y|Z) of the soft joint distribution, hence at least −log C.

Source: Nguyen, Hassner, Seeger, Archambeau, LEEP: A New Measure to Evaluate Transferability of
Learned Representations (ICML 2020, arXiv 2002.12462), equations 1 and 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import estimator
from headwater.plugins.estimators.nce import LABELS_UNEXPLAINED

if TYPE_CHECKING:
    import numpy as np

BLOCK_NUMBERS = 1 << 21
"""Numbers of a block of rows in float64: 16 MB."""
MIN_BLOCK_ROWS = 512
"""Least rows of a block: each block costs a sum over C·Z cells."""


@estimator("leep", low=LABELS_UNEXPLAINED, high=0.0)
def leep(labels: np.ndarray, source_probabilities: np.ndarray) -> float:
    """Log expected empirical prediction: mean_i log Σ_z p(y_i|z) P_iz, p(y|z) = Σ_i 1[y_i = y] P_iz
    / Σ_i P_iz, in nats.

    Args:
        labels: (N,) classes.
        source_probabilities: P (N, Cs), by the source's own classifier.

    Returns:
        The score, between −log C and 0.
    """
    return log_expected_prediction(source_probabilities, labels)


def log_expected_prediction(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return LEEP of probabilities over any classes, in O(N·Z + C·Z) time and memory.

    A column of zeros says nothing of the labels and takes no part.

    Args:
        probabilities: (N, Z).
        labels: (N,) classes.
    """
    import numpy as np

    joint = _class_sums(probabilities, labels)
    sums = joint.sum(0)
    p_label = np.divide(joint, sums, out=np.zeros_like(joint), where=sums > 0)
    total = 0.0
    for rows in _blocks(probabilities):
        block = _normalised(probabilities[rows])
        expected = np.einsum("nz,nz->n", block, p_label[labels[rows]])
        total += float(np.log(expected).sum())
    return total / len(labels)


def _class_sums(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return Σ_i 1[y_i = y] P_iz, (C, Z)."""
    import numpy as np
    from scipy.sparse import csr_array

    sums = np.zeros((int(labels.max()) + 1, probabilities.shape[1]))
    for rows in _blocks(probabilities):
        block = _normalised(probabilities[rows])
        count = len(block)
        cells = (labels[rows], np.arange(count))
        members = csr_array((np.ones(count), cells), shape=(len(sums), count))
        sums += members @ block
    return sums


def _normalised(block: np.ndarray) -> np.ndarray:
    """Return rows in float64 that add up to 1: the rounding of float32 would carry a perfect score
    above 0.
    """
    import numpy as np

    block = block.astype(np.float64)
    block /= block.sum(1, keepdims=True)
    return block


def _blocks(probabilities: np.ndarray) -> list[slice]:
    step = max(MIN_BLOCK_ROWS, BLOCK_NUMBERS // probabilities.shape[1])
    return [slice(start, start + step) for start in range(0, len(probabilities), step)]
