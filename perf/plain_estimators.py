"""The estimators as they are usually published, rewritten plainly: what one would copy from a paper's repository.

Faults that change the score are left out; what remains is the way the numbers are worked out.
"""

from __future__ import annotations

import numpy as np


def logme(features, labels, probabilities):
    """A singular value decomposition of XᵀX, projected images, and a fixed-point iteration for each class."""
    features = features.astype(np.float64)
    _, squares, axes = np.linalg.svd(features.T @ features)
    sigma = squares[squares > 1e-10]
    images = features @ axes.T[:, : len(sigma)] / np.sqrt(sigma)
    count, width = features.shape
    found = []
    for c in range(labels.max() + 1):
        y = (labels == c).astype(np.float64)
        components = (images.T @ y) ** 2
        outside, t = max(y @ y - components.sum(), 1e-12), 1.0
        for _ in range(100):
            gamma = (sigma / (sigma + t)).sum()
            weights, residual = (
                (sigma * components / (t + sigma) ** 2).sum(),
                (components / (1 + sigma / t) ** 2).sum() + outside,
            )
            alpha, beta = gamma / weights, (count - gamma) / residual
            t, before = alpha / beta, t
            if abs(t - before) <= 1e-3 * before:
                break
        found.append(
            width / 2 * np.log(alpha)
            + count / 2 * np.log(beta / 2 / np.pi)
            - 0.5 * np.log(alpha + beta * sigma).sum()
            - (width - len(sigma)) / 2 * np.log(alpha)
            - beta / 2 * residual
            - alpha / 2 * weights
        )
    return np.mean(found) / count


def leep(features, labels, probabilities):
    """Every image's, source class's and class's share at once: (N, source classes, C)."""
    one_hot = np.eye(labels.max() + 1)[labels]
    joint = (probabilities[:, :, None] * one_hot[:, None, :]).mean(0)
    given = joint / joint.sum(1, keepdims=True)
    return np.log(
        (probabilities[:, :, None] * given[None]).sum(1)[np.arange(len(labels)), labels]
    ).mean()


def hscore(features, labels, probabilities):
    """A pseudo-inverse by singular value decomposition, and each image's class mean."""
    features = features.astype(np.float64)
    means = np.zeros_like(features)
    for c in range(labels.max() + 1):
        means[labels == c] = features[labels == c].mean(0)
    return np.trace(np.linalg.pinv(np.cov(features.T), rcond=1e-15) @ np.cov(means.T))


def hscore_reg(features, labels, probabilities):
    """Ledoit and Wolf's covariance by scikit-learn, and a pseudo-inverse of it."""
    from sklearn.covariance import ledoit_wolf

    features = features.astype(np.float64)
    covariance, shrinkage = ledoit_wolf(features)
    means = np.zeros_like(features)
    for c in range(labels.max() + 1):
        means[labels == c] = features[labels == c].mean(0)
    return (1 - shrinkage) * np.trace(np.linalg.pinv(covariance) @ np.cov(means.T, bias=True))


def transrate(features, labels, probabilities):
    """A determinant of D × D for all images and for each class."""

    def rate(rows):
        return (
            0.5 * np.linalg.slogdet(np.eye(rows.shape[1]) + rows.T @ rows / (len(rows) * 1e-4))[1]
        )

    features = features - features.mean(0, dtype=np.float64)
    return rate(features) - np.mean([rate(features[labels == c]) for c in range(labels.max() + 1)])


def gbc(features, labels, probabilities):
    """Principal components by scikit-learn, and a loop over pairs of classes."""
    from sklearn.decomposition import PCA

    features = PCA(64, svd_solver="full").fit_transform(features.astype(np.float64))
    classes = range(labels.max() + 1)
    means = [features[labels == c].mean(0) for c in classes]
    spreads = [np.maximum(features[labels == c].var(0), 1e-4) for c in classes]
    total = 0.0
    for i in classes:
        for j in classes:
            if i != j:
                spread = (spreads[i] + spreads[j]) / 2
                logs = (
                    np.log(spread).sum()
                    - 0.5 * np.log(spreads[i]).sum()
                    - 0.5 * np.log(spreads[j]).sum()
                )
                total += np.exp(-((means[i] - means[j]) ** 2 / spread).sum() / 8 - 0.5 * logs)
    return -total


def parc(features, labels, probabilities):
    """Correlations of all images with each other."""
    from scipy.stats import spearmanr
    from sklearn.decomposition import PCA

    features = PCA(32, svd_solver="full").fit_transform(features.astype(np.float64))
    above = np.triu_indices(len(features), 1)
    distances = 1 - np.corrcoef(features)[above]
    return spearmanr(distances, 1 - np.corrcoef(np.eye(labels.max() + 1)[labels])[above])[0] * 100


def knn(features, labels, probabilities):
    """Distances of all images to each other, sorted."""
    features = features.astype(np.float64)
    squares = (features**2).sum(1)
    distances = squares[:, None] - 2 * features @ features.T + squares
    np.fill_diagonal(distances, np.inf)
    nearest = labels[np.argsort(distances, 1)[:, :5]]
    return np.mean(
        [np.bincount(row).argmax() == label for row, label in zip(nearest, labels, strict=True)]
    )


def sfda(features, labels, probabilities):
    """A covariance of D × D for each class, and a generalised eigendecomposition, twice."""
    features = features.astype(np.float64)
    first, shrinkage, means = _fisher(features, labels, None)
    softened = np.exp(first) / np.exp(first).sum(1, keepdims=True)
    for c in range(len(means)):
        own = labels == c
        share = softened[own, c][:, None]
        features[own] = share * features[own] + (1 - share) * (means.sum(0) - means[c]) / (
            len(means) - 1
        )
    return _fisher(features, labels, shrinkage)[0][np.arange(len(labels)), labels].mean()


def _fisher(features, labels, shrinkage):
    from scipy.linalg import eigh
    from scipy.special import softmax

    shares = np.bincount(labels) / len(labels)
    means = np.stack([features[labels == c].mean(0) for c in range(len(shares))])
    within = sum(
        share * np.cov(features[labels == c].T, bias=True) for c, share in enumerate(shares)
    )
    if shrinkage is None:
        shrinkage = max(np.exp(-5 * np.linalg.eigvalsh(within)[-1]), 1e-10)
    diagonal = np.eye(len(within))
    shrunk = (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * diagonal
    total = np.cov(features.T, bias=True)
    total = (1 - shrinkage) * total + shrinkage * np.trace(total) / len(total) * diagonal
    _, axes = eigh(total - shrunk, shrunk)
    weights = means @ axes @ axes.T
    return (
        softmax(features @ weights.T - 0.5 * np.diag(means @ weights.T) + np.log(shares), axis=1),
        shrinkage,
        means,
    )


def nleep(features, labels, probabilities):
    """A Gaussian mixture of five full covariances a class on the components of 80 % of the variance."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    features = PCA(0.8, svd_solver="full").fit_transform(features.astype(np.float64))
    posteriors = (
        GaussianMixture(5 * (labels.max() + 1), random_state=0)
        .fit(features)
        .predict_proba(features)
    )
    given = np.stack(
        [posteriors[labels == c].sum(0) for c in range(labels.max() + 1)]
    ) / posteriors.sum(0)
    return np.log((posteriors @ given.T)[np.arange(len(labels)), labels]).mean()


PLAIN = {
    function.__name__: function
    for function in (logme, leep, hscore, hscore_reg, transrate, gbc, parc, knn, sfda, nleep)
}
