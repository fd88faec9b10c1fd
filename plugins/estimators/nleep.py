"""nleep: leep where clusters of the features stand for the source's classes, so that any source
will do.

The clusters are the components k of a Gaussian mixture with weights π_k, means μ_k and diagonal
variances v_k, fitted by expectation maximisation to the first principal components x_i of the
features:

    E:  r_ik ∝ π_k N(x_i; μ_k, v_k),  log of it = log π_k − ½ Σ_d (x²/v − 2xμ/v + μ²/v + log v) + a
    constant
    M:  n_k = Σ_i r_ik,  π_k = n_k/Σn,  μ_k = Σ_i r_ik x_i / n_k,  v_k = Σ_i r_ik x_i² / n_k − μ_k²
    + floor

so that a step of each is one matrix product with the rows beside their squares, [x, x²].

Source: Li, Jia, Sang, Zhu, Green, Wang, Gong, Ranking Neural Checkpoints (CVPR 2021, arXiv
2011.11200), section 4; the start is that of Arthur and Vassilvitskii, k-means++ (2007).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import BadName, Score, estimator
from headwater.plugins.estimators.leep import log_expected_prediction
from headwater.plugins.estimators.nce import LABELS_UNEXPLAINED

if TYPE_CHECKING:
    import numpy as np

    from headwater import Evidence

MIN_IMAGES_PER_COMPONENT = 5
"""With fewer images, components would learn images by heart."""

FLOOR = 1e-3
"""Number added to every variance, as a share of the mean variance of the principal components."""

MAX_ROUNDS = 10
"""Most rounds of expectation maximisation. Twenty more rounds move the score by about 1 %."""
TOLERANCE = 1e-3
"""Gain in mean log likelihood (nats) below which a round is the last."""

BLOCK_NUMBERS = 1 << 17
"""Numbers of a block of the posterior, 1 MB: what a processor keeps near it."""

EMPTY = 1e-10
"""Images that an empty component counts for, so that its mean is a number."""


@estimator("nleep", low=LABELS_UNEXPLAINED, high=0.0)
def nleep(
    evidence: Evidence,
    *,
    components: int = 5,
    dimensions: int = 64,
    covariance: str = "diagonal",
    images: int = 5000,
    seed: int = 0,
) -> Score:
    """LEEP on the posterior of a Gaussian mixture over the first ``dimensions`` principal
    components of the features.

    Args:
        evidence: Features and classes.
        components: Components of the mixture for each class, but no more than one for every 5
            images.
        dimensions: Principal components.
        covariance: ``diagonal`` or ``spherical``.
        images: Images to fit and to score on; a sample where there are more.
        seed: Seed of the sample and of the k-means++ start.

    Returns:
        The score in nats, at least −log C.

    Raises:
        BadName: There is no such covariance.
    """
    import numpy as np

    if covariance not in ("diagonal", "spherical"):
        raise BadName(
            f"nleep[covariance={covariance}]: covariance is diagonal or spherical", subject="nleep"
        )
    generator = np.random.default_rng(seed)
    count = len(evidence.labels)
    if count > images:
        rows = np.sort(generator.choice(count, images, replace=False))
    else:
        rows = np.arange(count)
    wanted = max(1, components) * (int(evidence.labels.max()) + 1)
    affordable = max(1, len(rows) // MIN_IMAGES_PER_COMPONENT)
    scores = evidence.principal.scores(evidence.features[rows], max(1, dimensions))
    is_spherical = covariance == "spherical"
    posterior = mixture_posterior(scores, min(wanted, affordable), is_spherical, generator)
    notes = []
    fitted = posterior.shape[1]
    if fitted < wanted:
        notes.append(f"{fitted} mixture components rather than {wanted}: {len(rows):,} images")
    if len(rows) < count:
        notes.append(f"a sample of {len(rows):,} of {count:,} images, seed {seed}")
    value = log_expected_prediction(posterior, evidence.labels[rows])
    return Score(value, "; ".join(notes))


def mixture_posterior(
    rows: np.ndarray, components: int, spherical: bool, generator: np.random.Generator
) -> np.ndarray:
    """Fit a Gaussian mixture by expectation maximisation.

    Args:
        rows: (n, d).
        components: K.
        spherical: Whether the variances of a component are their mean.
        generator: Generator of the k-means++ start.

    Returns:
        The posterior r (n, K), of fewer components where rows coincide.
    """
    import numpy as np

    spread = float(rows.var(0).mean()) if rows.size else 0.0
    if spread:
        rows = rows / np.sqrt(spread)
    rows_and_squares = np.hstack([rows, rows**2])
    centres = _centres(rows, components, generator)
    posterior = np.zeros((len(rows), len(centres)))
    posterior[np.arange(len(rows)), _nearest(rows, centres)] = 1.0
    last_likelihood = -np.inf
    for _ in range(MAX_ROUNDS):
        mixture = _maximise(posterior, rows_and_squares, spherical)
        likelihood = _expect(posterior, mixture, rows_and_squares)
        if likelihood - last_likelihood < TOLERANCE:
            break
        last_likelihood = likelihood
    return posterior


def _maximise(
    posterior: np.ndarray, rows_and_squares: np.ndarray, spherical: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights (K,), means (K, d) and variances (K, d) of greatest likelihood, the
    variances with their floor.

    Args:
        posterior: r (n, K).
        rows_and_squares: [x, x²] (n, 2d).
        spherical: Whether the variances of a component are their mean.
    """
    import numpy as np

    counts = posterior.sum(0) + EMPTY
    means, squares = np.hsplit((posterior.T @ rows_and_squares) / counts[:, None], 2)
    variances = np.maximum(squares - means**2, 0)
    if spherical and variances.size:
        variances[:] = variances.mean(1, keepdims=True)
    return counts / counts.sum(), means, variances + FLOOR


def _expect(
    posterior: np.ndarray,
    mixture: tuple[np.ndarray, np.ndarray, np.ndarray],
    rows_and_squares: np.ndarray,
) -> float:
    """Write the posterior, block by block.

    Args:
        posterior: r (n, K), overwritten.
        mixture: Weights (K,), means (K, d) and variances (K, d).
        rows_and_squares: [x, x²] (n, 2d).

    Returns:
        The mean log likelihood, up to a constant.
    """
    import numpy as np

    weights, means, variances = mixture
    factors = np.hstack([means / variances, -0.5 / variances]).T
    constants = np.log(weights) - (means**2 / variances + np.log(variances)).sum(1) / 2
    step = max(1, BLOCK_NUMBERS // len(weights))
    likelihood = 0.0
    for start in range(0, len(rows_and_squares), step):
        block = posterior[start : start + step]
        np.matmul(rows_and_squares[start : start + step], factors, out=block)
        block += constants
        # exp of differences to the largest cannot overflow.
        largest = block.max(1, keepdims=True)
        block -= largest
        np.exp(block, out=block)
        total = block.sum(1, keepdims=True)
        block /= total
        likelihood += float((largest + np.log(total)).sum())
    return likelihood / len(rows_and_squares)


def _centres(rows: np.ndarray, components: int, generator: np.random.Generator) -> np.ndarray:
    """Return k-means++ centres (K, d): each next one is a row drawn in proportion to its squared
    distance to the nearest so far.
    """
    import numpy as np

    chosen = [int(generator.integers(len(rows)))]
    distances = np.full(len(rows), np.inf)
    while len(chosen) < components:
        differences = rows - rows[chosen[-1]]
        distances = np.minimum(distances, np.einsum("nd,nd->n", differences, differences))
        cumulated = np.cumsum(distances)
        if not cumulated[-1]:  # every row is a centre
            break
        drawn = generator.random() * cumulated[-1]
        chosen.append(int(np.searchsorted(cumulated, drawn, side="right")))
    return rows[chosen]


def _nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the index (n,) of each row's nearest centre: ‖x − c‖² falls where xᵀc − ½‖c‖² rises."""
    import numpy as np

    return np.asarray((rows @ centres.T - (centres**2).sum(1) / 2).argmax(1))
