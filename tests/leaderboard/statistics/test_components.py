"""Variance components against the likelihood evaluated with dense matrices."""

import numpy as np
import pytest
from scipy.optimize import minimize

from headwater.leaderboard.statistics.board import Board
from headwater.leaderboard.statistics.components import variance_components
from perf.rates import World


def _dense_maximum(board: Board):
    """Return the variances of families, targets and seeds that maximise the likelihood of all
    contrasts of the values that are free of sources and columns.
    """
    sources, targets, seeds = board.values.shape
    source, target, seed = np.nonzero(board.present)
    count = len(source)
    design = np.zeros((count, sources + targets * seeds))
    design[np.arange(count), source] = 1
    design[np.arange(count), sources + target * seeds + seed] = 1
    left, singular, _ = np.linalg.svd(design)
    contrasts = left[:, np.sum(singular > 1e-9) :]
    values = contrasts.T @ board.values[board.present]
    same_target = (source[:, None] == source) & (target[:, None] == target)
    family = board.families[target]
    same_family = (source[:, None] == source) & (family[:, None] == family)
    parts = [contrasts.T @ part @ contrasts for part in (same_family, same_target, np.eye(count))]

    def deviance(logs):
        covariance = sum(np.exp(log) * part for log, part in zip(logs, parts, strict=True))
        quadratic = values @ np.linalg.solve(covariance, values)
        return np.linalg.slogdet(covariance)[1] + quadratic

    starts = [np.zeros(3), np.array([-1.0, 1.0, 0.0]), np.array([1.0, -3.0, 0.0])]
    fits = [minimize(deviance, start, method="Nelder-Mead", tol=1e-9) for start in starts]
    return np.exp(min(fits, key=lambda fit: fit.fun).x)


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.35])
@pytest.mark.parametrize("seed", range(3))
def test_variances_maximise_the_restricted_likelihood(missing, seed):
    world = World(
        *(6, 4, 2, 3), family_fit=1.0, target_fit=0.7, luck=1.0, ease=3.0, missing=missing
    )
    board = world.draw(np.random.default_rng(seed)).board
    parts = variance_components(board)
    expected = _dense_maximum(board)
    assert [parts.family, parts.target, parts.seed] == pytest.approx(expected, rel=2e-3, abs=1e-4)


def test_mean_squares_below_those_of_seeds_are_pooled_as_the_likelihood_pools_them():
    world = World(5, 4, 2, 3, family_fit=0.0, target_fit=0.0, luck=1.0)
    random = np.random.default_rng(1)
    boards = [world.draw(random).board for _ in range(8)]
    fits = [variance_components(board) for board in boards]
    assert any(parts.family == 0 for parts in fits)
    assert any(parts.target == 0 for parts in fits)
    for board, parts in zip(boards, fits, strict=True):
        expected = _dense_maximum(board)
        found = [parts.family, parts.target, parts.seed]
        assert found == pytest.approx(expected, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_a_large_board_gives_back_the_variances_it_was_drawn_with(missing):
    world = World(
        *(300, 20, 2, 5), family_fit=1.0, target_fit=0.7, luck=1.0, ease=3.0, missing=missing
    )
    parts = variance_components(world.draw(np.random.default_rng(0)).board)
    assert [parts.family, parts.target, parts.seed] == pytest.approx([1, 0.49, 1], rel=0.06)


@pytest.mark.parametrize(
    "families, members, seeds, seen",
    [
        (3, 2, 2, (True, True, True)),
        (3, 1, 2, (True, False, True)),
        (3, 1, 1, (True, False, False)),
        (3, 2, 1, (True, True, False)),
        (1, 3, 2, (False, True, True)),
        (1, 1, 3, (False, False, True)),
    ],
)
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_a_part_that_nothing_repeats_is_counted_in_the_one_above(
    families, members, seeds, seen, missing
):
    world = World(8, families, members, seeds, missing=missing)
    parts = variance_components(world.draw(np.random.default_rng(3)).board)
    shown = [not np.isnan(part) for part in (parts.family, parts.target, parts.seed)]
    assert tuple(shown) == seen


def test_no_variances_without_degrees_of_freedom():
    assert variance_components(Board(np.ones((1, 3, 2)), np.arange(3))) is None
    assert variance_components(Board(np.ones((4, 1, 1)), np.arange(1))) is None
    assert variance_components(Board(np.full((2, 2, 2), np.nan), np.arange(2))) is None


def test_equal_values_have_no_variance():
    parts = variance_components(Board(np.full((4, 3, 2), 0.7), np.arange(3)))
    assert (parts.family, parts.seed) == (0, 0)
