"""Say how likely a source harms: the probability that its true mean gain on a target is below 0.

The share of single gains below 0 is no such probability: at a true gain of 2 points and a deviation
of 4 points between seeds it is 0.3. Split the means over seeds of sources x targets into four parts
that do not overlap,

    x_st = grand mean + row_s + column_t + interaction_st.

Each is a true part plus noise. With n seeds, the luck of a training has variance sigma/n, and what
the seeds did to all sources alike d/n, so that one value of a part has the noise

    grand (sigma/S + d) / (n T),   row sigma / (n T),   column (sigma/S + d) / n,   interaction sigma/n.

A part's true variance v is its mean square less its noise e (at least 0). It is shrunk by v/(v + e)
and keeps the variance v e/(v + e); the grand mean is not shrunk. True parts and variances add up,
weighted by how much of one cell a part is: 1, (S-1)/S, (T-1)/T, and the product of both.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from scipy.special import ndtr

from headwater.leaderboard.statistics.board import Board
from headwater.leaderboard.statistics.two_way import effects, mean_of_present, residual_degrees


def negative_transfer(board: Board) -> Array:
    """Return (S, T), the probability that a source's true mean on a target is below 0.

    NaN where a source was not measured, and everywhere where no target has two seeds.
    """
    means = board.target_means
    measured = ~np.isnan(means)
    luck, common = _seed_variances(board)
    if not measured.any() or np.isnan(luck):
        return np.full(means.shape, np.nan)
    sources, targets = (int(measured.any(axis=axis).sum()) for axis in (1, 0))
    seeds = np.where(measured, board.repeats, np.nan)
    usual_seeds = 1 / float(np.nanmean(1 / seeds))

    rows, columns = effects(means[None])
    grand = np.nanmean(rows)
    rows = rows[0] - grand
    interactions = means - grand - rows[:, None] - columns[0]
    of_column = (luck / sources + common) / usual_seeds
    row, row_variance = _shrunk(rows, luck / usual_seeds / targets, sources - 1)
    column, column_variance = _shrunk(columns[0], of_column, targets - 1)
    degrees = residual_degrees(measured)
    rest, rest_variance = _shrunk(interactions, luck / seeds, degrees)

    row_share, column_share = 1 - 1 / sources, 1 - 1 / targets
    variance = of_column / targets + row_share * row_variance + column_share * column_variance
    variance = variance + row_share * column_share * rest_variance
    return _below_zero(grand + row[:, None] + column + rest, variance)


def _seed_variances(board: Board) -> tuple[float, float]:
    """Return sigma and d; NaN where no target has two seeds.

    One source cannot tell them apart: all of it then counts as d.
    """
    degrees = int(np.maximum(board.repeats - 1, 0).sum())
    if degrees == 0:
        return float("nan"), float("nan")
    centred = board.values - mean_of_present(board.values)[..., None]
    both = float(np.nansum(centred**2)) / degrees
    if board.seed_degrees == 0:
        return 0.0, both
    luck = float(np.nansum(board.seed_residuals**2)) / board.seed_degrees
    return luck, max(both - luck, 0.0)


def _shrunk(values: Array, noise: Array | float, degrees: int) -> tuple[Array, Array]:
    """Return what is true of a part's values, and the variance that is left of it."""
    seen = float(np.nansum(values**2)) / max(degrees, 1)
    true = max(seen - float(np.nanmean(noise)), 0.0)
    total = true + np.asarray(noise)
    weight = np.divide(true, total, out=np.zeros_like(total), where=total > 0)
    return weight * values, weight * noise


def _below_zero(means: Array, variances: Array) -> Array:
    """Return the probability that normal values are below 0; one half where they are 0 for sure."""
    deviations = np.sqrt(variances) + np.zeros_like(means)
    sure = np.where(means == 0, 0.5, (means < 0).astype(float))
    distance = np.divide(-means, deviations, out=np.zeros_like(means), where=deviations > 0)
    probability = np.where(deviations > 0, ndtr(distance), sure)
    return np.where(np.isnan(means), np.nan, probability)
