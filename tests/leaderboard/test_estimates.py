"""The view of estimates: which rows count, and what pooled scores are scaled over."""

from datetime import timedelta

import pytest

from headwater.leaderboard import JobRecord, Measurement, Outcome, State, Store
from headwater.registry import Score
from headwater.registry.evidence.pool import pooled
from tests.leaderboard.synthetic import BEGAN, run_record, source, task

PARTS = {"net/a": (3.0, 0.2), "net/b": (1.0, 0.9), "net/c": (2.0, 0.4), "scratch/net": (-1.0, 0.3)}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "s.duckdb")
    store.begin_run(run_record())
    store.put_cards([source(name, random=name == "scratch/net") for name in PARTS], [task("t")], {})
    return store


def put(store, identity, name, values, estimator="etran", size="full", seed=None, after=0):
    store.plan(
        "run-1",
        [JobRecord(identity, "estimate", name, "t", estimator, size=size, seed=seed, protocol="s")],
    )
    metrics = tuple(Measurement("train", part, value) for part, value in values.items())
    started = BEGAN + timedelta(minutes=after)
    store.record(
        [
            Outcome(
                identity, State.DONE, started=started, seconds=0.1, train_images=50, metrics=metrics
            )
        ]
    )


def scores(store):
    return dict(store.sql("SELECT source, score FROM estimates").rows)


def expected():
    parts = {
        name: Score(0.0, "", {"energy": energy, "lda": lda})
        for name, (energy, lda) in PARTS.items()
    }
    return {name: pytest.approx(float(score)) for name, score in pooled(parts).items()}


def test_a_pooled_score_is_what_the_pool_makes_of_it(store):
    for name, (energy, lda) in PARTS.items():
        put(store, name, name, {"energy": energy, "lda": lda}, size="150", seed=0)
    assert scores(store) == expected()


def test_at_full_size_random_sources_are_in_the_pool_of_those_that_need_no_seed(store):
    for name, (energy, lda) in PARTS.items():
        put(
            store,
            name,
            name,
            {"energy": energy, "lda": lda},
            seed=0 if name == "scratch/net" else None,
        )
    assert scores(store) == expected()


def test_of_an_estimator_that_was_edited_in_between_the_last_score_counts(store):
    put(store, "old", "net/a", {"score": 9.0}, "mine")
    put(store, "new", "net/a", {"score": 1.0}, "mine", after=5)
    assert store.sql("SELECT job, score FROM estimates").rows == [("new", 1.0)]


def test_scores_of_an_older_pooled_estimator_are_in_no_pool(store):
    put(store, "old", "net/a", {"energy": 100.0, "lda": 100.0})
    for at, (name, (energy, lda)) in enumerate(PARTS.items(), 1):
        put(store, name, name, {"energy": energy, "lda": lda}, after=at)
    assert scores(store) == expected()
