"""P(negative transfer): a probability of the true mean, not a share of noisy cells."""

import numpy as np
import pytest

from headwater.leaderboard.statistics.board import Board
from headwater.leaderboard.statistics.negative import negative_transfer


def test_noise_of_single_gains_is_no_negative_transfer():
    random = np.random.default_rng(0)
    values = 0.02 + 0.04 * random.normal(size=(12, 9, 3))
    board = Board(values, np.arange(9))
    assert np.mean(values < 0) > 0.25
    assert negative_transfer(board).mean() < 0.05


def test_stated_probabilities_come_true():
    random = np.random.default_rng(1)
    said, was = [], []
    for _ in range(150):
        worth = 0.06 * random.normal() + 0.03 * random.normal(size=12)
        truth = worth[:, None] + 0.03 * random.normal(size=9) + 0.02 * random.normal(size=(12, 9))
        seeds = 0.03 * random.normal(size=(9, 2))
        values = truth[..., None] + seeds + 0.06 * random.normal(size=(12, 9, 2))
        said.append(negative_transfer(Board(values, np.arange(9))))
        was.append(truth < 0)
    stated, came_true = np.concatenate(said), np.concatenate(was)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (stated >= low) & (stated < low + 0.2)
        assert came_true[inside].mean() == pytest.approx(stated[inside].mean(), abs=0.05)


def test_one_source_is_judged_by_its_seeds():
    values = np.array([[[0.1, 0.3], [-0.1, -0.3]]])
    probability = negative_transfer(Board(values, np.arange(2)))[0]
    assert probability[0] < 0.2
    assert probability[1] > 0.8


def test_one_seed_and_missing_targets_give_nan():
    values = np.random.default_rng(0).normal(size=(3, 4, 1))
    assert np.isnan(negative_transfer(Board(values, np.arange(4)))).all()
    values = np.random.default_rng(0).normal(size=(3, 4, 2))
    values[1, 2] = np.nan
    missing = np.isnan(negative_transfer(Board(values, np.arange(4))))
    assert missing.sum() == 1
    assert missing[1, 2]


def test_equal_values_are_negative_for_sure_or_not_at_all():
    assert (negative_transfer(Board(np.full((2, 3, 2), -0.3), np.arange(3))) == 1).all()
    assert (negative_transfer(Board(np.zeros((2, 3, 2)), np.arange(3))) == 0.5).all()
