"""Bound the mean gain of each source, in two readings that differ widely and are named.

*On targets like these*: the families are a sample, and a source's family means x_sf vary by all
that makes targets differ. The interval is Student's,

    mean +- t_{F-1} sqrt(s^2 / F),     s^2 the variance of the source's family means,

shown from three families on. (It is exact in simulation, where percentile, BCa and hierarchical
bootstraps were not.)

*On these targets*: only the seeds (and the test images) could have been others. Within a target the
values of a source vary over seeds by s^2 = delta^2 + sigma^2, what a seed does to all sources and
the luck of one training. With m_f targets in a family and n_st seeds on a target,

    variance of the mean = s^2 h + images,     h = sum_f sum_t 1/n_st / (m_f F)^2.

s^2 is moderated over sources. These share delta, so that all of them together have fewer degrees
than rows: from mean squares MS_C of the seeds' common part (degrees d_C, on average over S sources)
and MS_E of the rest (d_E),

    s^2 = MS_C / S + MS_E (S-1) / S   has   s^4 / ((MS_C / S)^2 / d_C + (MS_E (S-1) / S)^2 / d_E)

degrees (Satterthwaite 1946), the most that any source gets. The test images are the same for all
seeds, so their variance does not fall with seeds: it is averaged over seeds and summed as 1/(m_f F)^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from scipy.special import stdtrit

from headwater.leaderboard.statistics.board import CONFIDENCE, MIN_FAMILIES, Board, Scope
from headwater.leaderboard.statistics.moderation import moderate
from headwater.leaderboard.statistics.two_way import mean_of_present, residuals


@dataclass(frozen=True)
class MeanIntervals:
    """Hold a mean of each source with its standard error; NaN where it cannot be told.

    Attributes:
        scope: What the means are about.
        means: (S,) float.
        errors: (S,) float, standard errors.
        degrees: (S,) float, the degrees of freedom of a t with each error.
    """

    scope: Scope
    means: Array
    errors: Array
    degrees: Array

    def bounds(self, level: float = CONFIDENCE) -> Array:
        """Return (S, 2), the lower and the upper bound at a confidence level."""
        widths = stdtrit(self.degrees, (1 + level) / 2) * self.errors
        return np.stack([self.means - widths, self.means + widths], axis=1)


def mean_intervals(board: Board, scope: Scope) -> MeanIntervals:
    """Bound the mean gain of each source.

    A source that no target links to the others has the plain mean over its own families.
    """
    own_means = mean_of_present(board.family_means)
    means = np.where(np.isnan(board.means), own_means, board.means)
    if scope is Scope.LIKE_THESE:
        errors, degrees = _over_families(board.family_means)
    else:
        errors, degrees = _over_seeds(board)
    return MeanIntervals(scope, means, errors, degrees)


def differences_to_mean(board: Board, scope: Scope | None = None) -> MeanIntervals:
    """Bound the difference of each source to the mean source, which is much narrower: what makes a
    target or a seed easy for all sources cancels.

    The variance of a source's residuals of the two-way model is moderated over sources; by default
    the scope is the widest that the families allow.
    """
    scope = scope or board.scope
    if scope is Scope.LIKE_THESE:
        left = residuals(board.family_means[None])[0]
        degrees = np.maximum((~np.isnan(left)).sum(axis=1) - 1, 0)
        load = 1 / np.maximum(degrees + 1, 1)
        most = board.family_degrees
    else:
        left = board.seed_residuals.reshape(len(board.values), -1)
        measured = board.repeats > 0
        degrees = np.maximum((~np.isnan(left)).sum(axis=1) - measured.sum(axis=1), 0)
        load = _load(board.seed_load)
        most = board.seed_degrees
    squares = np.nansum(left**2, axis=1)
    errors, moderated_degrees = _moderated_errors(squares, degrees, load, most)
    errors = np.where(squares.sum() > board.noise_floor**2 * squares.size, errors, np.nan)
    return MeanIntervals(scope, board.means - np.nanmean(board.means), errors, moderated_degrees)


def _over_families(family_means: Array) -> tuple[Array, Array]:
    """Return the standard errors and degrees of means over families; NaN below three families."""
    families = (~np.isnan(family_means)).sum(axis=1)
    centred = family_means - mean_of_present(family_means)[:, None]
    squares = np.nansum(centred**2, axis=1)
    degrees = np.where(families >= MIN_FAMILIES, families - 1, np.nan)
    return np.sqrt(squares / degrees / families), degrees


def _over_seeds(board: Board) -> tuple[Array, Array]:
    """Return the standard errors and degrees of means over seeds and test images."""
    by_target = board.values - mean_of_present(board.values)[..., None]
    squares = np.nansum(by_target**2, axis=(1, 2))
    degrees = np.maximum(board.repeats - 1, 0).sum(axis=1)
    load = _load(board.seed_load)
    most = _degrees_of_seeds(board, float(squares.sum()), int(degrees.sum()))
    errors, moderated_degrees = _moderated_errors(squares, degrees, load, most)
    if board.image_variance is None:
        return errors, moderated_degrees
    images = _image_variance(board)
    total = errors**2 + images
    # Satterthwaite again: the images' part counts as known.
    share_of_seeds = np.divide(errors**2, total, out=np.ones_like(total), where=total > 0)
    return np.sqrt(total), moderated_degrees / share_of_seeds**2


def _moderated_errors(
    squares: Array, degrees: Array, load: Array, most_degrees: float
) -> tuple[Array, Array]:
    """Return standard errors and degrees of means whose variance is ``load`` times a moderated
    one.
    """
    variances = np.divide(squares, degrees, out=np.zeros(len(squares)), where=degrees > 0)
    moderated = moderate(variances, degrees, most_degrees)
    return np.sqrt(moderated.values * load), moderated.degrees


def _degrees_of_seeds(board: Board, squares: float, degrees: int) -> float:
    """Return the degrees of the variance over seeds of all sources together."""
    rest = float(np.nansum(board.seed_residuals**2))
    common_degrees = degrees - board.seed_degrees
    if common_degrees == 0:
        return 0
    columns = int(board.cells.any(axis=0).sum())
    sources = board.present.sum() / columns
    common = max(squares - rest, 0) / common_degrees / sources
    luck = rest / max(board.seed_degrees, 1) * (sources - 1) / sources
    uncertainty = common**2 / common_degrees + luck**2 / max(board.seed_degrees, 1)
    return (common + luck) ** 2 / uncertainty if uncertainty > 0 else common_degrees


def _load(seed_load: Array) -> Array:
    """Return (S,), h of the derivation."""
    families = (~np.isnan(seed_load)).sum(axis=1)
    sums = np.nansum(seed_load, axis=1)
    undefined = np.full(len(sums), np.nan)
    return np.divide(sums, families**2, out=undefined, where=families > 0)


def _image_variance(board: Board) -> Array:
    """Return (S,), the variance of each source's mean over draws of test images."""
    assert board.image_variance is not None
    by_target = mean_of_present(np.where(board.present, board.image_variance, np.nan))
    members = np.zeros_like(board.family_means)
    sums = np.zeros_like(members)
    for family in range(members.shape[1]):
        inside = by_target[:, board.families == family]
        members[:, family] = (~np.isnan(inside)).sum(axis=1)
        sums[:, family] = np.nansum(inside, axis=1)
    families = (members > 0).sum(axis=1)
    per_family = np.divide(sums, members**2, out=np.zeros_like(sums), where=members > 0)
    return per_family.sum(axis=1) / np.maximum(families, 1) ** 2
