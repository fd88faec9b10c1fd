"""How well scores agree with the truth: correlations and what choosing by them loses, for many reweightings of the sources at once.

``scores`` and ``truth`` are (S,), higher is better. ``weights`` is (B, S): how often each resampling holds each source; a source that is
held twice counts as two that are alike in correlations, and once where sources are chosen (nobody fine-tunes one twice). Results
are (B,); NaN where a resampling tells nothing: fewer than two sources, or a truth that is the same for all of them.

Ties among scores are left to chance. A choice among them is the expectation over a uniform draw; scores that are all equal have
correlation 0, which is the expectation over random orders. Truths that tie are tied: τ_b and weighted τ account for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.special import comb, digamma

_ROUNDING = 1e-14
"""By how much of the largest value a mean of equal values may miss them."""


def pearson(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _correlation(
        np.broadcast_to(_scaled(scores), weights.shape),
        np.broadcast_to(_scaled(truth), weights.shape),
        weights,
    )


def spearman(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation of mid-ranks."""
    return _correlation(_midranks(scores, weights), _midranks(truth, weights), weights)


def kendall_tau_b(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(concordant − discordant pairs) / √(pairs not tied in scores · pairs not tied in truth)."""
    ones, one, other = np.ones_like(weights, float), _signs(scores), _signs(truth)
    return _ratio(
        *(_pairs(sign, weights, ones) for sign in (one * other, np.abs(one), np.abs(other)))
    )


def weighted_tau(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """scipy.stats.weightedtau(scores, truth) with its defaults: a pair counts 1/(r+1) + 1/(s+1), r and s its places from 0 at the top,
    mean of the places by scores (ties by truth) and by truth (ties by scores); Vigna, WWW 2015."""
    one, other = _signs(scores), _signs(truth)
    both = []
    for order in (np.lexsort((truth, scores))[::-1], np.lexsort((scores, truth))[::-1]):
        before = np.cumsum(weights[:, order], axis=1) - weights[:, order]
        places = np.empty_like(before, float)
        held = weights[:, order]
        places[:, order] = np.where(
            held > 0, (digamma(before + held + 1) - digamma(before + 1)) / np.maximum(held, 1), 0
        )
        both.append(
            _ratio(
                *(
                    _pairs(sign, weights, places)
                    for sign in (one * other, np.abs(one), np.abs(other))
                )
            )
        )
    return np.mean(both, axis=0)


def rel(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, k: int = 1) -> np.ndarray:
    """Rel@k: best truth among the k of the highest scores over the best truth: 1 − regret, so also where truths are negative."""
    return 1 - regret(scores, truth, weights, k)


def regret(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, k: int = 1) -> np.ndarray:
    """regret@k: (best truth − best truth among the k of the highest scores) / |best truth|; NaN where the best is 0."""
    held = weights > 0
    best = np.where(held, truth, -np.inf).max(axis=1, initial=-np.inf)
    chosen = _expected_best(scores, truth, held, k)
    told = np.isfinite(best) & (best != 0)
    return np.divide(best - chosen, np.abs(best), out=np.full(len(held), np.nan), where=told)


def recall(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, k: int = 1) -> np.ndarray:
    """Top-k recall: the share of the k best sources that are among the k of the highest scores; ties at both cuts left to chance."""
    held = weights > 0
    counts = np.minimum(k, held.sum(axis=1))
    both = (_chance_in_top(scores, held, k) * _chance_in_top(truth, held, k)).sum(axis=1)
    return np.divide(both, counts, out=np.full(len(held), np.nan), where=counts > 0)


# -- pairs ------------------------------------------------------------------------------------------------


def _signs(values: np.ndarray) -> np.ndarray:
    """(S, S) sign of each difference."""
    return np.sign(values[:, None] - values[None, :])


def _pairs(signs: np.ndarray, weights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(B,) Σ over pairs i, j of w_i w_j (p_i + p_j) s_ij / 2, s symmetric: each pair once, by the sum of its places' weights."""
    return ((weights * places) @ signs * weights).sum(axis=1)


def _ratio(agreeing: np.ndarray, by_scores: np.ndarray, by_truth: np.ndarray) -> np.ndarray:
    scale = np.sqrt(by_scores * by_truth)
    result = np.divide(agreeing, scale, out=np.zeros(len(scale)), where=scale > 0)
    return np.where(by_truth > 0, result, np.nan)


# -- products ---------------------------------------------------------------------------------------------


def _scaled(values: np.ndarray) -> np.ndarray:
    """To [0, 1]: correlations stay, sums of squares cannot overflow."""
    span = np.ptp(values)
    return (values - values.min()) / span if span > 0 else np.zeros_like(values, float)


def _midranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B, S) the mean place, counted from below, of the copies of each source."""
    below = (values[:, None] < values[None, :]).astype(float)
    level = (values[:, None] == values[None, :]).astype(float)
    return weights @ below + (weights @ level + 1) / 2


def _correlation(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1, keepdims=True)
    share = np.divide(weights, total, out=np.zeros_like(weights, float), where=total > 0)
    (one, spread), (other, truths) = (_centred(values, share) for values in (one, other))
    told = (spread > 0) & (truths > 0)
    result = np.divide(
        (share * one * other).sum(axis=1),
        np.sqrt(spread * truths),
        out=np.zeros(len(share)),
        where=told,
    )
    return np.where(truths > 0, np.clip(result, -1, 1), np.nan)


def _centred(values: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values less their mean, and their variance, which is 0 where it is no more than rounding."""
    centred = values - (share * values).sum(axis=1, keepdims=True)
    variance = (share * centred**2).sum(axis=1)
    return centred, np.where(
        variance > (_ROUNDING * np.abs(values).max(axis=1)) ** 2, variance, 0.0
    )


# -- choices ----------------------------------------------------------------------------------------------


def _chance_in_top(values: np.ndarray, held: np.ndarray, k: int) -> np.ndarray:
    """(B, S) the probability that each source is among the k of the highest values, ties at the cut left to chance."""
    above = held @ (values[:, None] > values[None, :]).astype(float)
    level = held @ (values[:, None] == values[None, :]).astype(float)
    chance = np.clip(np.divide(k - above, level, out=np.zeros_like(above), where=level > 0), 0, 1)
    return np.where(held, chance, 0.0)


def _expected_best(scores: np.ndarray, truth: np.ndarray, held: np.ndarray, k: int) -> np.ndarray:
    """(B,) the expectation of the best truth among the k of the highest scores.

    From the best truth downwards, the probability that none so far was chosen falls to 0 at a source above the cut, and with each of
    those that tie at it by C(g − q, m) / C(g, m): of g tied, m are drawn, and q have passed.
    """
    order = np.argsort(-truth, kind="stable")
    chance = _chance_in_top(scores, held, k)[:, order]
    sure, tied = chance >= 1, (chance > 0) & (chance < 1)
    group = tied.sum(axis=1, keepdims=True)
    drawn = np.rint(chance.sum(axis=1, keepdims=True) - sure.sum(axis=1, keepdims=True))
    passed = np.cumsum(tied, axis=1)
    none_yet = (
        comb(group - passed, drawn)
        / np.maximum(comb(group, drawn), 1)
        * (np.cumsum(sure, axis=1) == 0)
    )
    before = np.concatenate([np.ones((len(held), 1)), none_yet[:, :-1]], axis=1)
    return ((before - none_yet) * truth[order]).sum(axis=1)


Statistic = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

STATISTICS: dict[str, Statistic] = {
    "pearson": pearson,
    "spearman": spearman,
    "kendall": kendall_tau_b,
    "weighted_tau": weighted_tau,
    "rel1": rel,
    "rel3": partial(rel, k=3),
    "regret1": regret,
    "regret3": partial(regret, k=3),
    "recall3": partial(recall, k=3),
}
"""By the names of columns."""

CORRELATIONS = ("pearson", "spearman", "kendall", "weighted_tau")
