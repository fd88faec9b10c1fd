"""leep: how likely the labels are, predicted through the source's own classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.plugins.estimators.nce import nothing_known
from headwater.registry import estimator

if TYPE_CHECKING:
    import numpy as np

BLOCK, ROWS = 1 << 21, 512
"""Values of a block of rows in float64 (16 MB), and rows that it has at least: each block costs a sum over C·Z cells."""


@estimator("leep", low=nothing_known, high=0.0)
def leep(labels: np.ndarray, source_probabilities: np.ndarray) -> float:
    """Log expected empirical prediction: mean_i log Σ_z p(y_i|z) P_iz, p(y|z) = Σ_i 1[y_i = y] P_iz / Σ_i P_iz, in nats.

    ``labels``: (N,) classes. ``source_probabilities``: P (N, Cs). By Jensen's inequality it is at least −H(Y|Z) of the soft joint
    distribution, hence −log C. Source: Nguyen, Hassner, Seeger, Archambeau, LEEP: A New Measure to Evaluate Transferability of
    Learned Representations (ICML 2020, arXiv 2002.12462), equations 1 and 2.
    """
    return log_expected_prediction(source_probabilities, labels)


def log_expected_prediction(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """LEEP of probabilities (N, Z) over any classes and labels (N,); O(N·Z + C·Z) time and memory.

    A column that is zero throughout says nothing of the labels and takes no part.
    """
    import numpy as np

    joint = _class_sums(probabilities, labels)
    fired = joint.sum(0)
    given = np.divide(joint, fired, out=np.zeros_like(joint), where=fired > 0)
    total = 0.0
    for rows in _blocks(probabilities):
        block = _normalised(probabilities[rows])
        total += float(np.log(np.einsum("nz,nz->n", block, given[labels[rows]])).sum())
    return total / len(labels)


def _class_sums(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Σ_i 1[y_i = y] P_iz: (C, Z)."""
    import numpy as np
    from scipy.sparse import csr_array

    sums = np.zeros((int(labels.max()) + 1, probabilities.shape[1]))
    for rows in _blocks(probabilities):
        block = _normalised(probabilities[rows])
        count = len(block)
        members = csr_array(
            (np.ones(count), (labels[rows], np.arange(count))), shape=(len(sums), count)
        )
        sums += members @ block
    return sums


def _normalised(block: np.ndarray) -> np.ndarray:
    """In float64, rows adding up to 1: those of float32 miss it by their rounding, which would carry a perfect score above 0."""
    import numpy as np

    block = block.astype(np.float64)
    block /= block.sum(1, keepdims=True)
    return block


def _blocks(probabilities: np.ndarray) -> list[slice]:
    step = max(ROWS, BLOCK // probabilities.shape[1])
    return [slice(start, start + step) for start in range(0, len(probabilities), step)]
