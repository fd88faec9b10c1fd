"""One scale for unlike metrics: the view against brute force, and boards that no single cell decides."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headwater.leaderboard import JobRecord, Measurement, Outcome, State, Store
from headwater.leaderboard.findings.means import gains_of as gains_over
from headwater.leaderboard.gains.gain_rows import Filter
from headwater.leaderboard.gains.groups import groups
from headwater.leaderboard.gains.scale import unscaled_tasks
from headwater.leaderboard.gains.standings import Standings, standings
from headwater.leaderboard.show.standings_table import standings_table
from headwater.registry.cards.analysis import Reading
from headwater.registry.errors import QueryError
from tests.leaderboard.imports.published import WIDE, WIDE_KEYS, imported
from tests.leaderboard.synthetic import BEGAN, SCRATCH, done, job, source, store_of, task


@dataclass(frozen=True)
class Target:
    """A target, its metric, and what sources reach there: one value, or one for each seed."""

    name: str
    metric: str
    values: Mapping[str, float | Sequence[float]]
    sign: int = 1
    unit: str = ""
    lowest: float | None = 0.0
    highest: float | None = 1.0
    floor: float | None = None
    size: str = "50"


def error(name: str, values: Mapping[str, Any], unit: str = "", **facts: Any) -> Target:
    return Target(name, "mae", values, -1, unit, 0.0, None, **facts)


def store_with(folder: Path, targets: Sequence[Target]) -> Store:
    """Return a store of these targets; the source ``scratch`` is the reference of all others."""
    names = sorted({name for target in targets for name in target.values} - {"scratch"})
    cards = [source(SCRATCH, random=True), *(source(name, scratch=SCRATCH) for name in names)]
    jobs, outcomes = [], []
    for target in targets:
        for name, reached in target.values.items():
            values = reached if isinstance(reached, Sequence) else [reached]
            for seed, value in enumerate(values):
                record = record_of(target, name, seed)
                floors = (
                    []
                    if target.floor is None
                    else [Measurement("floor", target.metric, target.floor)]
                )
                outcome = done(record.job, value, target.metric)
                jobs.append(record)
                outcomes.append(replace(outcome, metrics=(*outcome.metrics, *floors)))
    tasks = tuple(task(name) for name in dict.fromkeys(target.name for target in targets))
    return store_of(folder / "s.duckdb", jobs, outcomes, tuple(cards), tasks)


def record_of(target: Target, name: str, seed: int) -> JobRecord:
    is_reference = name == "scratch"
    return job(
        f"{name}|{target.name}|{target.size}|{seed}",
        SCRATCH if is_reference else name,
        target.name,
        "from_scratch" if is_reference else "fine_tune",
        seed=seed,
        size=target.size,
        metric=target.metric,
        sign=target.sign,
        unit=target.unit,
        lowest=target.lowest,
        highest=target.highest,
    )


def board(folder: Path, *targets: Target) -> Standings:
    return standings(store_with(folder, targets), reference="scratch")


def gains_of(found: Standings) -> dict[str, float]:
    return {row.source: row.gain for row in found.rows}


# -- the view ------------------------------------------------------------------------------------------


def normalised(target: Target, value: float, best: float) -> float | None:
    """Return where a value lies on a target's scale: the definition, spelled out."""
    if target.sign < 0 and target.lowest == 0 and target.highest is None:
        if target.floor:
            return -math.log(min(max(value / target.floor, 0.01), 100))
        return -math.log(value) if value > 0 else None
    floor, perfect = target.floor, target.highest if target.sign > 0 else target.lowest
    if floor is None and target.sign > 0 and target.lowest is not None:
        floor = max(target.lowest, 0)
    if floor is None and target.sign < 0:
        floor = target.highest
    if floor is None:
        return None
    span = target.sign * (best - floor)
    least = 0.05 * abs(perfect - floor) if perfect is not None else 0
    if span <= least:
        return None
    return max(target.sign * (value - floor) / span, -1)


KINDS = (
    {"metric": "accuracy", "floor": 0.3},
    {"metric": "map"},
    {"metric": "r2", "lowest": None, "floor": -0.02},
    {"metric": "spearman", "lowest": -1.0},
    {"metric": "degrees", "sign": -1, "highest": 180.0},
    {"metric": "rmse", "sign": -1, "highest": None, "floor": 0.9},
    {"metric": "nme", "sign": -1, "highest": None},
    {"metric": "any", "lowest": None, "highest": None},
)


@pytest.mark.parametrize("seed", range(3))
def test_the_view_is_its_definition(tmp_path, seed):
    random = np.random.default_rng(seed)
    targets = []
    for number, facts in enumerate(KINDS):
        for size in ("50", "full"):
            reach = 170 if facts["metric"] == "degrees" else 1
            values = {name: list(reach * random.random(3)) for name in ("scratch", "a", "b", "c")}
            targets.append(Target(f"t{number}", values=values, size=size, **facts))
    store = store_with(tmp_path, targets)
    rows = store.sql(
        "SELECT task, size, source, seed, value, reference_value, gain_norm, value_norm FROM gains"
    ).rows
    by_place = {(target.name, target.size): target for target in targets}
    means = defaultdict(list)
    for target in targets:
        means[target.name] += [target.sign * np.mean(seeds) for seeds in target.values.values()]
    assert len(rows) == len(targets) * 9
    for name, size, _, _, value, reference, gain, place in rows:
        target = by_place[name, size]
        best = target.sign * max(means[name])
        expected = [normalised(target, each, best) for each in (value, reference)]
        if None in expected:
            assert gain is None
        else:
            assert gain == pytest.approx(expected[0] - expected[1])
            assert place == pytest.approx(expected[0])


def test_one_lucky_seed_does_not_set_the_scale(tmp_path):
    lucky = Target("t", "accuracy", {"scratch": [0.2, 0.2], "a": [0.9, 0.1], "b": [0.6, 0.6]})
    (best,) = store_with(tmp_path, [lucky]).sql("SELECT best FROM scales").rows
    assert best == (pytest.approx(0.6),)


def test_a_network_below_the_floor_counts_as_far_as_the_best_is_above_it(tmp_path):
    """Where one class has 90 % of the images, a network that chose another lost 0.87 of 0.07."""
    rare = Target("t", "accuracy", {"scratch": 0.1, "a": 0.97}, floor=0.9)
    (gain,) = store_with(tmp_path, [rare]).sql("SELECT gain_norm FROM gains").rows
    assert gain == (pytest.approx(2.0),)


def test_a_published_table_has_a_scale_of_its_own(tmp_path):
    store = store_with(tmp_path, [Target("cars", "accuracy", {"scratch": 0.1, "a": 0.2})])
    imported(store, tmp_path, WIDE, WIDE_KEYS, size=150)
    rows = store.sql(
        "SELECT best, floor, floor_recorded FROM scales WHERE task = 'cars' ORDER BY published = ''"
    ).rows
    published = store.sql(
        "SELECT max(value) FROM cells WHERE task = 'cars' AND origin = 'imported'"
    ).rows
    assert rows == [(*published[0], 0, False), (0.2, 0, False)]


def test_a_unit_that_a_task_names_later_needs_no_new_measurement(tmp_path):
    target = error("t", {"scratch": 2.0, "a": 1.0}, unit="unit of t")
    store = store_with(tmp_path, [target])
    store.plan("run-1", [record_of(replace(target, unit="years"), "a", 0)])
    assert store.sql("SELECT unit, value FROM cells WHERE source = 'a'").rows == [("years", 1.0)]


def test_what_is_shuffled_lies_on_the_targets_scale(tmp_path):
    store = store_with(tmp_path, [Target("t", "accuracy", {"scratch": 0.5, "a": 0.9}, floor=0.1)])
    analysis = job("x", "a", analysis="block_shuffle")
    store.plan("run-1", [replace(analysis, kind="analyse")])
    read_off = (Reading("P-T", "metric", 0.5, x=4), Reading("RI-T", "metric", 0.3, x=4))
    store.record([Outcome("x", State.DONE, started=BEGAN, readings=read_off)])
    rows = store.sql("SELECT advantage_abs, advantage_norm FROM f10_shuffle").rows
    assert rows == [(pytest.approx(0.2), pytest.approx(0.2 / 0.8))]


# -- boards --------------------------------------------------------------------------------------------


def test_a_reference_near_zero_decides_nothing(tmp_path):
    """Ratios made of this: bad +86.3, good +79.0, since one scratch mAP is 0.001."""
    found = board(
        tmp_path,
        Target("boxes", "map", {"scratch": 0.001, "good": 0.30, "bad": 0.33}),
        Target("more-boxes", "map", {"scratch": 0.02, "good": 0.30, "bad": 0.33}),
        Target("classes", "accuracy", {"scratch": 0.5, "good": 0.80, "bad": 0.40}, floor=0.1),
    )
    gains = gains_of(found)
    assert [row.source for row in found.rows] == ["good", "bad"]
    assert max(map(abs, gains.values())) < 1
    of_boxes = ((0.30 - 0.001) + (0.30 - 0.02)) / 0.33
    assert gains["good"] == pytest.approx((of_boxes + 0.3 / 0.7) / 3)


def test_a_reference_of_zero_counts(tmp_path):
    """Ratios left both mAP cells out, and B led for its accuracy."""
    found = board(
        tmp_path,
        Target("boxes", "map", {"scratch": 0.0, "A": 0.60, "B": 0.05}),
        Target("classes", "accuracy", {"scratch": 0.3, "A": 0.50, "B": 0.55}),
    )
    assert [(row.source, row.cells) for row in found.rows] == [("A", 2), ("B", 2)]


def test_to_halve_one_error_and_double_another_is_no_gain(tmp_path):
    """Ratios made it −0.167, and +0.167 had the metric been 1 / MAE."""
    found = board(
        tmp_path,
        error("t", {"scratch": 6.0, "X": 3.0}, "years"),
        error("u", {"scratch": 0.2, "X": 0.4}, "metres"),
    )
    assert gains_of(found)["X"] == pytest.approx(0, abs=1e-9)


def in_years_and(folder: Path, unit: str, dollar: float, **more: Any) -> Standings:
    """Return a board of ages and prices, whose prices are in units of 1 / ``dollar``."""
    prices = {"scratch": 1000 * dollar, "X": 900 * dollar, "Y": 950 * dollar}
    return board(
        folder,
        error("ages", {"scratch": 10.0, "X": 9.0, "Y": 4.0}, "years", **more),
        error("prices", prices, unit, **more),
    )


@pytest.mark.parametrize("unit", ["dollars", "unit of prices"])
def test_years_and_dollars_are_never_averaged(tmp_path, unit):
    """One name of a metric made it +50.5 for X and +27.0 for Y: the dollars decided."""
    dollars = in_years_and(tmp_path / "dollars", unit, 1)
    cents = in_years_and(tmp_path / "cents", unit, 100)
    assert dollars.is_mixed
    assert [row.source for row in dollars.rows] == ["Y", "X"]
    assert gains_of(dollars) == pytest.approx(gains_of(cents))
    expected = (math.log(10 / 4) + math.log(1000 / 950)) / 2
    assert gains_of(dollars)["Y"] == pytest.approx(expected)


def test_one_unit_is_averaged_as_it_is(tmp_path):
    found = in_years_and(tmp_path, "years", 1)
    assert not found.is_mixed
    assert gains_of(found) == pytest.approx({"X": 50.5, "Y": 28.0})


def test_an_error_of_zero_is_no_infinite_gain_where_the_floor_is_known(tmp_path):
    found = board(
        tmp_path,
        error("t", {"scratch": 4.0, "X": 0.0}, "years", floor=5.0),
        Target("u", "accuracy", {"scratch": 0.5, "X": 0.5}),
    )
    assert gains_of(found)["X"] == pytest.approx((math.log(100) - math.log(5 / 4)) / 2)


NOTHING_LEARNED = Target("hopeless", "map", {"scratch": 0.001, "A": 0.0001, "B": 0.004})


def test_a_target_on_which_nothing_was_learned_is_left_out_and_named(tmp_path):
    """Its noise of thousandths would be divided by thousandths."""
    clear = Target("t", "accuracy", {"scratch": 0.2, "A": 0.6, "B": 0.5}, floor=0.1)
    found = board(tmp_path, clear, NOTHING_LEARNED)
    assert unscaled_tasks(found.gains) == ["hopeless"]
    assert [(row.source, row.cells) for row in found.rows] == [("A", 1), ("B", 1)]
    assert [
        note for note in standings_table(found).notes if "hopeless" in note and "scales" in note
    ]


def test_targets_without_any_scale_are_an_error_that_says_where_to_look(tmp_path):
    other = replace(NOTHING_LEARNED, name="worse", metric="ap50")
    with pytest.raises(QueryError) as caught:
        board(tmp_path, NOTHING_LEARNED, other)
    assert "scales" in caught.value.hint
    alone = standings(store_with(tmp_path / "one", [NOTHING_LEARNED]), Filter(task="hopeless"))
    assert not alone.is_mixed, "one metric needs no scale"


def test_groups_and_adaptations_use_the_scale_too(tmp_path):
    targets = [
        Target("t", "accuracy", {"scratch": 0.2, "A": 0.7}, floor=0.2),
        error("u", {"scratch": 6.0, "A": 3.0}, "years"),
    ]
    store = store_with(tmp_path, targets)
    frozen = [replace(record_of(each, "A", 0), adaptation="freeze") for each in targets]
    frozen = [replace(record, job=f"frozen|{record.task}") for record in frozen]
    store.plan("run-1", frozen)
    store.record([done(frozen[0].job, 0.45), done(frozen[1].job, 6.0, "mae")])
    found = {row.name: row for row in groups(store, "adaptation", reference="scratch").rows}
    assert found["fine_tune"].gains["scratch"].mean == pytest.approx((1 + math.log(2)) / 2)
    difference = found["freeze"].difference
    assert difference is not None
    assert difference.mean == pytest.approx((-0.5 - math.log(2)) / 2)


def test_the_view_of_the_leaderboard_averages_no_unlike_units(tmp_path):
    in_years_and(tmp_path / "mixed", "dollars", 1)
    in_years_and(tmp_path / "alike", "years", 1)
    query = "SELECT source, gain_abs, gain_norm IS NULL FROM leaderboard ORDER BY source"
    mixed = Store(tmp_path / "mixed" / "s.duckdb").sql(query).rows
    alike = Store(tmp_path / "alike" / "s.duckdb").sql(query).rows
    assert mixed == [("X", None, False), ("Y", None, False)]
    assert alike == [("X", 50.5, False), ("Y", 28.0, False)]


def test_findings_average_unlike_units_on_one_scale(tmp_path):
    in_years_and(tmp_path, "dollars", 1)
    (rows,) = Store(tmp_path / "s.duckdb").frames("f01_scratch")
    assert gains_over(rows, "gain").tolist() == rows["gain_norm"].tolist()
    alike = rows[rows["unit"] == "years"]
    assert gains_over(alike, "gain").tolist() == alike["gain_abs"].tolist()
