"""Nothing that was added to the recorder is lost, whatever happens to the store or the driver."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headwater.leaderboard import (
    CurvePoint,
    Measurement,
    Outcome,
    Recorder,
    State,
    Store,
    Trial,
)
from headwater.leaderboard.store import journal
from headwater.registry import Reading
from headwater.registry.errors import StoreBusy, StoreUnwritable
from tests.leaderboard.synthetic import BEGAN, SCRATCH, done, job, store_of
from tests.leaderboard.test_store import hold


@pytest.fixture
def store(tmp_path):
    return store_of(
        tmp_path / "s.duckdb",
        [job(name, SCRATCH, seed=number) for number, name in enumerate("abc")],
        [],
    )


def pending(store: Store) -> Path:
    return journal.places(store.path)[0]


def test_outcomes_reach_the_store_on_close_and_the_journal_is_gone(store):
    with Recorder(store) as recorder:
        recorder.add(done("a", 0.5))
        assert store.states()["a"].state is State.PLANNED
    assert store.states()["a"].state is State.DONE
    assert not pending(store).exists()


def test_ticks_commit_at_most_once_a_second(store, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("headwater.leaderboard.store.recorder.time.monotonic", lambda: now[0])
    recorder = Recorder(store)
    recorder.add(done("a", 0.5))
    recorder.tick()
    assert store.states()["a"].state is State.PLANNED
    now[0] += 1.1
    recorder.tick()
    assert store.states()["a"].state is State.DONE
    assert recorder.waiting == 0


def test_a_killed_driver_loses_nothing(store):
    script = (
        "import os, signal, sys; from leaderboard import Recorder, Store; from tests.leaderboard.synthetic import done\n"
        "recorder = Recorder(Store(sys.argv[1])); recorder.add(done('a', 0.5)); recorder.add(done('b', 0.6))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(store.path)], cwd=Path(__file__).parents[2]
    )
    assert ran.returncode == -signal.SIGKILL
    store.plan("run-1", [])
    assert store.sql("SELECT job, value FROM metrics WHERE split = 'test' ORDER BY ALL").rows == [
        ("a", 0.5),
        ("b", 0.6),
    ]


def test_a_driver_killed_while_taking_the_journal_in_loses_nothing(store):
    journal.append(store.path, done("a", 0.5))
    pending(store).rename(pending(store).with_name(pending(store).name + ".taken"))
    journal.append(store.path, done("b", 0.6))
    store.plan("run-1", [])
    assert [state.state for state in store.states().values()].count(State.DONE) == 2
    assert list(store.path.parent.glob("*.jsonl*")) == []


def test_a_commit_that_fails_leaves_the_journal_for_the_next_writer(store, monkeypatch):
    journal.append(store.path, done("a", 0.5))
    with monkeypatch.context() as broken:
        broken.setattr("headwater.leaderboard.store.file.outcome_tables", lambda outcomes: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.plan("run-1", [])
    store.plan("run-1", [])
    assert store.states()["a"].state is State.DONE


def test_a_busy_store_gets_its_outcomes_later(store, monkeypatch):
    monkeypatch.setattr("headwater.leaderboard.store.recorder.WRITER_PATIENCE", 0.05)
    process = hold(store.path, 30)
    recorder = Recorder(store)
    recorder.add(done("a", 0.5))
    with pytest.raises(StoreBusy) as caught:
        recorder.close()
    process.kill()
    process.wait()
    assert f"1 outcomes are safe in {pending(store)}" in caught.value.hint
    assert isinstance(recorder.problem, StoreBusy)
    recorder.close()
    assert (recorder.problem, store.states()["a"].state) == (None, State.DONE)


def test_outcomes_of_a_folder_that_cannot_be_written_wait_in_the_temporary_folder(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "refuge"))
    home = tmp_path / "home"
    store = store_of(home / "s.duckdb", [job("a", SCRATCH)], [])
    home.rename(tmp_path / "elsewhere")
    home.write_text("a file where the folder was: nothing can be made in it")
    recorder = Recorder(store)
    recorder.add(done("a", 0.5))
    with pytest.raises(StoreUnwritable, match="could not be opened") as caught:
        recorder.close()
    assert str(tmp_path / "refuge") in caught.value.hint
    home.unlink()
    (tmp_path / "elsewhere").rename(home)
    store.plan("run-1", [])
    assert store.states()["a"].state is State.DONE


def test_what_the_store_refuses_and_lines_cut_short_are_set_aside_not_dropped(store):
    store.record([done("a", 0.5)])
    journal.append(store.path, Outcome("a", State.INTERRUPTED))
    journal.append(store.path, done("unplanned", 0.1))
    with pending(store).open("a") as file:
        file.write('{"job": "b", "sta')
    store.plan("run-1", [])
    refused = (store.path.parent / "s.duckdb.refused.jsonl").read_text()
    assert re.search("is done .* interrupted", refused)
    assert "job unplanned was never planned" in refused
    assert '{"job": "b", "sta' in refused
    assert store.states()["a"].state is State.DONE


def test_an_outcome_survives_the_journal_unchanged(store):
    outcome = Outcome(
        "a",
        State.DONE,
        "why",
        "Error",
        "log",
        BEGAN,
        1.5,
        3,
        2.5,
        "cpu",
        50,
        (Measurement("test", "accuracy", 0.1 + 0.2),),
        (CurvePoint(1, "train", "loss", float("inf")),),
        {"features": "x"},
        {"alpha": 0.1, "kernel": None},
        (Reading("P-T/RI-T", "cka", 0.25, "stage 1"),),
        (Trial(0, {"learning_rate": 0.1}, 3, 0.5, 1.25, "finished", True),),
        7,
    )
    journal.append(store.path, outcome)
    (waiting,) = journal.waiting(store.path)
    assert list(waiting.outcomes) == [outcome]


def test_numpy_numbers_pass_through_the_journal(store):
    journal.append(
        store.path, done("a", np.float32(0.5), images=np.int64(3), choice={"k": np.int32(2)})
    )
    store.plan("run-1", [])
    assert store.sql("SELECT images, choice->>'k' FROM jobs WHERE job = 'a'").rows == [(3, "2")]


def test_a_journal_of_another_user_is_not_taken_in(store, monkeypatch):
    journal.append(store.path, done("a", 0.5))
    monkeypatch.setattr(os, "getuid", lambda: store.path.stat().st_uid + 1)
    assert list(journal.waiting(store.path)) == []
