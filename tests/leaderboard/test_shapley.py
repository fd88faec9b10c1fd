"""Shapley shares against their definition: the mean over every order of arrival."""

from __future__ import annotations

import math
import random
from itertools import combinations, permutations

import numpy as np
import pytest

from headwater.leaderboard.statistics.shapley import Coalition, Orders, orders

Game = dict[Coalition, float]


def coalitions(players: str) -> list[Coalition]:
    return [
        frozenset(chosen)
        for size in range(1, len(players) + 1)
        for chosen in combinations(players, size)
    ]


def invented(players: str, seed: int = 0) -> Game:
    draw = np.random.default_rng(seed)
    return {coalition: float(draw.normal()) for coalition in coalitions(players)}


def by_definition(players: str, value: Game) -> dict[str, float]:
    """Over all n! orders, one by one."""
    found = dict.fromkeys(players, 0.0)
    for order in permutations(players):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            found[player] += (value[before | {player}] - value.get(before, 0.0)) / math.factorial(
                len(players)
            )
    return found


def whole(players: str) -> Orders:
    found = orders(frozenset(players), coalitions(players))
    assert found is not None
    return found


@pytest.mark.parametrize("players", ["a", "ab", "abc", "abcde"])
def test_with_all_coalitions_shares_are_those_of_the_definition(players):
    value = invented(players)
    assert whole(players).exact
    assert whole(players).count == math.factorial(len(players))
    assert whole(players).shares(value) == pytest.approx(by_definition(players, value))


def test_the_weights_are_those_of_the_formula():
    n = 4
    for (coalition, _), weight in whole("abcd").joins.items():
        size = len(coalition)
        assert weight == pytest.approx(
            math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
        )


def test_shares_add_up_to_the_value_of_all_also_where_orders_were_sampled():
    value = invented("abcdef")
    some = orders(frozenset("abcdef"), prefixes("abcdef", 5))
    for found in (whole("abcdef"), some):
        assert sum(found.shares(value).values()) == pytest.approx(value[frozenset("abcdef")])


def prefixes(players: str, count: int, seed: int = 0) -> set[Coalition]:
    draw = random.Random(seed)
    drawn = [draw.sample(players, len(players)) for _ in range(count)]
    return {frozenset(order[:size]) for order in drawn for size in range(1, len(players) + 1)}


def test_own_values_are_own_shares_in_any_sample_of_orders():
    own = {"a": 0.5, "b": 0.25, "c": 0.0, "d": -0.125}
    value = {
        coalition: sum(own[player] for player in coalition) for coalition in coalitions("abcd")
    }
    assert whole("abcd").shares(value) == pytest.approx(own)
    assert orders(frozenset("abcd"), prefixes("abcd", 2)).shares(value) == pytest.approx(own)


def test_a_redundant_pair_shares_equally_and_a_dummy_gets_nothing():
    value = {coalition: float(bool(coalition & {"a", "b"})) for coalition in coalitions("abc")}
    assert whole("abc").shares(value) == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.0})


def test_one_order_gives_the_marginal_values_along_it():
    value = invented("abc")
    path = [frozenset("b"), frozenset("bc"), frozenset("abc")]
    found = orders(frozenset("abc"), path)
    assert (found.count, found.exact) == (1, False)
    b, bc, abc = (value[coalition] for coalition in path)
    assert found.shares(value) == pytest.approx({"b": b, "c": bc - b, "a": abc - bc})
    assert all(math.isnan(error) for error in found.sampling_errors(value).values())


def test_no_order_without_a_gap_is_no_shares():
    assert orders(frozenset("abc"), [frozenset("a"), frozenset("bc"), frozenset("abc")]) is None
    assert orders(frozenset("abc"), [frozenset("a"), frozenset("ab")]) is None


def test_sampled_orders_give_the_same_shares_and_no_error_in_the_limit():
    value = invented("abcd")
    found = orders(frozenset("abcd"), prefixes("abcd", 500))
    assert found.exact
    assert found.shares(value) == pytest.approx(by_definition("abcd", value))
    assert set(found.sampling_errors(value).values()) == {0.0}


def test_sampled_shares_are_unbiased_and_their_errors_cover_the_truth():
    players = "abcdef"
    value = {
        coalition: math.tanh(0.3 * sum(ord(p) - 96 for p in coalition))
        + 0.1 * invented(players)[coalition]
        for coalition in coalitions(players)
    }
    truth = by_definition(players, value)
    errors, covered = [], []
    for seed in range(150):
        found = orders(frozenset(players), prefixes(players, 8, seed))
        shares, bounds = found.shares(value), found.sampling_errors(value)
        errors.append([shares[player] - truth[player] for player in players])
        covered += [abs(shares[player] - truth[player]) <= bounds[player] for player in players]
    standard_error = np.std(errors, axis=0) / math.sqrt(len(errors))
    assert (np.abs(np.mean(errors, axis=0)) < 3.5 * standard_error).all()
    assert np.mean(covered) > 0.9
