"""Bundles: cells on the same features are done together, and come to what they come to alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import headwater as hw
from headwater.harness.planning import bundle as bundling
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.running.executors.base import Finished, Running, Started
from headwater.harness.running.progress import Tally
from headwater.harness.running.run import Control
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import JobProgress, Worker
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry import Registry
from tests.harness.toy import PLUGIN, keys

PROBES = {"adaptations": ["linear_probe"], "sizes": [12, 30, "full"], "seeds": 2, "references": []}
INLINE = Control(executor="inline")


def planned(**changes: object) -> list:
    return list(
        plan(Spec.of(keys(**(PROBES | changes))), Registry.discover([PLUGIN])).jobs.values()
    )


def work(folder: Path, jobs: Sequence, together: bool) -> dict[str, Outcome]:
    worker, schedule, outcomes = Worker(folder, [PLUGIN], 1), Schedule(jobs), {}
    while (
        bundle := schedule.take_bundle()
        if together
        else tuple(job for job in [schedule.take()] if job)
    ):
        for outcome in worker.run_bundle(bundle):
            schedule.settle(outcome)
            outcomes[outcome.job] = outcome
    return outcomes


def test_cells_that_share_features_and_adaptation_go_together_and_no_others() -> None:
    jobs = planned(
        adaptations=["linear_probe", "linear_probe[classifier=ridge]", "fine_tune"],
        tasks=["toy/shades", "toy/halves"],
    )
    cells = [job for job in jobs if job.kind == "adapt"]
    schedule = Schedule(cells, done=[job.id for job in jobs if job.kind == "features"])
    bundles = []
    while bundle := schedule.take_bundle():
        bundles.append(bundle)
    assert sorted(len(bundle) for bundle in bundles) == [1] * 12 + [6] * 4
    for bundle in bundles:
        assert len({(job.features, job.record.adaptation) for job in bundle}) == 1
    assert len({job.id for bundle in bundles for job in bundle}) == 36


def test_a_bundle_waits_for_its_features_and_holds_so_many_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headwater.harness.running.schedule.MAX_JOBS_PER_BUNDLE", 4)
    schedule = Schedule(planned())
    (features,) = schedule.take_bundle()
    assert features.kind == "features"
    assert schedule.take_bundle() == ()
    schedule.settle(Outcome(features.id, State.DONE))
    assert [len(schedule.take_bundle()) for _ in range(3)] == [4, 2, 0]


def test_what_was_put_back_is_run_alone() -> None:
    schedule = Schedule(planned())
    (features,) = schedule.take_bundle()
    schedule.settle(Outcome(features.id, State.DONE))
    bundle = schedule.take_bundle()
    schedule.put_back(bundle)
    assert [len(schedule.take_bundle()) for _ in range(7)] == [1] * 6 + [0]


@pytest.mark.parametrize("classifier", ["logistic", "ridge"])
def test_cells_solved_together_come_to_what_they_come_to_alone(
    tmp_path: Path, classifier: str
) -> None:
    jobs = planned(adaptations=[f"linear_probe[classifier={classifier}]"])
    together, again, alone = (
        work(tmp_path / name, jobs, name != "alone") for name in ("together", "again", "alone")
    )
    assert {outcome.state for outcome in together.values()} == {State.DONE}
    assert together.keys() == alone.keys()
    places = {"together": together, "alone": alone}
    for job in (job for job in jobs if job.kind == "adapt"):
        assert together[job.id].metrics == again[job.id].metrics
        assert together[job.id].choice == alone[job.id].choice
        ours, other = (
            np.load(tmp_path / at / found[job.id].artifacts["predictions"])
            for at, found in places.items()
        )
        np.testing.assert_allclose(ours.astype(float), other.astype(float), atol=0.05)
        for mine, its in zip(together[job.id].metrics, alone[job.id].metrics, strict=True):
            assert mine.value == pytest.approx(its.value, abs=0.02)


def test_a_size_the_task_cannot_fill_is_skipped_alone(tmp_path: Path) -> None:
    jobs = planned(sizes=[12, 500])
    outcomes = work(tmp_path, jobs, together=True)
    states = {job.record.size: outcomes[job.id].state for job in jobs if job.kind == "adapt"}
    assert states == {"12": State.DONE, "500": State.SKIPPED}
    reasons = {outcome.reason for outcome in outcomes.values() if outcome.state is State.SKIPPED}
    assert reasons == {"toy/shades: only 60 training images, 500 asked for"}


def broken(solutions) -> hw.Adaptation:
    return replace(
        Registry.discover().adaptation("linear_probe")[0],
        name="toy/own",
        method=solutions,
        control="toy/own",
    )


@pytest.mark.parametrize(
    ("method", "error"),
    [
        (lambda cells: 1 / 0, "ZeroDivisionError"),
        (
            lambda cells: [hw.Solution(lambda rows: rows)],
            "BadPlugin",
        ),
        (
            lambda cells: hw.Solution(lambda rows: rows),
            "BadPlugin",
        ),
    ],
)
def test_a_solve_that_fails_fails_each_of_its_cells_with_the_same_reason(
    tmp_path: Path, method, error: str
) -> None:
    report = hw.run(
        keys(**(PROBES | {"adaptations": ["toy/own"], "sizes": [12, 30]})),
        store=tmp_path / "s.duckdb",
        plugins=[broken(method)],
        control=INLINE,
    )
    assert [outcome.error for outcome in report.failures] == [error] * 4
    assert len({outcome.reason for outcome in report.failures}) == 1
    assert all(
        "Traceback" in (tmp_path / "s-files" / outcome.log).read_text()
        for outcome in report.failures
    )


def test_a_solution_that_cannot_be_measured_fails_alone(tmp_path: Path) -> None:
    def method(cells):
        values = [float("nan") if len(cell.train_rows) < 15 else 0.0 for cell in cells]
        return [
            hw.Solution(lambda rows, value=value: np.full((len(rows), 3), value))
            for value in values
        ]

    report = hw.run(
        keys(**PROBES),
        adaptations=["toy/own"],
        store=tmp_path / "s.duckdb",
        plugins=[broken(method)],
        control=INLINE,
    )
    assert (len(report.failures), report.count(State.DONE)) == (2, 5)
    assert {outcome.error for outcome in report.failures} == {"TrainingError"}


def test_the_time_of_a_bundle_is_shared_out_by_images(tmp_path: Path) -> None:
    def method(cells):
        time.sleep(0.9)
        return [hw.Solution(lambda rows: np.zeros((len(rows), 3))) for _ in cells]

    changes = PROBES | {"adaptations": ["toy/own"], "sizes": [12, "full"], "seeds": 1}
    report = hw.run(
        keys(**changes), store=tmp_path / "s.duckdb", plugins=[broken(method)], control=INLINE
    )
    small, full = sorted(outcome.seconds for outcome in report.outcomes if outcome.metrics)
    assert full / small == pytest.approx(60 / 12)
    assert small + full >= 0.9, "all of the time that the method slept"
    assert bundling.share_seconds(3.0, [0, 0]) == [1.5, 1.5]


def test_a_run_that_stops_at_a_failure_keeps_what_its_bundle_measured(tmp_path: Path) -> None:
    def method(cells):
        values = [float("nan") if index == 0 else 0.0 for index in range(len(cells))]
        return [
            hw.Solution(lambda rows, value=value: np.full((len(rows), 3), value))
            for value in values
        ]

    control = Control(executor="inline", fail_fast=True)
    report = hw.run(
        keys(**PROBES),
        adaptations=["toy/own"],
        store=tmp_path / "s.duckdb",
        plugins=[broken(method)],
        control=control,
    )
    assert (len(report.failures), report.count(State.INTERRUPTED)) == (1, 0)
    assert report.count(State.DONE) == 6  # the features, and the five beside the one that failed


def test_adding_a_seed_solves_only_its_own_cells(tmp_path: Path) -> None:
    hw.run(keys(**PROBES), store=tmp_path / "s.duckdb", control=INLINE)
    more = hw.run(keys(**PROBES), seeds=3, store=tmp_path / "s.duckdb", control=INLINE)
    assert more.count(State.DONE) == 3


def test_progress_counts_the_cells_of_a_bundle() -> None:
    bundle = tuple(job for job in planned() if job.kind == "adapt")
    tally = Tally(bundle)
    tally.see(Started(bundle, 0))
    tally.see(Running({0: (bundle, JobProgress())}))
    tally.see(Finished(bundle, 0, [Outcome(job.id, State.DONE) for job in bundle]))
    assert (tally.settled, tally.total, tally.running) == (6, 6, {})
    assert (
        bundling.bundle_label(bundle)
        == "toy/fixed → toy/shades · linear_probe · n=12 · seed 0 and 5 more"
    )


@pytest.mark.ray
@pytest.mark.slow
class TestOnRay:
    def test_a_bundle_whose_worker_is_lost_is_done_cell_by_cell(
        self, tmp_path: Path, ray_session: None
    ) -> None:
        report = hw.run(
            keys(**PROBES),
            adaptations=["toy/dies_of_large"],
            store=tmp_path / "s.duckdb",
            control=Control(retries=0),
        )
        assert [
            (outcome.error, "lost 1 times" in outcome.reason) for outcome in report.failures
        ] == [("JobLost", True)] * 2
        assert report.count(State.DONE) == 5

    def test_a_bundle_that_is_late_is_done_cell_by_cell(
        self, tmp_path: Path, ray_session: None
    ) -> None:
        changes = PROBES | {
            "adaptations": ["toy/sleeps_over_large"],
            "sizes": [12, "full"],
            "seeds": 1,
        }
        # Twenty seconds for what takes milliseconds: only the cell that sleeps may be late, also on a
        # machine that is busy; twice that is still less than it sleeps.
        control = Control(timeout=20)
        report = hw.run(keys(**changes), store=tmp_path / "s.duckdb", control=control)
        assert [outcome.error for outcome in report.failures] == ["JobTimeout"]
        assert report.count(State.DONE) == 2
