"""nleep: leep where clusters of the features stand for the source's classes, so that any source will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.plugins.estimators.leep import log_expected_prediction
from headwater.plugins.estimators.nce import nothing_known
from headwater.registry import estimator
from headwater.registry.cards.estimator import Score
from headwater.registry.errors import BadName

if TYPE_CHECKING:
    import numpy as np

    from headwater.registry.evidence.evidence import Evidence

FEWEST = 5
"""Images for each component at the least: with fewer, components would learn images by heart."""

FLOOR = 1e-3
"""Added to every variance, as a share of the mean variance of the principal components."""

ROUNDS, TOLERANCE = 10, 1e-3
"""Rounds of expectation and maximisation at most, and the gain in mean log likelihood (nats) that ends them.

Twenty more rounds move the score by about 1 %.
"""

BLOCK = 1 << 17
"""Values of a block of the posterior, 1 MB: what a processor keeps near it."""

EMPTY = 1e-10
"""Images that a component with none counts for, so that its mean is a number."""


@estimator("nleep", low=nothing_known, high=0.0)
def nleep(
    evidence: Evidence,
    *,
    components: int = 5,
    dimensions: int = 64,
    covariance: str = "diagonal",
    images: int = 5000,
    seed: int = 0,
) -> Score:
    """LEEP on the posterior of a Gaussian mixture over the first ``dimensions`` principal components of the features.

    The mixture has ``components`` for each class, but no more than one for every 5 images; ``covariance``: ``diagonal`` or
    ``spherical``. It starts at k-means++ centres drawn from ``seed``. Where there are more than ``images``, it is fitted and scored on a
    seeded sample of as many. Source: Li, Jia, Sang, Zhu, Green, Wang, Gong, Ranking Neural Checkpoints (CVPR 2021, arXiv
    2011.11200), section 4; Arthur and Vassilvitskii, k-means++ (2007).
    """
    import numpy as np

    if covariance not in ("diagonal", "spherical"):
        raise BadName(
            f"nleep[covariance={covariance}]: covariance is diagonal or spherical", subject="nleep"
        )
    generator, count = np.random.default_rng(seed), len(evidence.labels)
    rows = (
        np.sort(generator.choice(count, images, replace=False))
        if count > images
        else np.arange(count)
    )
    labels = evidence.labels[rows]
    wanted = max(1, components) * (int(evidence.labels.max()) + 1)
    scores = evidence.principal.scores(evidence.features[rows], max(1, dimensions))
    posterior = mixture_posterior(
        scores, min(wanted, max(1, len(rows) // FEWEST)), covariance == "spherical", generator
    )
    return Score(
        log_expected_prediction(posterior, labels), _note(posterior.shape, wanted, count, seed)
    )


def _note(fitted: tuple[int, ...], wanted: int, count: int, seed: int) -> str:
    images, components = fitted
    said = (
        [f"{components} mixture components rather than {wanted}: {images:,} images"]
        if components < wanted
        else []
    )
    return "; ".join(
        said
        + ([f"a sample of {images:,} of {count:,} images, seed {seed}"] if images < count else [])
    )


def mixture_posterior(
    rows: np.ndarray, components: int, spherical: bool, generator: np.random.Generator
) -> np.ndarray:
    """Posterior of a Gaussian mixture fitted to rows (n, d) by expectation maximisation: (n, K), fewer where rows coincide."""
    import numpy as np

    spread = float(rows.var(0).mean()) if rows.size else 0.0
    rows = rows / np.sqrt(spread) if spread else rows
    both = np.hstack([rows, rows**2])
    centres = _centres(rows, components, generator)
    posterior = np.zeros((len(rows), len(centres)))
    posterior[np.arange(len(rows)), _nearest(rows, centres)] = 1.0
    before = -np.inf
    for _ in range(ROUNDS):
        weights, means, variances = _maximised(posterior, both, spherical)
        likelihood = _expect(posterior, weights, means, variances, both)
        if likelihood - before < TOLERANCE:
            break
        before = likelihood
    return posterior


def _maximised(
    posterior: np.ndarray, both: np.ndarray, spherical: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (K,), means (K, d) and variances (K, d) of greatest likelihood, the variances with their floor.

    ``both``: the rows and their squares, (n, 2 d).
    """
    import numpy as np

    counts = posterior.sum(0) + EMPTY
    means, squares = np.hsplit((posterior.T @ both) / counts[:, None], 2)
    variances = np.maximum(squares - means**2, 0)
    if spherical and variances.size:
        variances[:] = variances.mean(1, keepdims=True)
    return counts / counts.sum(), means, variances + FLOOR


def _expect(
    posterior: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray,
    variances: np.ndarray,
    both: np.ndarray,
) -> float:
    """Writes the posterior (n, K), block by block; the mean log likelihood but for a constant."""
    import numpy as np

    factors = np.hstack([means / variances, -0.5 / variances]).T
    constants = np.log(weights) - (means**2 / variances + np.log(variances)).sum(1) / 2
    likelihood, step = 0.0, max(1, BLOCK // len(weights))
    for start in range(0, len(both), step):
        block = posterior[start : start + step]
        np.matmul(both[start : start + step], factors, out=block)
        block += constants
        top = block.max(1, keepdims=True)
        block -= top
        np.exp(block, out=block)
        total = block.sum(1, keepdims=True)
        block /= total
        likelihood += float((top + np.log(total)).sum())
    return likelihood / len(both)


def _centres(rows: np.ndarray, components: int, generator: np.random.Generator) -> np.ndarray:
    """k-means++: each next centre is an image drawn in proportion to its squared distance to the centres so far."""
    import numpy as np

    chosen = [int(generator.integers(len(rows)))]
    away = np.full(len(rows), np.inf)
    while len(chosen) < components:
        apart = rows - rows[chosen[-1]]
        away = np.minimum(away, np.einsum("nd,nd->n", apart, apart))
        cumulated = np.cumsum(away)
        if not cumulated[-1]:  # every row is a centre
            break
        chosen.append(
            int(np.searchsorted(cumulated, generator.random() * cumulated[-1], side="right"))
        )
    return rows[chosen]


def _nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.asarray((rows @ centres.T - (centres**2).sum(1) / 2).argmax(1))
