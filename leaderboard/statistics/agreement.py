"""Measure how well scores agree with the truth, for many reweightings of the sources at once.

Every function takes ``scores`` and ``truth``, both (S,) with higher better, and ``weights`` (B, S):
how often each of B resamplings draws each source. It returns (B,), NaN where a resampling tells
nothing: fewer than two sources, or a truth that is the same for all of them.

A source that is drawn twice counts as two that are alike in a correlation. It counts once where
sources are chosen, since nobody fine-tunes one twice.

Derivation. With w_i the weight of source i and s_ij, t_ij the signs of the differences in scores
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

from headwater.leaderboard.statistics.correlation import ratio

ROUNDING = 1e-14
"""Share of the largest value by which the mean of equal values may miss them."""


def pearson(scores: Array, truth: Array, weights: Array) -> Array:
    """Return Pearson's correlation of each resampling, (B,) in [-1, 1]."""
    same_scores = np.broadcast_to(_scaled(scores), weights.shape)
    same_truth = np.broadcast_to(_scaled(truth), weights.shape)
    return _correlation(same_scores, same_truth, weights)


def spearman(scores: Array, truth: Array, weights: Array) -> Array:
    """Return Spearman's rank correlation of each resampling, (B,): Pearson's of mid-ranks."""
    score_ranks = _midranks(scores, weights)
    truth_ranks = _midranks(truth, weights)
    return _correlation(score_ranks, truth_ranks, weights)


def kendall_tau_b(scores: Array, truth: Array, weights: Array) -> Array:
    """Return Kendall's tau_b of each resampling, (B,).

    It is (concordant - discordant pairs) / sqrt(pairs not tied in scores * pairs not tied in
    truth).
    """
    equal_places = np.ones_like(weights, float)
    return _tau(_signs(scores), _signs(truth), weights, equal_places)


def weighted_tau(scores: Array, truth: Array, weights: Array) -> Array:
    """Return the weighted tau of each resampling, (B,), as ``scipy.stats.weightedtau`` does by
    default.

    A pair counts 1/(r+1) + 1/(s+1), where r and s are its sources' places from 0 at the top. The
    result is the mean of two: places by scores (ties by truth), and places by truth (ties by
    scores). Source: Vigna, WWW 2015.
    """
    score_signs = _signs(scores)
    truth_signs = _signs(truth)
    # lexsort's last key is its first, and it sorts upwards: reversed, the best stands first.
    order_by_scores = np.lexsort((truth, scores))[::-1]
    order_by_truth = np.lexsort((scores, truth))[::-1]
    places_by_scores = _place_weights(order_by_scores, weights)
    places_by_truth = _place_weights(order_by_truth, weights)
    tau_by_scores = _tau(score_signs, truth_signs, weights, places_by_scores)
    tau_by_truth = _tau(score_signs, truth_signs, weights, places_by_truth)
    return (tau_by_scores + tau_by_truth) / 2


def rel(scores: Array, truth: Array, weights: Array, k: int = 1) -> Array:
    """Return Rel@k of each resampling, (B,): 1 - regret@k, also where truths are negative.

    For positive truths it is the best truth among the k highest scores over the best truth.
    """
    return 1 - regret(scores, truth, weights, k)


def regret(scores: Array, truth: Array, weights: Array, k: int = 1) -> Array:
    """Return regret@k of each resampling, (B,); NaN where the best truth is 0.

    It is (best truth - best truth among the k highest scores) / |best truth|.
    """
    is_drawn = weights > 0
    drawn_truth = np.where(is_drawn, truth, -np.inf)
    best = drawn_truth.max(axis=1, initial=-np.inf)
    chosen = _expected_best(scores, truth, is_drawn, k)
    # Where no source is drawn, the best is -inf; a scale of 0 makes the regret undefined there.
    is_any_drawn = np.isfinite(best)
    scale = np.where(is_any_drawn, np.abs(best), 0)
    loss = best - chosen
    return ratio(loss, scale)


def recall(scores: Array, truth: Array, weights: Array, k: int = 1) -> Array:
    """Return the top-k recall of each resampling, (B,).

    It is the share of the k best sources that are among the k highest scores; ties at both cuts are
    left to chance.
    """
    is_drawn = weights > 0
    # The two cuts break their ties independently, so that the probabilities multiply.
    chance_in_scores = _chance_in_top(scores, is_drawn, k)
    chance_in_truth = _chance_in_top(truth, is_drawn, k)
    in_both = (chance_in_scores * chance_in_truth).sum(axis=1)
    source_counts = is_drawn.sum(axis=1)
    cut_sizes = np.minimum(k, source_counts)
    return ratio(in_both, cut_sizes)


# -- pairs -----------------------------------------------------------------------------------------


def _signs(values: Array) -> Array:
    """Return (S, S), the sign of each difference."""
    differences = np.subtract.outer(values, values)
    return np.sign(differences)


def _tau(score_signs: Array, truth_signs: Array, weights: Array, places: Array) -> Array:
    """Return the tau of each resampling, (B,), whose pairs count by ``places`` (B, S)."""
    agreeing = _sum_over_pairs(score_signs * truth_signs, weights, places)
    untied_in_scores = _sum_over_pairs(np.abs(score_signs), weights, places)
    untied_in_truth = _sum_over_pairs(np.abs(truth_signs), weights, places)
    scale = np.sqrt(untied_in_scores * untied_in_truth)
    # Scores that all tie are a random order, whose expected tau is 0.
    taus = ratio(agreeing, scale, undefined=0)
    return np.where(untied_in_truth > 0, taus, np.nan)


def _sum_over_pairs(signs: Array, weights: Array, places: Array) -> Array:
    """Return (B,), the sum over i, j of w_i w_j (p_i + p_j) s_ij / 2 for a symmetric s: each pair
    once.
    """
    # By symmetry, both halves of p_i + p_j have the same sum: w_i p_i s_ij w_j is enough.
    by_second = (weights * places) @ signs
    return (by_second * weights).sum(axis=1)


def _place_weights(order: Array, weights: Array) -> Array:
    """Return (B, S), the mean of 1/(r+1) over the places r of a source's copies, best first in
    ``order``.

    The copies of a source stand at places b .. b+h-1, with b copies before them, and the sum of
    1/(r+1) over these is digamma(b + h + 1) - digamma(b + 1).
    """
    copies = weights[:, order]
    after = np.cumsum(copies, axis=1)
    before = after - copies
    harmonic = digamma(after + 1) - digamma(before + 1)
    place_weights = np.empty_like(before, float)
    place_weights[:, order] = ratio(harmonic, copies, undefined=0)
    return place_weights


# -- products --------------------------------------------------------------------------------------


def _scaled(values: Array) -> Array:
    """Scale values to [0, 1]: correlations stay, and sums of squares cannot overflow."""
    lowest = values.min()
    span = values.max() - lowest
    if not span > 0:
        return np.zeros_like(values, float)
    return (values - lowest) / span


def _midranks(values: Array, weights: Array) -> Array:
    """Return (B, S), the mean place, counted from below, of the copies of each source."""
    # Row i, column j: whether source i lies below j, and whether the two tie (i with itself too).
    is_below = np.less.outer(values, values)
    is_tied = np.equal.outer(values, values)
    below = weights @ is_below.astype(float)
    tied = weights @ is_tied.astype(float)
    return below + (tied + 1) / 2


def _correlation(scores: Array, truth: Array, weights: Array) -> Array:
    """Return the weighted correlation of each row, (B,), from values of shape (B, S)."""
    total = weights.sum(axis=1, keepdims=True)
    share = ratio(weights, total, undefined=0)
    scores, score_variance = _centred(scores, share)
    truth, truth_variance = _centred(truth, share)
    covariance = (share * scores * truth).sum(axis=1)
    scale = np.sqrt(score_variance * truth_variance)
    correlations = ratio(covariance, scale, undefined=0)
    # Rounding may take a perfect correlation a little beyond 1.
    clipped = np.clip(correlations, -1, 1)
    return np.where(truth_variance > 0, clipped, np.nan)


def _centred(values: Array, share: Array) -> tuple[Array, Array]:
    """Return values less their mean, and their variance: 0 where it is no more than rounding."""
    mean = (share * values).sum(axis=1, keepdims=True)
    centred = values - mean
    variance = (share * centred**2).sum(axis=1)
    # The mean of equal values misses them by a rounding error, which must not become an order.
    largest = np.abs(values).max(axis=1)
    rounding = (ROUNDING * largest) ** 2
    return centred, np.where(variance > rounding, variance, 0.0)


# -- choices ---------------------------------------------------------------------------------------


def _chance_in_top(values: Array, is_drawn: Array, k: int) -> Array:
    """Return (B, S), the probability that a source is among the k highest, ties at the cut left to
    chance.
    """
    # Row i, column j: whether source i lies above j, and whether the two tie (i with itself too).
    is_above = np.greater.outer(values, values)
    is_tied = np.equal.outer(values, values)
    above = is_drawn @ is_above.astype(float)
    tied = is_drawn @ is_tied.astype(float)
    # k - above places are left for those that tie: a share >= 1 is all of them, <= 0 none.
    share_of_cut = ratio(k - above, tied, undefined=0)
    chance = np.clip(share_of_cut, 0, 1)
    return np.where(is_drawn, chance, 0.0)


def _expected_best(scores: Array, truth: Array, is_drawn: Array, k: int) -> Array:
    """Return (B,), the expectation of the best truth among the k highest scores.

    Go from the best truth downwards and keep the probability that none so far was chosen. It falls
    to 0 at a source above the cut. Of g sources that tie at the cut, m are drawn; after q of them
    have passed, none was chosen with probability C(g - q, m) / C(g, m).
    """
    order = np.argsort(-truth, kind="stable")
    chance = _chance_in_top(scores, is_drawn, k)[:, order]
    is_sure = chance >= 1
    is_tied = (chance > 0) & ~is_sure
    tied_count = is_tied.sum(axis=1, keepdims=True)
    sure_count = is_sure.sum(axis=1, keepdims=True)
    # m: the tied have m / g each, so that all chances add up to m and the sure ones.
    chosen_count = chance.sum(axis=1, keepdims=True)
    drawn_count = np.rint(chosen_count - sure_count)
    passed_count = np.cumsum(is_tied, axis=1)
    ways_without_passed = comb(tied_count - passed_count, drawn_count)
    ways = comb(tied_count, drawn_count)
    no_tied_chosen = ways_without_passed / np.maximum(ways, 1)
    no_sure_chosen = np.cumsum(is_sure, axis=1) == 0
    none_yet = no_tied_chosen * no_sure_chosen
    # The best choice is the source at which "none so far" stops being true.
    certainty = np.ones((len(is_drawn), 1))
    none_before = np.hstack([certainty, none_yet[:, :-1]])
    chance_of_best = none_before - none_yet
    expected = chance_of_best * truth[order]
    return expected.sum(axis=1)


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
