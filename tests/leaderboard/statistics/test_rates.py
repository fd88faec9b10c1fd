"""Statements come true as often as they say, on simulated boards whose truth is known.

Larger simulations, and the table of docs/how-sure.md: ``python -m perf error_rates``.
"""

import pytest

from headwater.leaderboard.statistics.planning import ExtensionCosts
from perf.rates import (
    LARGE_FIT,
    World,
    advice_rates,
    best_rates,
    boards_with_a_claim,
    coverage,
    pairs_told,
)

COVERED = [
    World(families=1, seeds=2, worth=0.03),
    World(families=1, seeds=5, worth=0.03, uneven=0.5),
    World(families=2, seeds=2, worth=0.03),
    World(families=3, seeds=2, worth=0.03, uneven=0.5),
    World(families=3, seeds=5, worth=0.03, **LARGE_FIT),
    World(families=5, seeds=1, worth=0.03),
    World(families=5, seeds=2, members=3, target_fit=0.02, missing=0.1, worth=0.03),
    World(families=9, seeds=2, worth=0.03, uneven=0.5),
    World(families=9, seeds=3, worth=0.03, missing=0.15),
    World(families=40, seeds=2, worth=0.03, uneven=0.5),
]


@pytest.mark.parametrize("world", COVERED, ids=str)
def test_intervals_hold_the_truth_in_95_percent(world):
    for reading, rate in coverage(world, 150).items():
        assert 0.93 <= rate <= 0.97, reading


@pytest.mark.parametrize(
    "world, boards",
    [
        (World(families=1, family_fit=0.0), 250),
        (World(families=3), 250),
        (World(families=3, uneven=0.5), 400),
        (World(families=9, **LARGE_FIT), 250),
        (World(families=9, missing=0.15), 250),
        (World(families=6, members=2, target_fit=0.02), 250),
        (World(sources=100, families=9), 100),
        (World(sources=300, families=9), 40),
    ],
    ids=str,
)
def test_boards_of_equal_sources_claim_a_difference_in_at_most_8_percent(world, boards):
    assert boards_with_a_claim(world, boards) <= 0.08


OLD_POWER = [
    (World(families=3, worth=0.03), 0.019),
    (World(families=3, seeds=5, worth=0.03), 0.016),
    (World(families=3, worth=0.03, family_fit=0.03, luck=0.03), 0.058),
    (World(families=5, worth=0.03), 0.099),
    (World(families=9, worth=0.03), 0.216),
    (World(families=9, seeds=5, worth=0.03), 0.355),
    (World(families=20, worth=0.03, family_fit=0.03, luck=0.03), 0.558),
]
"""Worlds, and the share of pairs that a bootstrap of targets, then seeds, told apart in them without
adjusting for the number of pairs.
"""


@pytest.mark.parametrize("world, old", OLD_POWER, ids=str)
def test_pairs_are_told_apart_no_less_than_by_the_hierarchical_bootstrap(world, old):
    right, wrong = pairs_told(world, 150)
    # Two standard errors of both simulations are about 2 points.
    assert right >= old - 0.02
    assert wrong <= 0.005


def test_three_targets_and_two_seeds_tell_twice_as_many_pairs():
    right, _ = pairs_told(World(families=3, worth=0.03), 250)
    assert right >= 1.8 * 0.019


@pytest.mark.parametrize(
    "world",
    [
        World(families=3, worth=0.03),
        World(families=9, worth=0.03),
        World(families=9, worth=0.03, uneven=0.5),
        World(families=9, worth=0.03, missing=0.15),
        World(sources=40, families=3, worth=0.03, family_fit=0.03, luck=0.03),
        World(families=1, seeds=3, worth=0.03, family_fit=0.0),
    ],
    ids=str,
)
def test_the_best_is_where_it_is_said_to_be(world):
    rates = best_rates(world, 250)
    # A set holds whole sources, so that it states 95 % or somewhat more.
    assert rates.held == pytest.approx(rates.stated, abs=0.025)
    assert rates.held >= 0.93
    for (stated, was), count in zip(rates.bins, rates.counts, strict=True):
        if count < 30:
            continue
        # Two standard errors, and the boards' sources are not independent.
        slack = 0.02 + 2 * (stated * (1 - stated) / count) ** 0.5
        assert was == pytest.approx(stated, abs=slack)


def test_advice_comes_true_in_three_of_four_and_bounds_hold():
    worlds = [
        World(families=3, worth=0.05),
        World(families=3, seeds=5, worth=0.05),
        World(families=9, worth=0.05),
        World(families=5, seeds=3, worth=0.05, family_fit=0.03, luck=0.03),
    ]
    rates = [advice_rates(world, 15, ExtensionCosts(seed=1, target=2)) for world in worlds]
    advised = sum(rate.advised for rate in rates)
    assert advised >= 40
    assert sum(rate.came_true for rate in rates) >= 0.75 * advised
    assert sum(rate.bound_held for rate in rates) >= 0.95 * sum(rate.pairs for rate in rates)


def test_equal_sources_are_seldom_advised_to_measure_more():
    rates = advice_rates(World(families=3, worth=0.0), 20)
    assert rates.advised <= 0.1 * rates.pairs
