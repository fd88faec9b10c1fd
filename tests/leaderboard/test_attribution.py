"""Attribution on stores where it is known which source task carried the chain."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np
import pytest

from headwater.leaderboard import Store
from headwater.leaderboard.gains.attribution import attribute
from headwater.leaderboard.gains.gain_rows import Filter
from headwater.leaderboard.show.attribution_table import attribution_table
from headwater.registry import Chain
from headwater.registry.errors import QueryError
from tests.leaderboard.synthetic import IMAGENET, SOURCES, done, job, source, store_of, task

BASE_VALUE = 0.25


def name(tasks: Iterable[str]) -> str:
    return f"chain[base={IMAGENET},on={'+'.join(sorted(tasks))}]"


def subsets(tasks: Iterable[str], least: int = 1) -> list[frozenset[str]]:
    tasks = sorted(tasks)
    return [
        frozenset(chosen)
        for size in range(least, len(tasks) + 1)
        for chosen in combinations(tasks, size)
    ]


def played(
    path,
    value: Callable[[frozenset[str], str, int], float],
    chains: Iterable[frozenset[str]],
    targets: Iterable[str] = "t",
    seeds: int = 3,
    drop: Callable[[frozenset[str], str, int], bool] = lambda u, target, seed: False,
    **more,
) -> Store:
    """A store of chains on these source tasks: ``value(U, target, seed)`` is what each gains over its base."""
    chains, targets = list(dict.fromkeys(chains)), list(targets)
    tasks = tuple(
        task(each) for each in sorted({*targets, *(task for chain in chains for task in chain)})
    )
    sources = (
        *SOURCES[:2],
        *(source(name(chain), chain=Chain(IMAGENET, tuple(sorted(chain)))) for chain in chains),
    )
    jobs, outcomes = [], []
    for target in targets:
        for seed in range(seeds):
            for players in (frozenset[str](), *chains):
                if target in players or drop(players, target, seed):
                    continue
                identity = f"{target}{seed}{'+'.join(sorted(players))}"
                jobs.append(
                    job(identity, name(players) if players else IMAGENET, target, seed=seed, **more)
                )
                outcomes.append(
                    done(
                        identity,
                        BASE_VALUE + seed / 32 + (value(players, target, seed) if players else 0),
                        **more,
                    )
                )
    return store_of(path, jobs, outcomes, sources, tasks)


OWN = {"a": 0.25, "b": 0.125, "c": 0.0}


def additive(players: frozenset[str], target: str, seed: int) -> float:
    return sum(OWN[player] for player in players)


def parts(found):
    (family,) = found.groups
    return {part.task: part for part in family.parts}


def test_additive_tasks_have_their_own_value_as_share_and_as_cost_of_leaving_them_out(tmp_path):
    found = attribute(played(tmp_path / "s.duckdb", additive, subsets("abc")))
    assert {name: part.share.mean for name, part in parts(found).items()} == pytest.approx(OWN)
    assert {name: part.left_out.mean for name, part in parts(found).items()} == pytest.approx(OWN)
    assert found.groups[0].exact
    assert [part.task for part in found.groups[0].parts] == ["a", "b", "c"]
    assert found.groups[0].together.mean == pytest.approx(0.375)
    assert not any("stand in" in note for note in attribution_table(found).notes)


def test_targets_in_unlike_units_are_attributed_on_their_own_scales(tmp_path):
    store = played(tmp_path / "s.duckdb", additive, subsets("abc"), targets="tu")
    assert not attribute(store).is_mixed
    jobs = [identity for (identity,) in store.sql("SELECT job FROM jobs WHERE task = 'u'").rows]
    store.plan("run-1", [job(identity, IMAGENET, "u", unit="years") for identity in jobs])
    found = attribute(store)
    assert found.is_mixed
    best = BASE_VALUE + np.mean([0, 1, 2]) / 32 + sum(OWN.values())
    shares = {name: part.share.mean for name, part in parts(found).items()}
    assert shares == pytest.approx({name: gain / best for name, gain in OWN.items()})


def test_a_redundant_pair_shares_equally_while_leaving_one_out_costs_nothing(tmp_path):
    store = played(
        tmp_path / "s.duckdb",
        lambda u, target, seed: 0.5 * bool(u & {"a", "b"}) + 0.01 * seed * len(u),
        subsets("abc"),
    )
    found = parts(attribute(store))
    assert found["a"].share.mean == pytest.approx(0.25 + 0.01)
    assert found["b"].share.mean == pytest.approx(0.25 + 0.01)
    assert found["c"].share.mean == pytest.approx(0.01)
    assert found["a"].left_out.mean == pytest.approx(0.01)
    assert (found["a"].share.verdict, found["a"].left_out.verdict) == ("gains", "cannot tell")
    notes = "\n".join(attribution_table(attribute(store)).notes)
    assert " stand in for a, b:" in notes
    assert found["a"].redundancy.mean == pytest.approx(0.25)
    assert "c (leave-one-out and share)" in notes


def test_shares_add_up_to_the_joint_chains_gain(tmp_path):
    draw = random.Random(0)
    table = {(u, seed): draw.uniform(-0.2, 0.4) for u in subsets("abcd") for seed in range(3)}
    found = attribute(
        played(tmp_path / "s.duckdb", lambda u, target, seed: table[u, seed], subsets("abcd"))
    )
    assert sum(part.share.mean for part in found.groups[0].parts) == pytest.approx(
        found.groups[0].together.mean
    )


def test_intervals_pair_seeds(tmp_path):
    """What a seed does to all chains alike cancels: the interval of a constant difference has no width."""
    store = played(
        tmp_path / "s.duckdb",
        lambda u, target, seed: additive(u, target, seed) + 0.1 * seed,
        subsets("ab", least=1),
    )
    left_out = parts(attribute(store))["b"].left_out
    assert (left_out.low, left_out.high, left_out.cells) == (
        pytest.approx(0.125),
        pytest.approx(0.125),
        3,
    )


def test_one_seed_of_one_target_claims_nothing(tmp_path):
    found = parts(attribute(played(tmp_path / "s.duckdb", additive, subsets("ab"), seeds=1)))
    assert (found["a"].share.mean, found["a"].share.low, found["a"].share.verdict) == (
        pytest.approx(0.25),
        None,
        "cannot tell",
    )


def test_leave_one_out_alone_gives_no_shares_and_says_what_would(tmp_path):
    store = played(
        tmp_path / "s.duckdb",
        additive,
        [frozenset("abc"), *(frozenset("abc") - {left} for left in "abc")],
    )
    found = attribute(store)
    assert {name: part.left_out.mean for name, part in parts(found).items()} == pytest.approx(OWN)
    assert [part.share for part in parts(found).values()] == [None] * 3
    (note,) = [note for note in attribution_table(found).notes if "Shapley shares for t" in note]
    assert '[chains] attribution = "shapley"' in note


def test_a_chain_that_is_missing_is_named(tmp_path):
    store = played(
        tmp_path / "s.duckdb", additive, [u for u in subsets("abc") if u != frozenset("bc")]
    )
    found = attribute(store)
    assert parts(found)["a"].left_out is None
    assert (
        f'leave-one-out lacks ([chains] attribution = "leave-one-out"): {name("bc")}'
        in attribution_table(found).notes
    )
    assert not found.groups[0].exact
    assert parts(found)["b"].share.mean == pytest.approx(0.125)  # over the four orders that remain


def test_a_joint_chain_with_nothing_to_compare_it_with_is_an_error_that_says_which_chains_to_add(
    tmp_path,
):
    with pytest.raises(QueryError, match="none of those on fewer") as caught:
        attribute(played(tmp_path / "s.duckdb", additive, [frozenset("abc")]))
    assert name("bc") in caught.value.hint
    with pytest.raises(QueryError, match="no gain of a chain"):
        attribute(played(tmp_path / "t.duckdb", additive, [frozenset("a")]))


def test_a_joint_chain_that_nothing_tells_apart_does_not_hide_a_smaller_one_that_is_measured(
    tmp_path,
):
    found = attribute(
        played(
            tmp_path / "s.duckdb",
            lambda u, *_: 0.1 * len(u),
            [*subsets("abc"), frozenset("abcdef")],
        )
    )
    assert list(parts(found)) == ["a", "b", "c"]
    assert [game.players for game in found.undecidable] == [frozenset("abcdef")]


def test_targets_that_were_left_out_of_their_own_chains_are_one_family(tmp_path):
    """Four tasks, each a target with the other three as its sources, and one target that is no source."""
    worth = {"a": 0.25, "b": 0.125, "c": 0.0625, "d": 0.0}
    store = played(
        tmp_path / "s.duckdb",
        lambda u, *_: sum(worth[player] for player in u),
        subsets("abcd"),
        targets="abcdx",
    )
    (family,) = attribute(store).groups
    assert family.targets == list("abcdx")
    assert {part.task: part.share.mean for part in family.parts} == pytest.approx(worth)
    assert {part.task: sorted(part.by_target) for part in family.parts}["a"] == ["b", "c", "d", "x"]
    notes = "\n".join(attribution_table(attribute(store)).notes)
    assert "out of its own chain" in notes


def test_targets_with_the_same_chains_are_one_family_and_others_are_not(tmp_path):
    chains = [*subsets("ab"), *subsets("cd")]
    store = played(
        tmp_path / "s.duckdb",
        lambda u, *_: 0.1 * len(u),
        chains,
        targets="xyz",
        drop=lambda u, target, _: bool(u & set("cd")) != (target == "z") and bool(u),
    )
    assert [(family.players, family.targets) for family in attribute(store).groups] == [
        (["a", "b"], ["x", "y"]),
        (["c", "d"], ["z"]),
    ]


def test_sampled_orders_agree_with_exact_shares_and_carry_their_error(tmp_path):
    draw = random.Random(1)
    table = {
        u: 0.3 * (1 - 0.5 ** len(u)) + draw.uniform(-0.05, 0.05) + 0.05 * ("a" in u)
        for u in subsets("abcdef")
    }

    def value(u, target, seed):
        return table[u] + 0.001 * seed * len(u)

    exact = parts(attribute(played(tmp_path / "e.duckdb", value, subsets("abcdef"), seeds=2)))
    orders = [draw.sample("abcdef", 6) for _ in range(8)]
    store = played(
        tmp_path / "s.duckdb",
        value,
        [frozenset(order[:n]) for order in orders for n in range(1, 7)],
        seeds=2,
    )
    sampled = parts(attribute(store))
    covered = [
        sampled[player].share.low < exact[player].share.mean < sampled[player].share.high
        for player in "abcdef"
    ]
    assert sum(covered) >= 5  # at 95 % each
    for player in "abcdef":
        assert (
            sampled[player].share.high - sampled[player].share.low
            > exact[player].share.high - exact[player].share.low
        )
    assert not attribute(store).groups[0].exact
    assert any(
        note.startswith("shares sampled, from ") and "of 720" in note
        for note in attribution_table(attribute(store)).notes
    )


def test_a_seed_that_lacks_a_chain_is_left_out_of_exact_shares(tmp_path):
    store = played(
        tmp_path / "s.duckdb",
        additive,
        subsets("abc"),
        drop=lambda u, target, seed: seed == 1 and u == frozenset("a"),
    )
    part = parts(attribute(store))["a"]
    assert attribute(store).groups[0].exact
    assert (part.share.cells, part.left_out.cells) == (2, 3)


def test_a_scenario_filters_the_joint_chains_and_not_those_they_are_compared_with(tmp_path):
    store = played(tmp_path / "s.duckdb", additive, subsets("abc"))
    assert {
        name: part.share.mean
        for name, part in parts(attribute(store, Filter(scenario="multi-source"))).items()
    } == pytest.approx(OWN)
    with pytest.raises(QueryError, match="under this filter"):
        attribute(store, Filter(scenario="cross-domain"))


def test_json_carries_every_number_and_whole_names(tmp_path, capsys):
    attribution_table(
        attribute(played(tmp_path / "s.duckdb", additive, subsets("abc"), targets="tu"))
    ).print("json")
    rows = json.loads(capsys.readouterr().out)
    assert [row["source_task"] for row in rows] == ["a", "b", "c", "(together)"]
    assert (rows[0]["base"], rows[0]["adaptation"], rows[0]["size"], rows[0]["exact"]) == (
        IMAGENET,
        "fine_tune",
        "50",
        True,
    )
    assert (rows[0]["share"], rows[0]["share_verdict"], rows[0]["targets"], rows[0]["cells"]) == (
        pytest.approx(0.25),
        "gains",
        2,
        6,
    )
    assert (rows[3]["share"], rows[3]["left_out"], rows[3]["t"]) == (
        pytest.approx(0.375),
        None,
        pytest.approx(0.375),
    )
