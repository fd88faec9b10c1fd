"""Runs: what is recorded, what a second run does again, and what one failure costs the rest."""

from dataclasses import replace

import pytest

import headwater as hw
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.running.run import Control, Session, compare_with_store, execute
from headwater.leaderboard.store.records import State
from headwater.registry import Registry
from tests.harness.toy import PLUGIN, keys

INLINE = Control(executor="inline")


def run(tmp_path, control=INLINE, **changes):
    return hw.run(keys(**changes), store=tmp_path / "s.duckdb", control=control)


def states(tmp_path):
    return {found.state for found in hw.Store(tmp_path / "s.duckdb").states().values()}


def test_a_run_stores_gains_that_agree_with_their_parts(tmp_path):
    report = run(tmp_path, seeds=2, sizes=[12, "full"], adaptations=["fine_tune", "linear_probe"])
    assert report.count(State.FAILED) == 0
    rows = report.store.sql(
        "SELECT source, adaptation, size, train_size, value, reference_value, gain_abs FROM gains"
    ).rows
    assert len(rows) == 8
    for source, _, size, train_size, value, reference, gain in rows:
        assert source == "toy/fixed"
        assert train_size == (60 if size == "full" else 12)
        assert gain == pytest.approx(value - reference)


def test_the_same_command_again_runs_nothing(tmp_path):
    run(tmp_path)
    again = run(tmp_path)
    assert again.outcomes == []


def test_adding_to_a_spec_runs_only_what_is_new(tmp_path):
    run(tmp_path, seeds=1)
    more = run(tmp_path, seeds=2)
    assert more.count(State.DONE) == 2  # one cell and its reference


def test_images_are_decoded_and_features_extracted_once_whoever_asks(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWATER_CACHE", str(tmp_path / "cache"))
    report = run(tmp_path, seeds=2, adaptations=["fine_tune", "linear_probe"])
    assert sum(outcome.decoded for outcome in report.outcomes) == 90  # 60 to train, 30 to test
    made = {
        row[0]: row[1:]
        for row in report.store.sql("SELECT work, made, again, used_by FROM work").rows
    }
    assert made == {"decoding": (90, None, 11), "features": (3, 0, 4), "pretraining": (0, 0, 0)}


def test_an_interrupted_run_continues_where_it_was(tmp_path):
    run(tmp_path, seeds=2, control=Control(executor="inline", limit=1))
    rest = run(tmp_path, seeds=2)
    assert rest.count(State.DONE) == 3


def test_failures_stay_until_asked_for_again(tmp_path):
    changes = {"adaptations": ["toy/explodes", "fine_tune"]}
    first = run(tmp_path, **changes)
    assert (first.count(State.FAILED), first.count(State.DONE)) == (2, 2)
    assert run(tmp_path, **changes).outcomes == []
    retried = run(tmp_path, control=Control(executor="inline", rerun="failed"), **changes)
    assert retried.count(State.FAILED) == 2
    assert run(tmp_path, control=Control(executor="inline", rerun="none"), seeds=3).outcomes == []


def test_rerun_all_measures_everything_anew_and_the_same(tmp_path):
    first = run(tmp_path)
    again = run(tmp_path, control=Control(executor="inline", rerun="all"))
    assert {o.job: o.metrics for o in first.outcomes} == {o.job: o.metrics for o in again.outcomes}


def test_fail_fast_and_max_failures_end_the_run_early(tmp_path):
    changes = {"adaptations": ["toy/explodes"], "seeds": 4}
    stopped = run(tmp_path, control=Control(executor="inline", fail_fast=True), **changes)
    assert (len(stopped.failures), "fail-fast" in stopped.stopped) == (1, True)
    stopped = run(tmp_path, control=Control(executor="inline", max_failures=2), **changes)
    assert (len(stopped.failures), "max-failures" in stopped.stopped) == (3, True)


def test_a_run_past_its_deadline_ends_and_the_next_one_continues(tmp_path):
    stopped = run(tmp_path, control=Control(executor="inline", deadline=0.0), seeds=2)
    assert "time budget" in stopped.stopped and stopped.count(State.DONE) == 0
    assert run(tmp_path, seeds=2).count(State.DONE) == 4


def test_several_runs_share_the_executor_of_a_session(tmp_path):
    spec, other = (Spec.of(keys(store=str(tmp_path / "s.duckdb"), seeds=seeds)) for seeds in (1, 2))
    registry = Registry.discover([PLUGIN])
    with Session() as session:
        execute(compare_with_store(plan(spec, registry), INLINE), INLINE, _Silent(), session)
        executor = session.executor(compare_with_store(plan(other, registry), INLINE), INLINE)
        assert (
            execute(
                compare_with_store(plan(other, registry), INLINE), INLINE, _Silent(), session
            ).count(State.DONE)
            == 2
        )
        assert (
            session.executor(compare_with_store(plan(other, registry), INLINE), INLINE) is executor
        )
        assert not executor.worker.stopping.is_set()
    assert executor.worker.stopping.is_set()


def test_a_lost_checkpoint_is_trained_again(tmp_path):
    chain = {"sources": ["chain[base=toy/random,on=toy/halves]"]}
    run(tmp_path, **chain)
    for file in (tmp_path / "s-files" / "checkpoints").iterdir():
        file.unlink()
    assert run(tmp_path, seeds=2, **chain).count(State.FAILED) == 0


def test_a_plan_is_held_against_the_store_without_writing_it(tmp_path):
    spec = Spec.of(keys(store=str(tmp_path / "s.duckdb")))
    standing = compare_with_store(plan(spec, Registry.discover([PLUGIN])), INLINE)
    assert standing.cells["new"] == 2
    assert not (tmp_path / "s.duckdb").exists()
    execute(standing, INLINE, _Silent())
    standing = compare_with_store(plan(spec, Registry.discover([PLUGIN])), INLINE)
    assert (standing.cells["done"], standing.cells["new"]) == (2, 0)


class _Silent:
    def begin(self, jobs, slots): ...

    def see(self, event): ...

    def end(self): ...


def test_without_an_address_a_ray_of_another_is_not_joined(monkeypatch):
    import ray

    from headwater.harness.running.executors.ray import connect

    asked = {}
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: asked.update(options))
    assert connect(None) and asked["address"] == "local" and asked["num_cpus"]
    assert connect("auto") and asked["address"] == "auto"


@pytest.mark.ray
@pytest.mark.slow
class TestOnRay:
    """The same jobs on Ray's workers; one Ray for all of these."""

    def test_ray_measures_what_the_inline_executor_measures(self, tmp_path, ray_session):
        changes = {
            "sources": ["chain[base=toy/random,on=toy/halves]", "toy/fixed"],
            "adaptations": ["fine_tune", "linear_probe"],
        }
        query = "SELECT job, metric, split, value FROM metrics ORDER BY ALL"
        inline = run(tmp_path / "a", **changes).store.sql(query).rows
        ray = run(tmp_path / "b", control=Control(), **changes).store.sql(query).rows
        assert inline == ray
        assert len(inline) > 20

    def test_a_killed_worker_is_tried_again_and_then_a_failure_row(self, tmp_path, ray_session):
        report = run(
            tmp_path,
            control=Control(retries=1),
            adaptations=["toy/dies", "fine_tune"],
            references=[],
        )
        failed = {(o.error, "lost 2 times" in o.reason) for o in report.failures}
        assert failed == {("JobLost", True)}
        assert report.count(State.DONE) >= 1

    def test_a_job_past_its_time_limit_is_ended_and_the_rest_goes_on(self, tmp_path, ray_session):
        report = run(
            tmp_path,
            control=Control(timeout=30),
            adaptations=["toy/sleeps", "fine_tune"],
            references=[],
        )
        assert [(o.error, o.reason) for o in report.failures] == [
            ("JobTimeout", "took more than 30 s")
        ]
        assert report.count(State.DONE) == 1


def test_cards_made_in_a_session_run_without_a_file(tmp_path):
    registry = Registry.discover([PLUGIN])

    card = replace(registry.task("toy/shades"), name="session/shades")
    report = hw.run(
        keys(tasks=["session/shades"]), store=tmp_path / "s.duckdb", plugins=[card], control=INLINE
    )
    assert report.count(State.DONE) == 2


@pytest.mark.ray
@pytest.mark.slow
def test_workers_read_paths_from_where_the_command_was_typed(tmp_path, ray_session, monkeypatch):
    (tmp_path / "own.py").write_text(PLUGIN.read_text())
    monkeypatch.chdir(tmp_path)
    report = hw.run(keys(plugins=["own.py"], references=[]), store="s.duckdb")
    assert [outcome.state for outcome in report.outcomes] == [State.DONE]


def test_a_missing_weights_file_fails_the_cells_of_its_source_alone(tmp_path):
    fixed = Registry.discover([PLUGIN]).source("toy/fixed")
    bad = replace(fixed, name="own/bad", weights=str(tmp_path / "no.safetensors"), origin="")
    of_option = f"timm/test_resnet[weights={tmp_path}/no.pth]"
    spec = keys(sources=["own/bad", of_option, "toy/fixed"], references=[])
    store = tmp_path / "s.duckdb"
    report = hw.run(spec, store=store, plugins=[bad], control=INLINE)
    states = {
        row[0]: (row[1], row[2])
        for row in report.store.sql("SELECT source, state, reason FROM jobs").rows
    }
    assert states["toy/fixed"][0] == "done"
    for source in ("own/bad", of_option):
        state, reason = states[source]
        assert state == "failed"
        assert "weights file" in reason and str(tmp_path) in reason
