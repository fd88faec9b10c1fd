"""The view of what is made once and shared, and who reads it."""

from headwater.leaderboard import JobRecord, Outcome, State
from headwater.registry import Chain
from tests.leaderboard.synthetic import BEGAN, PHOTO, SOURCES, done, job, source, store_of, task


def work(store):
    return {
        row[0]: row[1:]
        for row in store.sql("SELECT work, made, again, tasks, seconds, used_by FROM work").rows
    }


def test_each_shared_thing_is_counted_with_those_that_read_it(tmp_path):
    chain, both = "chain[base=b,on=u]", "chain[base=b,on=u+v]"
    sources = (
        SOURCES[0],
        source("b"),
        source(chain, chain=Chain("b", ("u",))),
        source(both, chain=Chain("b", ("u", "v"))),
    )
    jobs = [
        JobRecord("p1", "pretrain", "b", "u", seed=0),
        JobRecord("p2", "pretrain", "b", "u+v", seed=0),
        JobRecord("f", "features", chain, "t"),
        job("probe0", chain, adaptation="linear_probe"),
        job("probe1", chain, adaptation="linear_probe", seed=1),
        job("tuned", both),
        job("plain", "b"),
        job("failed", chain, seed=2),
    ]
    outcomes = [
        done("p1", 0, metrics=(), images=900, decoded=30, seconds=5.0),
        done("p2", 0, metrics=(), images=1800, decoded=20, seconds=7.0),
        done("f", 0, metrics=(), images=60, decoded=60),
        done("probe0", 0.5),
        done("probe1", 0.5),
        done("tuned", 0.5, images=500),
        done("plain", 0.5, images=500),
        Outcome("failed", State.FAILED, "loss is nan", started=BEGAN),
    ]
    assert work(
        store_of(tmp_path / "s.duckdb", jobs, outcomes, sources, (task("t"), task("u"), task("v")))
    ) == {
        "decoding": (110, None, 3, None, 7),
        "features": (1, 0, 1, 2.0, 2),
        "pretraining": (2, 0, 2, 12.0, 3),
    }


def test_what_was_made_once_more_shows(tmp_path):
    jobs = [JobRecord("f", "features", PHOTO, "t")]
    store = store_of(tmp_path / "s.duckdb", jobs, [done("f", 0, metrics=(), images=60)])
    store.plan("run-1", jobs, reset=("f",))
    store.record([done("f", 0, metrics=(), images=60)])
    assert work(store)["features"][:2] == (1, 1)


def test_an_empty_store_made_nothing(tmp_path):
    assert set(work(store_of(tmp_path / "s.duckdb", [], []))) == {
        "decoding",
        "features",
        "pretraining",
    }
    assert all(
        row[0] == row[-1] == 0 for row in work(store_of(tmp_path / "s.duckdb", [], [])).values()
    )
