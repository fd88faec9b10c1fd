"""The view of gains pairs each cell with its reference, by definition and not otherwise."""

import pytest

from headwater.leaderboard import Outcome, State
from headwater.registry import Chain
from tests.leaderboard.synthetic import (
    IMAGENET,
    SCRATCH,
    SOURCES,
    done,
    job,
    source,
    store_of,
    task,
)

TARGETS = (task("t"),)
FIRST = [job("r", SCRATCH, adaptation="from_scratch"), job("a", IMAGENET)]


def gains(tmp_path, jobs, outcomes, columns="gain_abs", sources=SOURCES, tasks=TARGETS):
    return (
        store_of(tmp_path / "s.duckdb", jobs, outcomes, sources, tasks)
        .sql(f"SELECT {columns} FROM gains ORDER BY ALL")
        .rows
    )


def test_absolute_gain_by_hand(tmp_path):
    rows = gains(
        tmp_path,
        FIRST,
        [done("r", 0.4), done("a", 0.5)],
        "reference, reference_value, value, gain_abs, train_size",
    )
    assert rows == [("scratch", 0.4, 0.5, pytest.approx(0.1), 50)]


def test_lower_is_better_turns_the_sign(tmp_path):
    jobs = [job("r", SCRATCH, adaptation="from_scratch", sign=-1), job("a", IMAGENET, sign=-1)]
    assert gains(tmp_path, jobs, [done("r", 4.0), done("a", 1.0)]) == [(3.0,)]


PAIR = (("r", SCRATCH, "from_scratch"), ("a", IMAGENET, "fine_tune"))


def test_the_leaderboard_view_averages_gains_and_counts_failures(tmp_path):
    jobs = [
        job(f"{name}{seed}", who, adaptation=how, seed=seed)
        for name, who, how in (("r", SCRATCH, "from_scratch"), ("a", IMAGENET, "fine_tune"))
        for seed in (0, 1, 2)
    ]
    outcomes = [
        done("r0", 0.5),
        done("r1", 0.5),
        done("r2", 0.5),
        done("a0", 0.75),
        done("a1", 0.25 + 0.125),
        Outcome("a2", State.FAILED),
    ]
    store = store_of(tmp_path / "s.duckdb", jobs, outcomes, tasks=(task("t"),))
    row = store.sql(
        "SELECT source, gain_abs, gain_norm, losing, tasks, seeds, cells, failed, seconds FROM leaderboard"
    ).rows
    assert row == [(IMAGENET, 0.0625, pytest.approx(0.0625 / 0.5625), 0.5, 1, 2, 2, 1, 2.0)]


def test_a_chain_partly_on_a_task_without_domain_is_not_within_the_targets(tmp_path):
    tasks = (task("t"), task("told", "sketches"), task("untold", None))
    both = source("both", scratch=SCRATCH, chain=Chain(IMAGENET, ("told", "untold")))
    alone = source("alone", scratch=SCRATCH, chain=Chain(IMAGENET, ("untold",)))
    store = store_of(tmp_path / "s.duckdb", FIRST, [], (*SOURCES, both, alone), tasks)
    rows = store.sql(
        "SELECT source, domain_relation FROM relations WHERE task = 't' AND source IN ('both', 'alone') ORDER BY ALL"
    ).rows
    assert rows == [("alone", None), ("both", "including")]
