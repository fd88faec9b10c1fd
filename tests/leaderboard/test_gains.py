"""The view of gains pairs each cell with its reference, by definition and not otherwise."""

from datetime import timedelta

import pytest

from headwater.leaderboard import Measurement, Outcome, State
from headwater.registry import Chain
from tests.leaderboard.synthetic import (
    BEGAN,
    CHAIN,
    IMAGENET,
    PHOTO,
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


def test_absolute_and_relative_gain_by_hand(tmp_path):
    rows = gains(
        tmp_path,
        FIRST,
        [done("r", 0.4), done("a", 0.5)],
        "reference, reference_value, value, gain_abs, gain_rel, train_size",
    )
    assert rows == [("scratch", 0.4, 0.5, pytest.approx(0.1), pytest.approx(0.25), 50)]


def test_lower_is_better_turns_the_sign(tmp_path):
    jobs = [job("r", SCRATCH, adaptation="from_scratch", sign=-1), job("a", IMAGENET, sign=-1)]
    assert gains(tmp_path, jobs, [done("r", 4.0), done("a", 1.0)], "gain_abs, gain_rel") == [
        (3.0, 0.75)
    ]


def test_relative_gain_divides_by_the_size_of_a_negative_reference(tmp_path):
    assert gains(tmp_path, FIRST, [done("r", -0.5), done("a", -0.25)], "gain_abs, gain_rel") == [
        (0.25, 0.5)
    ]


def test_relative_gain_over_zero_is_null(tmp_path):
    assert gains(tmp_path, FIRST, [done("r", 0.0), done("a", 0.5)], "gain_abs, gain_rel") == [
        (0.5, None)
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"task": "u"},
        {"size": "full"},
        {"seed": 1},
        {"protocol": "other"},
        {"metric": "f1"},
        {"adaptation": "x"},
    ],
)
def test_a_reference_that_differs_in_anything_is_no_reference(tmp_path, other):
    reference = job("r", SCRATCH, **({"adaptation": "from_scratch"} | other))
    store = store_of(
        tmp_path / "s.duckdb",
        [reference, FIRST[1]],
        [done("r", 0.4, metric=reference.metric), done("a", 0.5)],
    )
    assert store.sql("FROM gains").rows == []
    assert store.sql("SELECT source, reference, reference_source FROM unpaired").rows == [
        (IMAGENET, "scratch", SCRATCH)
    ]


def test_a_failed_reference_leaves_no_gain_and_is_visible(tmp_path):
    store = store_of(
        tmp_path / "s.duckdb",
        FIRST,
        [Outcome("r", State.FAILED, "loss is nan", "TrainingError"), done("a", 0.5)],
    )
    assert store.sql("FROM gains").rows == []
    assert store.sql("SELECT job, reference FROM unpaired").rows == [("a", "scratch")]
    assert store.sql("SELECT job, error, reason FROM failures").rows == [
        ("r", "TrainingError", "loss is nan")
    ]


def test_a_control_of_its_own_pairs_with_itself_on_random_weights(tmp_path):
    jobs = [
        job("r", SCRATCH, adaptation="linear_probe", control="linear_probe"),
        job("a", IMAGENET, adaptation="linear_probe", control="linear_probe"),
    ]
    assert gains(
        tmp_path, [*FIRST, *jobs][2:], [done("r", 0.3), done("a", 0.8)], "adaptation, gain_abs"
    ) == [("linear_probe", pytest.approx(0.5))]


def test_a_chain_is_paired_with_scratch_and_with_its_base(tmp_path):
    jobs = [*FIRST, job("c", PHOTO)]
    rows = gains(
        tmp_path,
        jobs,
        [done("r", 0.25), done("a", 0.5), done("c", 0.75)],
        "source, reference, gain_abs, reference_job",
    )
    assert rows == [
        (PHOTO, "base", 0.25, "a"),
        (PHOTO, "scratch", 0.5, "r"),
        (IMAGENET, "scratch", 0.25, "r"),
    ]


def test_the_base_of_a_chain_on_random_weights_runs_the_control(tmp_path):
    rows = gains(
        tmp_path,
        [FIRST[0], job("c", CHAIN)],
        [done("r", 0.25), done("c", 0.5)],
        "reference, gain_abs, multi_source",
    )
    assert rows == [("base", 0.25, True), ("scratch", 0.25, True)]


def test_scratch_has_no_gain_over_itself(tmp_path):
    sources = (source(SCRATCH, random=True, scratch=SCRATCH),)
    assert gains(tmp_path, FIRST[:1], [done("r", 0.4)], sources=sources) == []


def test_of_two_done_jobs_with_the_same_coordinates_the_later_counts(tmp_path):
    jobs = [*FIRST, job("old", IMAGENET)]
    outcomes = [
        done("r", 0.4),
        done("a", 0.5, started=BEGAN + timedelta(hours=1)),
        done("old", 0.9),
    ]
    assert gains(tmp_path, jobs, outcomes, "job, value") == [("a", 0.5)]


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_value_that_is_not_a_number_makes_no_gain(tmp_path, value):
    outcome = done("a", 0.0, metrics=(Measurement("test", "accuracy", value),))
    assert gains(tmp_path, FIRST, [done("r", 0.4), outcome]) == []


def test_only_the_test_split_of_the_jobs_own_metric_counts(tmp_path):
    metrics = (
        Measurement("validation", "accuracy", 0.9),
        Measurement("test", "f1", 0.8),
        Measurement("test", "accuracy", 0.5),
    )
    assert gains(
        tmp_path, FIRST, [done("r", 0.4), done("a", 0, metrics=metrics)], "value, validation"
    ) == [(0.5, 0.9)]


RELATIONS = [
    ("sketches", "sketches", "within-domain"),
    ("web", "sketches", "including"),
    ("sketches", "web", "cross-domain"),
    ("aerial", "sketches", "cross-domain"),
    (None, "sketches", None),
    ("sketches", None, None),
    (None, None, None),
]


def test_domain_relation_follows_the_cards(tmp_path):
    domains = {domain for of_source, of_target, _ in RELATIONS for domain in (of_source, of_target)}
    sources = (
        SOURCES[0],
        *(source(f"from {domain}", scratch=SCRATCH, domain=domain) for domain in domains),
    )
    tasks = tuple(task(f"to {domain}", domain) for domain in domains)
    jobs = [job(f"r{t.name}", SCRATCH, t.name, "from_scratch") for t in tasks]
    jobs += [job(f"{s.name}{t.name}", s.name, t.name) for s in sources[1:] for t in tasks]
    rows = gains(
        tmp_path,
        jobs,
        [done(record.job, 0.5) for record in jobs],
        "source, task, domain_relation",
        sources,
        tasks,
    )
    found = {(name, target): relation for name, target, relation in rows}
    assert {(s, t): found[f"from {s}", f"to {t}"] for s, t, _ in RELATIONS} == {
        (s, t): relation for s, t, relation in RELATIONS
    }


def test_a_target_is_small_up_to_150_images(tmp_path):
    jobs = [
        job(f"{name}{n}", who, adaptation=how, seed=n)
        for n in (50, 150, 151)
        for name, who, how in PAIR
    ]
    outcomes = [done(record.job, 0.5, train_images=record.seed) for record in jobs]
    assert gains(tmp_path, jobs, outcomes, "train_size, small_target") == [
        (50, True),
        (150, True),
        (151, False),
    ]


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
        "SELECT source, gain_abs, gain_rel, negative, tasks, seeds, cells, failed, seconds FROM leaderboard"
    ).rows
    assert row == [(IMAGENET, 0.0625, 0.125, 0.5, 1, 2, 2, 1, 2.0)]


def test_a_chain_partly_on_a_task_without_domain_is_not_within_the_targets(tmp_path):
    tasks = (task("t"), task("told", "sketches"), task("untold", None))
    both = source("both", scratch=SCRATCH, chain=Chain(IMAGENET, ("told", "untold")))
    alone = source("alone", scratch=SCRATCH, chain=Chain(IMAGENET, ("untold",)))
    store = store_of(tmp_path / "s.duckdb", FIRST, [], (*SOURCES, both, alone), tasks)
    rows = store.sql(
        "SELECT source, domain_relation FROM relations WHERE task = 't' AND source IN ('both', 'alone') ORDER BY ALL"
    ).rows
    assert rows == [("alone", None), ("both", "including")]
