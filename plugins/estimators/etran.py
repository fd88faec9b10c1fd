"""etran: whether the source knows images like these, and how surely its features tell the classes
apart.

The authors' code takes the energy of the lowest 0.5 % of the images and weighs the parts 0.15 and
0.85; this is the paper's.

Source: Gholami et al., ETran: Energy-Based Transferability Estimation (ICCV 2023, arXiv
2308.02027), section 3.
"""

from __future__ import annotations

from headwater import Evidence, Score, estimator, float64_blocks


@estimator("etran", pooled=True)
def etran(evidence: Evidence) -> Score:
    """Energy and discriminant scores, each scaled to [0, 1] over a pool of sources and added up;
    belongs to that pool.

    ``energy``: mean_i log Σ_d exp(x_id), the negative energy of the features. ``lda``: the mean
    posterior of the true class by a linear discriminant with the covariance within classes shrunk
    by max(exp(−5 λ_max), 1e-10). Neither is scale-invariant.

    Args:
        evidence: Features and classes.

    Returns:
        The sum of both, with both as parts.
    """
    parts = {"energy": _energy(evidence), "lda": _mean_posterior(evidence)}
    return Score(sum(parts.values()), parts=parts)


def _mean_posterior(evidence: Evidence) -> float:
    """Return the mean posterior of the images' own classes."""
    import numpy as np

    posteriors = []
    blocks = float64_blocks(evidence.features, evidence.labels)
    for _, of_true_class in evidence.discriminant.chances(blocks):
        posteriors.append(of_true_class)
    return float(np.concatenate(posteriors).mean())


def _energy(evidence: Evidence) -> float:
    """Return mean_i log Σ_d exp(x_id)."""
    import numpy as np

    total = 0.0
    for features, _ in float64_blocks(evidence.features, evidence.labels):
        # exp of differences to the largest cannot overflow.
        largest = features.max(1)
        exponentials = np.exp(features - largest[:, None])
        energies = largest + np.log(exponentials.sum(1))
        total += float(energies.sum())
    return total / len(evidence.labels)
