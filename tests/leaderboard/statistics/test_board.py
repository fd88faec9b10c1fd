"""Boards: averages step by step, adjusted for missing cells as least squares adjusts them."""

import numpy as np
import pytest

from headwater.leaderboard.statistics.board import Board, Scope
from headwater.leaderboard.statistics.two_way import (
    adjusted_means,
    linked_rows,
    residual_degrees,
    residuals,
)
from perf.rates import World


def _least_squares(table):
    """Return adjusted means, residuals and residual degrees of one table by a dense solution."""
    rows, columns = table.shape
    present = ~np.isnan(table)
    row, column = np.nonzero(present)
    design = np.zeros((len(row), rows + columns))
    design[np.arange(len(row)), row] = 1
    design[np.arange(len(row)), rows + column] = 1
    solution, _, rank, _ = np.linalg.lstsq(design, table[present], rcond=None)
    left = np.full(table.shape, np.nan)
    left[present] = table[present] - design @ solution
    return solution[:rows] + solution[rows:].mean(), left, len(row) - rank


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.4])
def test_adjusted_means_are_those_of_least_squares(missing):
    random = np.random.default_rng(0)
    tables = random.normal(size=(5, 6, 7)) + random.normal(size=(5, 1, 7))
    tables[random.random(tables.shape) < missing] = np.nan
    means, left = adjusted_means(tables), residuals(tables)
    for index, table in enumerate(tables):
        expected, residual, degrees = _least_squares(table)
        assert means[index] == pytest.approx(expected)
        assert left[index] == pytest.approx(residual, nan_ok=True)
        assert residual_degrees(~np.isnan(table)) == degrees


def test_a_source_measured_on_an_easy_target_only_does_not_lead():
    nan = np.nan
    values = np.array([[0.505, nan, nan], [0.555, 0.1, 0.12], [0.4, 0.0, 0.02]])[..., None]
    means = Board(values, np.arange(3)).means
    assert means[1] > means[0] > means[2]
    assert means[1] == pytest.approx(values[1].mean())


def test_a_family_counts_once_and_so_does_a_target_with_many_cells():
    values = np.array([[0.0, 0.0, 0.0, 0.6], [0.0, 0.0, 0.0, 0.0]])
    board = Board(values[..., None], np.array([0, 0, 0, 1]))
    assert board.family_means == pytest.approx(np.array([[0.0, 0.6], [0.0, 0.0]]))
    assert board.means == pytest.approx([0.3, 0.0])

    cells = np.array([[0.0, 0.0, 0.0, 0.6]])
    board = Board.from_cells(cells, np.array([0, 0, 0, 1]), np.array([7, 7, 7, 7]))
    assert board.values == pytest.approx(np.array([[[0.0], [0.6]]]))


def test_cells_become_a_board_by_target_and_seed():
    cells = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 3.0, np.nan, 5.0, 6.0]])
    targets = np.array(["a", "a", "b", "b", "b"])
    seeds = np.array([0, 1, 0, 0, 3])
    families = np.array(["x", "x", "x", "x", "x"])
    board = Board.from_cells(cells, targets, seeds, families)
    nan = np.nan
    expected = [[[1, 2, nan], [3.5, nan, 5]], [[2, 3, nan], [4.5, nan, 6]]]
    assert board.values == pytest.approx(np.array(expected), nan_ok=True)
    assert board.families.tolist() == [0, 0]


def test_sources_that_no_target_links_are_not_compared():
    nan = np.nan
    values = np.array([[1, 2, nan], [2, 3, nan], [nan, nan, 9], [nan, nan, nan]])
    board = Board(values[..., None], np.arange(3))
    assert linked_rows(~np.isnan(values)).tolist() == [True, True, False, False]
    assert board.means[0] < board.means[1]
    assert np.isnan(board.means[2:]).all()


def test_a_seeds_ease_does_not_count_for_the_source_that_met_it():
    values = np.array([[[0.1, 0.5]], [[0.1, 0.5]], [[0.1, np.nan]]])
    assert Board(values, np.zeros(1, int)).means == pytest.approx([0.3, 0.3, 0.3])


def test_three_families_allow_words_on_targets_like_these():
    random = np.random.default_rng(0)
    assert World(families=2).draw(random).board.scope is Scope.THESE
    assert World(families=1, members=5).draw(random).board.scope is Scope.THESE
    assert World(families=3).draw(random).board.scope is Scope.LIKE_THESE
