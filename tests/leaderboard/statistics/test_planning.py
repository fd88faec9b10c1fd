"""How many more targets and seeds: costs decide, and what cannot be known is not promised."""

import numpy as np
import pytest

from headwater.leaderboard.statistics.paired_tests import equivalence_bound
from headwater.leaderboard.statistics.planning import ExtensionCosts, SeparationPlanner
from perf.rates import World


def test_costs_count_new_seeds_on_old_and_new_targets():
    # 2 seeds more on 3 targets, and one target of 5 + 2 seeds.
    assert ExtensionCosts(seed=10, target=1).seconds(3, 5, np.array(1), np.array(2)) == 60 + 70 + 1


def _planner(costs, world=None, seed=0):
    world = world or World(8, 5, seeds=2, worth=0.08, family_fit=0.02)
    return SeparationPlanner(world.draw(np.random.default_rng(seed)).board, costs)


def _a_pair_with_advice(planner):
    order = [int(source) for source in planner.pairs.order]
    pairs = [(first, second) for first in order for second in order if first < second]
    told = planner.pairs.better | planner.pairs.better.T
    for pair in pairs:
        if not told[pair] and planner.separate(*pair).extension:
            return pair
    raise AssertionError("no pair of this board has advice")


def test_the_cheaper_way_is_advised():
    dear_targets = _planner(ExtensionCosts(seed=1, target=1e4))
    pair = _a_pair_with_advice(dear_targets)
    by_seeds = dear_targets.separate(*pair).extension
    by_targets = _planner(ExtensionCosts(seed=1e3, target=0)).separate(*pair).extension
    assert by_targets is not None
    assert by_seeds.targets <= by_targets.targets
    assert by_seeds.seeds >= by_targets.seeds
    for extension in (by_seeds, by_targets):
        assert extension.assurance >= 0.8
        assert extension.seconds > 0


def test_equal_sources_are_bounded_instead():
    planner = _planner(ExtensionCosts(seed=1), World(6, 5, worth=0.0))
    separation = planner.separate(0, 1)
    assert separation.extension is None
    tables = (planner.pairs.values, planner.pairs.errors, planner.pairs.degrees)
    expected = equivalence_bound(*(float(table[0, 1]) for table in tables))
    assert separation.bound == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(2, 1, 1), (3, 1, 1), (3, 2, 1)])
def test_without_any_noise_known_nothing_is_advised(shape):
    sources, families, seeds = shape
    planner = _planner(ExtensionCosts(seed=1), World(sources, families, seeds=seeds, worth=1.0))
    separation = planner.separate(0, 1)
    assert separation.extension is None
    assert np.isnan(separation.bound)


def test_one_target_is_advised_seeds_only():
    world = World(12, 1, seeds=3, worth=0.06, family_fit=0.0)
    planners = [_planner(ExtensionCosts(seed=1), world, seed) for seed in range(4)]
    advised = [
        planner.separate(int(planner.pairs.order[0]), int(source)).extension
        for planner in planners
        for source in planner.pairs.order[3:6]
    ]
    given = [extension for extension in advised if extension]
    assert given
    assert all(extension.targets == 0 and extension.seeds > 0 for extension in given)


def test_one_seed_is_advised_targets_only():
    planner = _planner(ExtensionCosts(seed=1), World(12, 6, seeds=1, worth=0.08))
    pair = _a_pair_with_advice(planner)
    assert planner.separate(*pair).extension.seeds == 0
