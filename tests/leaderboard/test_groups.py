"""Gains by scenario, adaptation and domain: means by hand, pairs that are pairs, and no invented ranks."""

import json
import math
import re
from dataclasses import replace
from math import sqrt

import pandas as pd
import pytest
from scipy.stats import t

from headwater.leaderboard import Measurement, Outcome, State
from headwater.leaderboard.gains.estimate import estimate
from headwater.leaderboard.gains.gain_rows import SCENARIOS, Filter
from headwater.leaderboard.gains.groups import groups
from headwater.leaderboard.gains.standings import standings
from headwater.leaderboard.show.groups_table import groups_table
from headwater.leaderboard.statistics.board import Scope
from headwater.registry.errors import QueryError
from tests.leaderboard.synthetic import (
    CHAIN,
    IMAGENET,
    PHOTO,
    SCRATCH,
    SOURCES,
    done,
    grid_store,
    job,
    run_record,
    source,
    store_of,
    task,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return grid_store(tmp_path_factory.mktemp("groups") / "s.duckdb")


def by_name(found):
    return {row.name: row for row in found.rows}


def test_scenario_means_are_means_of_targets(store):
    """Targets count once, however many cells they have."""
    rows = store.sql(
        "WITH targets AS (SELECT scenario, reference, task, avg(gain_abs) AS gain, count(*) AS cells "
        "FROM gains JOIN scenarios USING (job, reference) GROUP BY ALL) "
        "SELECT scenario, reference, avg(gain), sum(cells) FROM targets GROUP BY ALL"
    ).rows
    found = by_name(groups(store, "scenario"))
    estimates = {
        (name, reference): (e.mean, e.cells)
        for name, row in found.items()
        for reference, e in row.gains.items()
    }
    assert estimates == {
        (scenario, reference): (pytest.approx(mean, abs=2e-3), cells)
        for scenario, reference, mean, cells in rows
    }


def test_intervals_are_students_over_the_means_of_families(store):
    rows = groups(store, "domain").gains
    rows = rows[rows["source"] != CHAIN].iloc[:-3]  # unequal counts
    by_seed = rows.groupby(["task", "seed"])["gain_abs"].mean()
    targets = by_seed.groupby("task").mean()
    half = t.ppf(0.975, len(targets) - 1) * targets.std(ddof=1) / sqrt(len(targets))
    found = estimate(rows, "gain_abs")
    assert found.scope is Scope.LIKE_THESE
    assert (found.mean, found.low, found.high) == pytest.approx(
        (targets.mean(), targets.mean() - half, targets.mean() + half)
    )


def test_a_target_measured_a_hundred_times_does_not_outvote_the_rest():
    counts = {"t": 1, "u": 1, "v": 100}
    rows = pd.DataFrame(
        [
            {"task": name, "family": name, "seed": 0, "gain": gain}
            for name, gain in zip(counts, (0.3, 0.0, 0.0), strict=True)
            for _ in range(counts[name])
        ]
    )
    assert estimate(rows, "gain").mean == pytest.approx(0.1)
    # Two targets of one family count as one of it.
    rows["family"] = rows["family"].replace("u", "v")
    assert estimate(rows, "gain").mean == pytest.approx(0.15)


def test_scenarios_stand_in_their_order_and_without_ranks(store):
    table = groups_table(groups(store, "scenario"))
    assert [row[0] for row in table.rows] == [
        name for name in SCENARIOS if name in {row[0] for row in table.rows}
    ]
    assert "rank" not in {column.name for column in table.columns}
    assert any(note.startswith("rows are not ranked") for note in table.notes)


def test_domains_are_the_targets(store):
    found = by_name(groups(store, "domain"))
    assert {name: (row.tasks, row.cells, row.failed) for name, row in found.items()} == {
        "sketches": (1, 36, 0),
        "aerial": (1, 34, 2),
        "(none named)": (1, 36, 0),
    }


def two_adaptations(path, fine_tune, probe, seeds=4, **more):
    """Two sources on two tasks, each gaining this much over scratch under either adaptation; scratch differs between them."""
    sources = (SOURCES[0], source("a", scratch=SCRATCH), source("b", scratch=SCRATCH))
    jobs, outcomes = [], []
    for where in ("t", "u"):
        for seed in range(seeds):
            for name, extra in ((SCRATCH, None), ("a", 0.0), ("b", 0.25)):
                for how, control, base, gain in (
                    ("fine_tune", "from_scratch", 0.25, fine_tune),
                    ("linear_probe", "linear_probe", 0.125, probe),
                ):
                    ran = control if name == SCRATCH else how
                    identity = f"{where}{seed}{name}{how}"
                    jobs.append(
                        job(
                            identity,
                            name,
                            where,
                            ran,
                            control=control,
                            seed=seed,
                            protocol=control,
                            **more,
                        )
                    )
                    outcomes.append(
                        done(identity, base + (0 if extra is None else gain + extra) + seed / 64)
                    )
    return store_of(path, jobs, outcomes, sources, (task("t"), task("u", "aerial")))


def test_adaptations_are_compared_in_the_metric_on_paired_cells(tmp_path):
    found = by_name(groups(two_adaptations(tmp_path / "s.duckdb", 0.25, 0.3125), "adaptation"))
    assert found["fine_tune"].gains["scratch"].mean == pytest.approx(0.25 + 0.125)
    assert found["linear_probe"].gains["scratch"].mean == pytest.approx(
        0.3125 + 0.125
    )  # a larger gain, over a worse scratch
    difference = found["linear_probe"].difference
    assert (difference.mean, difference.cells) == (pytest.approx(0.125 + 0.3125 - 0.25 - 0.25), 16)
    assert (difference.low, difference.high) == (
        pytest.approx(-0.0625),
        pytest.approx(-0.0625),
    )  # the same in every cell
    assert found["fine_tune"].difference is None


def test_the_comparison_with_fine_tune_survives_a_filter_on_adaptations(tmp_path):
    found = groups(
        two_adaptations(tmp_path / "s.duckdb", 0.25, 0.3125),
        "adaptation",
        Filter(adaptation="linear_probe"),
    )
    assert [row.name for row in found.rows] == ["linear_probe"]
    assert found.rows[0].difference.mean == pytest.approx(-0.0625)


def test_lower_is_better_turns_the_difference(tmp_path):
    found = by_name(
        groups(two_adaptations(tmp_path / "s.duckdb", 0.25, 0.3125, sign=-1), "adaptation")
    )
    assert found["linear_probe"].difference.mean == pytest.approx(0.0625)


def test_the_share_of_targets_counts_the_best_source_of_each(tmp_path):
    row = groups(
        two_adaptations(tmp_path / "s.duckdb", -0.125, -0.5),
        "adaptation",
        Filter(adaptation="fine_tune"),
    ).rows[0]
    assert (row.gaining, row.tasks, row.losing) == (2, 2, 0.5)  # a loses, b gains, on both
    row = groups(
        two_adaptations(tmp_path / "s.duckdb", -0.125, -0.5),
        "adaptation",
        Filter(adaptation="linear_probe"),
    ).rows[0]
    assert (row.gaining, row.tasks, row.losing) == (0, 2, 1.0)
    assert row.gaining_between == pytest.approx(
        (0.0, 1 - 0.025**0.5)
    )  # Clopper and Pearson, 0 of 2


def test_an_interval_that_holds_zero_cannot_tell(tmp_path):
    jobs, outcomes = [], []
    for where, gain in (("t", 0.25), ("u", -0.25), ("v", 0.125)):
        jobs += [
            job(f"r{where}", SCRATCH, where, "from_scratch"),
            job(f"a{where}", IMAGENET, where),
        ]
        outcomes += [done(f"r{where}", 0.5), done(f"a{where}", 0.5 + gain)]
    found = groups(
        store_of(tmp_path / "s.duckdb", jobs, outcomes, tasks=tuple(map(task, "tuv"))), "adaptation"
    )
    estimate = found.rows[0].gains["scratch"]
    assert estimate.low < 0 < estimate.high
    assert estimate.verdict == "cannot tell"
    notes = groups_table(found).notes
    assert any(re.match("cannot tell .* over scratch.*: fine_tune$", note) for note in notes)


def test_one_task_and_one_seed_claim_nothing(tmp_path):
    jobs = [job("r", SCRATCH, adaptation="from_scratch"), job("a", IMAGENET)]
    found = groups(
        store_of(
            tmp_path / "s.duckdb", jobs, [done("r", 0.25), done("a", 0.5)], tasks=(task("t"),)
        ),
        "domain",
    )
    assert (found.rows[0].gains["scratch"].low, found.rows[0].gains["scratch"].verdict) == (
        None,
        "cannot tell",
    )
    assert any("no interval" in note for note in groups_table(found).notes)


def test_unlike_metrics_are_averaged_as_normalised_gains(tmp_path):
    jobs = [
        job("r1", SCRATCH, "t", "from_scratch"),
        job("a1", IMAGENET, "t"),
        job("r2", SCRATCH, "u", "from_scratch", metric="rmse", sign=-1),
        job("a2", IMAGENET, "u", metric="rmse", sign=-1),
        job("r3", SCRATCH, "u", "from_scratch", metric="rmse", sign=-1, seed=1),
        job("a3", IMAGENET, "u", metric="rmse", sign=-1, seed=1),
    ]
    values = {"r1": 0.25, "a1": 0.5, "r2": 8.0, "a2": 4.0, "r3": 0.0, "a3": 4.0}
    outcomes = [done(record.job, values[record.job], record.metric) for record in jobs]
    found = groups(
        store_of(tmp_path / "s.duckdb", jobs, outcomes, tasks=(task("t"), task("u"))), "adaptation"
    )
    assert found.is_mixed
    assert (found.rows[0].gains["scratch"].mean, found.rows[0].cells) == (
        pytest.approx((0.25 / 0.5 + math.log(8 / 4)) / 2),
        2,
    )
    assert [note for note in groups_table(found).notes if note.startswith("1 cells")]


@pytest.mark.parametrize(
    ("scenario", "sources"),
    [
        ("multi-source", {CHAIN}),
        ("multi-source,small-target", {CHAIN}),
        ("including", {IMAGENET}),
        ("larger-to-smaller", {CHAIN, IMAGENET, PHOTO}),
    ],
)
def test_a_scenario_filters_standings_and_of_several_all_must_hold(store, scenario, sources):
    found = standings(store, Filter(scenario=scenario))
    assert set(found.gains["source"]) == sources
    assert all(set(scenario.split(",")) <= set(names) for names in found.gains["scenarios"])


def test_cells_without_a_gain_are_in_scenarios_too(store):
    assert [row.failed for row in standings(store, Filter(scenario="multi-source")).rows] == [2]
    assert [row.failed for row in standings(store, Filter(scenario="small-target")).rows] == [
        0,
        0,
        0,
    ]
    assert by_name(groups(store, "scenario"))["full-target"].failed == 2


def test_a_scenario_that_is_none_is_corrected(store):
    with pytest.raises(QueryError) as caught:
        standings(store, Filter(scenario="within-domian"))
    assert caught.value.message.endswith(
        "matches --scenario within-domian. Did you mean within-domain?"
    )
    assert "multi-source" in caught.value.hint


def test_small_is_what_the_run_calls_small_for_failed_cells_too(tmp_path):
    """It was 150 images for cells without a gain, whatever the spec said."""
    jobs = [
        job(f"{n}{who}", who, adaptation=how, size=n)
        for n in ("200", "300")
        for who, how in ((SCRATCH, "from_scratch"), (IMAGENET, "fine_tune"))
    ]
    jobs += [job(f"{n}failed", IMAGENET, size=n, seed=1) for n in ("200", "300")]
    store = store_of(tmp_path / "s.duckdb", [], [], tasks=(task("t"),))
    store.begin_run(replace(run_record("run-2"), spec={"small_target": 200}))
    store.plan("run-2", jobs)
    store.record(
        [
            Outcome(record.job, State.FAILED)
            if "failed" in record.job
            else done(record.job, 0.5, train_images=int(record.size))
            for record in jobs
        ]
    )
    found = standings(store, Filter(size="small"))
    assert (set(found.gains["size"]), found.rows[0].failed) == ({"200"}, 1)


def test_json_carries_raw_numbers(store, capsys):
    groups_table(groups(store, "scenario")).print("json")
    row = next(
        row for row in json.loads(capsys.readouterr().out) if row["scenario"] == "multi-source"
    )
    assert row["scratch_low"] < row["scratch"] < row["scratch_high"]
    assert (row["base_cells"], row["tasks"], row["failed"], row["verdict"], row["normalised"]) == (
        34,
        3,
        2,
        "gains",
        False,
    )


def test_a_measurement_of_nan_is_no_cell(tmp_path):
    jobs = [
        job("r", SCRATCH, adaptation="from_scratch"),
        job("a", IMAGENET),
        job("b", IMAGENET, seed=1),
    ]
    nan = done("b", 0, metrics=(Measurement("test", "accuracy", float("nan")),))
    found = groups(
        store_of(
            tmp_path / "s.duckdb", jobs, [done("r", 0.25), done("a", 0.5), nan], tasks=(task("t"),)
        ),
        "adaptation",
    )
    assert found.rows[0].cells == 1
