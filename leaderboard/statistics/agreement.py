"""Measure how well scores agree with the truth, for many reweightings of the sources at once.

Every function takes ``scores`` and ``truth``, both (S,) with higher better, and ``weights`` (B, S):
how often each of B resamplings holds each source. It returns (B,), NaN where a resampling tells
nothing: fewer than two sources, or a truth that is the same for all of them.

A source that is held twice counts as two that are alike in a correlation. It counts once where
sources are chosen, since nobody fine-tunes one twice.

Derivations. With w_i the weight of source i and s_ij, t_ij the signs of the differences in scores
and truth,

    tau_b = sum_ij w_i w_j s_ij t_ij / sqrt(sum_ij w_i w_j s_ij^2 * sum_ij w_i w_j t_ij^2),

and the weighted tau (Vigna, WWW 2015) counts each pair (p_i + p_j) times, p the weight of a
source's place. Pearson's correlation is taken with weights w / sum(w); Spearman's is Pearson's of
mid-ranks, where a source's rank is the mean place of its copies.

Ties among scores are left to chance. A choice among them is the expectation over a uniform draw,
and scores that are all equal have correlation 0, the expectation over random orders. Truths that
tie are tied.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy import ndarray as Array
from scipy.special import comb, digamma

ROUNDING = 1e-14
"""Share of the largest value by which the mean of equal values may miss them."""


def pearson(scores: Array, truth: Array, weights: Array) -> Array:
    """Return Pearson's correlation of each resampling, (B,) in [-1, 1]."""
    scaled_scores = np.broadcast_to(_scaled(scores), weights.shape)
    scaled_truth = np.broadcast_to(_scaled(truth), weights.shape)
    return _correlation(scaled_scores, scaled_truth, weights)


def spearman(scores: Array, truth: Array, weights: Array) -> Array:
    """Return Spearman's rank correlation of each resampling, (B,): Pearson's of mid-ranks."""
    return _correlation(_midranks(scores, weights), _midranks(truth, weights), weights)


def kendall_tau_b(scores: Array, truth: Array, weights: Array) -> Array:
    """Return Kendall's tau_b of each resampling, (B,).

    It is (concordant - discordant pairs) / sqrt(pairs not tied in scores * pairs not tied in
    truth).
    """
    return _tau(_signs(scores), _signs(truth), weights, np.ones_like(weights, float))


def weighted_tau(scores: Array, truth: Array, weights: Array) -> Array:
    """Return the weighted tau of each resampling, (B,), as ``scipy.stats.weightedtau`` does by
    default.

    A pair counts 1/(r+1) + 1/(s+1), where r and s are its sources' places from 0 at the top. The
    result is the mean of
    two: places by scores (ties by truth), and places by truth (ties by scores). Source: Vigna, WWW
        2015.
    """
    score_signs = _signs(scores)
    truth_signs = _signs(truth)
    by_scores = np.lexsort((truth, scores))[::-1]
    by_truth = np.lexsort((scores, truth))[::-1]
    taus = [
        _tau(score_signs, truth_signs, weights, _place_weights(order, weights))
        for order in (by_scores, by_truth)
    ]
    return np.mean(taus, axis=0)


def rel(scores: Array, truth: Array, weights: Array, k: int = 1) -> Array:
    """Return Rel@k of each resampling, (B,): 1 - regret@k, also where truths are negative.

    For positive truths it is the best truth among the k highest scores over the best truth.
    """
    return 1 - regret(scores, truth, weights, k)


def regret(scores: Array, truth: Array, weights: Array, k: int = 1) -> Array:
    """Return regret@k of each resampling, (B,); NaN where the best truth is 0.

    It is (best truth - best truth among the k highest scores) / |best truth|.
    """
    held = weights > 0
    best = np.where(held, truth, -np.inf).max(axis=1, initial=-np.inf)
    chosen = _expected_best(scores, truth, held, k)
    is_defined = np.isfinite(best) & (best != 0)
    undefined = np.full(len(held), np.nan)
    return np.divide(best - chosen, np.abs(best), out=undefined, where=is_defined)


def recall(scores: Array, truth: Array, weights: Array, k: int = 1) -> Array:
    """Return the top-k recall of each resampling, (B,).

    It is the share of the k best sources that are among the k highest scores; ties at both cuts are
    left to chance.
    """
    held = weights > 0
    counts = np.minimum(k, held.sum(axis=1))
    in_both = _chance_in_top(scores, held, k) * _chance_in_top(truth, held, k)
    undefined = np.full(len(held), np.nan)
    return np.divide(in_both.sum(axis=1), counts, out=undefined, where=counts > 0)


# -- pairs -----------------------------------------------------------------------------------------


def _signs(values: Array) -> Array:
    """Return (S, S), the sign of each difference."""
    return np.sign(values[:, None] - values[None, :])


def _tau(score_signs: Array, truth_signs: Array, weights: Array, places: Array) -> Array:
    """Return the tau of each resampling, (B,), whose pairs count by ``places`` (B, S)."""
    agreeing = _sum_over_pairs(score_signs * truth_signs, weights, places)
    by_scores = _sum_over_pairs(np.abs(score_signs), weights, places)
    by_truth = _sum_over_pairs(np.abs(truth_signs), weights, places)
    scale = np.sqrt(by_scores * by_truth)
    taus = np.divide(agreeing, scale, out=np.zeros(len(scale)), where=scale > 0)
    return np.where(by_truth > 0, taus, np.nan)


def _sum_over_pairs(signs: Array, weights: Array, places: Array) -> Array:
    """Return (B,), the sum over i, j of w_i w_j (p_i + p_j) s_ij / 2 for a symmetric s: each pair
    once.
    """
    return ((weights * places) @ signs * weights).sum(axis=1)


def _place_weights(order: Array, weights: Array) -> Array:
    """Return (B, S), the mean of 1/(r+1) over the places r of a source's copies, best first in
    ``order``.

    The copies of a source stand at places b .. b+h-1, with b copies before them, and the sum of
    1/(r+1) over these is digamma(b + h + 1) - digamma(b + 1).
    """
    copies = weights[:, order]
    before = np.cumsum(copies, axis=1) - copies
    harmonic = digamma(before + copies + 1) - digamma(before + 1)
    place_weights = np.empty_like(before, float)
    place_weights[:, order] = np.where(copies > 0, harmonic / np.maximum(copies, 1), 0)
    return place_weights


# -- products --------------------------------------------------------------------------------------


def _scaled(values: Array) -> Array:
    """Scale values to [0, 1]: correlations stay, and sums of squares cannot overflow."""
    span = np.ptp(values)
    return (values - values.min()) / span if span > 0 else np.zeros_like(values, float)


def _midranks(values: Array, weights: Array) -> Array:
    """Return (B, S), the mean place, counted from below, of the copies of each source."""
    below = (values[:, None] < values[None, :]).astype(float)
    level = (values[:, None] == values[None, :]).astype(float)
    return weights @ below + (weights @ level + 1) / 2


def _correlation(scores: Array, truth: Array, weights: Array) -> Array:
    """Return the weighted correlation of each row, (B,), from values of shape (B, S)."""
    total = weights.sum(axis=1, keepdims=True)
    share = np.divide(weights, total, out=np.zeros_like(weights, float), where=total > 0)
    scores, score_variance = _centred(scores, share)
    truth, truth_variance = _centred(truth, share)
    covariance = (share * scores * truth).sum(axis=1)
    correlations = np.divide(
        covariance,
        np.sqrt(score_variance * truth_variance),
        out=np.zeros(len(share)),
        where=(score_variance > 0) & (truth_variance > 0),
    )
    return np.where(truth_variance > 0, np.clip(correlations, -1, 1), np.nan)


def _centred(values: Array, share: Array) -> tuple[Array, Array]:
    """Return values less their mean, and their variance: 0 where it is no more than rounding."""
    centred = values - (share * values).sum(axis=1, keepdims=True)
    variance = (share * centred**2).sum(axis=1)
    rounding = (ROUNDING * np.abs(values).max(axis=1)) ** 2
    return centred, np.where(variance > rounding, variance, 0.0)


# -- choices ---------------------------------------------------------------------------------------


def _chance_in_top(values: Array, held: Array, k: int) -> Array:
    """Return (B, S), the probability that a source is among the k highest, ties at the cut left to
    chance.
    """
    above = held @ (values[:, None] > values[None, :]).astype(float)
    level = held @ (values[:, None] == values[None, :]).astype(float)
    share_of_cut = np.divide(k - above, level, out=np.zeros_like(above), where=level > 0)
    return np.where(held, np.clip(share_of_cut, 0, 1), 0.0)


def _expected_best(scores: Array, truth: Array, held: Array, k: int) -> Array:
    """Return (B,), the expectation of the best truth among the k highest scores.

    Go from the best truth downwards and keep the probability that none so far was chosen. It falls
    to 0 at a source above the cut. Of g sources that tie at the cut, m are drawn; after q of them
    have passed, none was chosen with probability C(g - q, m) / C(g, m).
    """
    order = np.argsort(-truth, kind="stable")
    chance = _chance_in_top(scores, held, k)[:, order]
    sure = chance >= 1
    tied = (chance > 0) & (chance < 1)
    tied_count = tied.sum(axis=1, keepdims=True)
    drawn = np.rint(chance.sum(axis=1, keepdims=True) - sure.sum(axis=1, keepdims=True))
    passed = np.cumsum(tied, axis=1)
    no_tied_chosen = comb(tied_count - passed, drawn) / np.maximum(comb(tied_count, drawn), 1)
    no_sure_chosen = np.cumsum(sure, axis=1) == 0
    none_yet = no_tied_chosen * no_sure_chosen
    before = np.concatenate([np.ones((len(held), 1)), none_yet[:, :-1]], axis=1)
    return ((before - none_yet) * truth[order]).sum(axis=1)


Statistic = Callable[[Array, Array, Array], Array]

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
"""The statistics by the names of their columns."""

CORRELATIONS = ("pearson", "spearman", "kendall", "weighted_tau")
