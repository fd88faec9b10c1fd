"""The posterior of sources' worth against dense Gaussian algebra on a grid of both variances."""

import numpy as np
import pytest

from headwater.leaderboard.statistics.board import Board, Scope, Shortage
from headwater.leaderboard.statistics.posterior import worth_posterior
from perf.rates import World


def _dense(board: Board):
    """Return the posterior mean and covariance of the worths less their mean, from the likelihood of
    all family means at every pair of variances; each source's noise is the same.
    """
    table = board.family_means
    sources, families = table.shape
    source, family = np.nonzero(~np.isnan(table))
    values = table[source, family]
    design = np.zeros((len(values), families))
    design[np.arange(len(values)), family] = 1
    left, singular, _ = np.linalg.svd(design)
    free = left[:, np.sum(singular > 1e-9) :]
    of_source = (source[:, None] == np.arange(sources)).astype(float)
    centring = np.eye(sources) - 1 / sources
    contrasts = of_source @ centring
    load = np.linalg.eigvalsh(contrasts.T @ free @ free.T @ contrasts)[1:].mean()
    total, mean, square = 0.0, np.zeros(sources), np.zeros((sources, sources))
    for share in np.sin(np.pi / 2 * (np.arange(60) + 0.5) / 60) ** 2:
        ratio = (1 / share - 1) / load
        for log_noise in np.linspace(-9, -2, 120):
            noise = np.exp(log_noise)
            prior = noise * ratio * centring
            observed = free.T @ of_source
            covariance = observed @ prior @ observed.T + noise * np.eye(free.shape[1])
            y = free.T @ values
            solved = np.linalg.solve(covariance, y)
            weight = np.exp(-np.linalg.slogdet(covariance)[1] / 2 - y @ solved / 2)
            centre = prior @ observed.T @ solved
            rest = prior - prior @ observed.T @ np.linalg.solve(covariance, observed @ prior)
            total += weight
            mean += weight * centre
            square += weight * (rest + np.outer(centre, centre))
    mean = mean / total
    return mean, square / total - np.outer(mean, mean)


@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_the_posterior_is_that_of_dense_algebra(missing):
    world = World(5, 8, seeds=1, worth=0.05, missing=missing)
    board = next(
        drawn.board
        for drawn in world.boards(200)
        # Noise that differs between sources is another model.
        if np.ptp(np.nanvar(drawn.board.family_means, axis=1)) < 4e-3
    )
    posterior = worth_posterior(board, draws=20_000)
    mean, covariance = _dense(board)
    assert posterior.mean == pytest.approx(mean, abs=4e-3)
    spread = np.sqrt(np.diag(covariance))
    assert posterior.draws.std(axis=0) == pytest.approx(spread, rel=0.12)


def test_probabilities_add_up_and_order_the_sources():
    board = World(8, 9, worth=0.05).draw(np.random.default_rng(0)).board
    posterior = worth_posterior(board)
    assert posterior.best.sum() == pytest.approx(1)
    assert posterior.expected_rank.mean() == pytest.approx(4.5)
    assert posterior.better(0, 1) + posterior.better(1, 0) == pytest.approx(1)
    chosen = posterior.best_set()
    assert posterior.best[chosen].sum() >= 0.95
    assert posterior.best[chosen[:-1]].sum() < 0.95
    assert posterior.best_set(0.5) == chosen[: len(posterior.best_set(0.5))]


def test_estimates_are_drawn_towards_the_mean_source():
    board = World(12, 3, worth=0.02).draw(np.random.default_rng(1)).board
    raw = board.means - board.means.mean()
    shrunk = worth_posterior(board).mean
    assert np.sum(shrunk**2) < 0.8 * np.sum(raw**2)
    assert np.corrcoef(raw, shrunk)[0, 1] > 0.9


def test_draws_are_the_same_every_time():
    board = World(5).draw(np.random.default_rng(0)).board
    assert (worth_posterior(board).draws == worth_posterior(board).draws).all()


def test_fewer_than_three_families_speak_of_these_targets():
    worth = np.array([0.0, 0.0, 0.9])
    board = World(3, 1, seeds=4).measure(worth, np.random.default_rng(0)).board
    posterior = worth_posterior(board)
    assert posterior.scope is Scope.THESE
    assert posterior.best[2] > 0.95


def test_a_board_that_cannot_say_names_the_reason():
    random = np.random.default_rng(0)
    assert worth_posterior(World(1, 5).draw(random).board) is Shortage.ONE_SOURCE
    assert worth_posterior(World(3, 1, seeds=1).draw(random).board) is Shortage.NO_REPEATS
    one_family = World(3, 1).draw(random).board
    assert worth_posterior(one_family, Scope.LIKE_THESE) is Shortage.FEW_FAMILIES
    equal = Board(np.full((3, 4, 2), 0.3), np.arange(4))
    assert worth_posterior(equal) is Shortage.NO_VARIATION


def test_a_source_that_was_not_measured_is_nan():
    board = World(4).draw(np.random.default_rng(0)).board
    board.values[1] = np.nan
    posterior = worth_posterior(board)
    assert np.isnan(posterior.best).tolist() == [False, True, False, False]
    assert 1 not in posterior.best_set(1.0)
    assert np.isnan(posterior.difference(0, 1)).all()
