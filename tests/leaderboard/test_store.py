"""The store keeps what it is given, shares its file, and says clearly why it cannot."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from headwater.leaderboard import CurvePoint, JobRecord, Measurement, Outcome, State, Store
from headwater.leaderboard.store import connection as opening
from headwater.leaderboard.store import file as writing
from headwater.leaderboard.store.file import StoreFile
from headwater.leaderboard.store.statements import HOME, VIEWS
from headwater.registry.errors import (
    NewerStore,
    NotAStore,
    StoreBusy,
    StoreError,
    StoreMissing,
    StoreUnwritable,
    UnknownName,
)
from tests.facts import missing_facts
from tests.leaderboard.synthetic import SCRATCH, done, grid_store, job, run_record, store_of

HOLD = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(float(sys.argv[2]))"


def hold(path: Path, seconds: float) -> subprocess.Popen:
    """Another process that holds the file's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def store(tmp_path):
    return store_of(tmp_path / "s.duckdb", [job("a", SCRATCH)], [])


def test_a_store_cut_short_says_what_to_do(store):
    store.path.write_bytes(store.path.read_bytes()[:3000])
    with pytest.raises(StoreError, match="could not be read") as raised:
        store.states()
    assert "put back a copy" in raised.value.hint


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(NotAStore, match="is a folder"):
        Store(tmp_path).states()


def test_an_outcome_comes_back_as_it_was_recorded(store):
    store.record(
        [
            done(
                "a",
                0.5,
                device="cpu",
                images=640,
                peak_memory_mb=12.5,
                log="logs/a",
                choice={"epoch": 3},
                artifacts={"checkpoint": "ab/c"},
                curves=(CurvePoint(1, "train", "loss", 2.0), CurvePoint(2, "train", "loss", 1.0)),
            )
        ]
    )
    row = store.sql(
        "SELECT state, seconds, images, peak_memory_mb, device, train_images, choice->>'epoch', run, attempts FROM jobs"
    ).rows
    assert row == [("done", 2.0, 640, 12.5, "cpu", 50, "3", "run-1", 1)]
    assert store.sql("FROM metrics ORDER BY ALL").rows == [
        ("a", "test", "accuracy", 0.5),
        ("a", "validation", "accuracy", 0.51),
    ]
    assert store.sql("FROM curves ORDER BY ALL").rows == [
        ("a", 1, "train", "loss", 2.0),
        ("a", 2, "train", "loss", 1.0),
    ]
    assert store.states()["a"].artifacts == {"checkpoint": "ab/c"}
    assert str(store.sql("SELECT started FROM jobs").rows[0][0]) == "2026-03-01 00:00:00"


def test_a_second_outcome_replaces_the_first_and_counts_the_attempt(store):
    store.record([Outcome("a", State.FAILED, "out of memory", "OutOfMemoryError")])
    store.record([done("a", 0.4)])
    store.record([done("a", 0.6)])
    assert store.sql("SELECT value FROM metrics WHERE split = 'test'").rows == [(0.6,)]
    assert (
        store.states()["a"].state,
        store.states()["a"].reason,
        store.states()["a"].attempts,
    ) == (State.DONE, "", 3)


def test_a_job_cannot_enter_a_state_that_its_state_forbids(store):
    store.record([done("a", 0.4)])
    with pytest.raises(StoreError, match=r"is done .* failed"):
        store.record([Outcome("a", State.FAILED)])
    assert store.states()["a"].state is State.DONE


def test_a_job_that_was_never_planned_is_refused_and_takes_its_batch_with_it(store):
    with pytest.raises(StoreError, match="b was never planned"):
        store.record([done("a", 0.4), done("b", 0.4)])
    assert store.states()["a"].state is State.PLANNED


def test_planning_again_leaves_finished_jobs_and_resets_those_asked_for(store):
    jobs = [job(name, SCRATCH, seed=number) for number, name in enumerate("abcd")]
    store.plan("run-1", jobs)
    store.record([done("a", 0.1), done("b", 0.2), Outcome("c", State.INTERRUPTED)])
    store.begin_run(run_record("run-2"))
    store.plan("run-2", jobs, reset={"b"})
    found = dict(store.sql("SELECT job, state || ' ' || run FROM jobs").rows)
    assert found == {
        "a": "done run-1",
        "b": "planned run-2",
        "c": "planned run-2",
        "d": "planned run-2",
    }


def test_history_holds_the_cost_of_done_jobs_only(store):
    store.plan("run-1", [JobRecord("p", "pretrain", SCRATCH, "x+y"), job("b", SCRATCH, seed=1)])
    store.record(
        [
            done("a", 0.1, seconds=7.0, images=100),
            Outcome("p", State.DONE, seconds=60.0),
            Outcome("b", State.FAILED, seconds=1.0),
        ]
    )
    known = ("resnet18", None)  # the card's architecture; this run's spec says no image size
    expected = {
        ("adapt", SCRATCH, "t", "fine_tune", "50", 7.0, 100, *known),
        ("pretrain", SCRATCH, "x+y", "", "", 60.0, 0, *known),
    }
    assert {tuple(spent) for spent in store.history()} == expected


def test_a_run_ends_in_its_state(store):
    store.end_run("run-1", State.INTERRUPTED)
    name, state, ended, torch = store.sql(
        "SELECT name, state, ended, packages->>'torch' FROM runs"
    ).rows[0]
    assert (name, state, torch) == ("synthetic", "interrupted", "2.9")
    assert ended is not None


def test_a_batch_of_outcomes_is_one_transaction_of_as_many_statements_as_one(tmp_path, monkeypatch):
    jobs = [job(str(n), SCRATCH, seed=n) for n in range(100)]
    store = store_of(tmp_path / "s.duckdb", jobs, [])
    batches = []
    write = writing.run_over

    def counted(connection, name, tables):
        batches.append({table: rows.num_rows for table, rows in tables.items()})
        write(connection, name, tables)

    monkeypatch.setattr(writing, "run_over", counted)
    metrics = tuple(Measurement("test", f"m{n}", 0.5) for n in range(5))
    curves = tuple(CurvePoint(n, "train", "loss", 0.5) for n in range(30))
    store.record([done(str(n), 0, metrics=metrics, curves=curves) for n in range(100)])
    (batch,) = batches
    assert (batch["outcomes"], batch["new_metrics"], batch["new_curves"]) == (100, 500, 3000)
    counts = "SELECT (SELECT count(*) FROM metrics), (SELECT count(*) FROM curves)"
    assert store.sql(counts).rows == [(500, 3000)]


def test_files_lie_beside_the_store():
    assert Store("runs/headwater.duckdb").files == Path("runs/headwater-files")


# -- the file ---------------------------------------------------------------------------------------------


def test_making_a_store_object_opens_and_makes_nothing(tmp_path):
    Store(tmp_path / "deep" / "s.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_reading_a_store_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreMissing) as caught:
        Store(tmp_path / "s.duckdb").sql("FROM gains")
    assert caught.value.message == f"No store here yet ({tmp_path / 's.duckdb'})."
    commands = ("headwater run quickstart", "--store FILE.duckdb")
    assert missing_facts(caught.value.hint, *commands) == []


@pytest.mark.parametrize("content", [b"hello", b"", b"SQLite format 3\x00" * 1000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "s.duckdb"
    path.write_bytes(content)
    for use in (lambda store: store.sql("SELECT 1"), lambda store: store.begin_run(run_record())):
        with pytest.raises(NotAStore, match="is not a Headwater store"):
            use(Store(path))
    assert path.read_bytes() == content


def test_a_folder_or_anothers_database_is_not_a_store(tmp_path):
    with duckdb.connect(str(tmp_path / "other.duckdb")) as other:
        other.execute("CREATE TABLE mine (a INTEGER)")
    for path in (tmp_path, tmp_path / "other.duckdb"):
        with pytest.raises(NotAStore):
            Store(path).begin_run(run_record())
    with duckdb.connect(str(tmp_path / "other.duckdb")) as other:
        assert other.execute("SHOW TABLES").fetchall() == [("mine",)]


def test_a_store_from_a_newer_version_is_refused_and_left_alone(store):
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    before = store.path.read_bytes()
    for use in (lambda store: store.states(), lambda store: store.plan("run-1", [])):
        with pytest.raises(NewerStore) as caught:
            use(Store(store.path))
        assert "pip install --upgrade headwater" in caught.value.hint
    assert store.path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnwritable, match="could not be opened"):
        Store(tmp_path / "file" / "s.duckdb").begin_run(run_record())


def test_a_full_disk_ends_as_a_clear_error_and_keeps_what_was_committed(store):
    script = (
        "import resource, sys; from headwater.leaderboard import Store; from headwater.registry.errors import StoreUnwritable\n"
        "from tests.leaderboard.synthetic import *\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "import os; size = os.path.getsize(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
        "try: Store(sys.argv[1]).plan('run-1', [job(str(n) * 50, SCRATCH, seed=n) for n in range(20_000)])\n"
        "except StoreUnwritable as error: print('unwritable:', error.hint)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(store.path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert ran.stdout.startswith("unwritable: Free some space"), ran.stderr
    assert set(store.states()) == {"a"}


def test_a_reader_waits_for_a_writer_that_is_soon_done(store):
    process = hold(store.path, 0.5)
    assert store.sql("SELECT count(*) FROM jobs").rows == [(1,)]
    process.wait()


def test_a_writer_names_the_process_that_does_not_let_go(store, monkeypatch):
    monkeypatch.setattr(opening, "MAX_PAUSE_SECONDS", 0.02)
    process = hold(store.path, 30)
    try:
        with (
            pytest.raises(StoreBusy, match=rf"held by python.* \(process {process.pid}\)"),
        ):
            store.commit_pending(patience=0.1)
    finally:
        process.kill()
        process.wait()


def test_two_readers_read_at_once(store):
    first, second = StoreFile(store.path), StoreFile(store.path)
    query = "SELECT count(*) FROM jobs"
    with first.reading() as one, second.reading() as two:
        assert one.execute(query).fetchall() == two.execute(query).fetchall() == [(1,)]


def test_cards_are_kept_for_joins_and_the_latest_wins(tmp_path):
    store = grid_store(tmp_path / "s.duckdb", seeds=1)
    from tests.leaderboard.synthetic import IMAGENET, source

    store.put_cards([source(IMAGENET, domain="aerial", pretrained_on=("imagenet",))], [], {})
    assert store.sql(
        f"SELECT domain, pretrained_on, scratch FROM source_models WHERE name = '{IMAGENET}'"
    ).rows == [("aerial", ["imagenet"], None)]
    assert store.sql(
        "SELECT contained_in FROM domains WHERE domain = 'sketches' ORDER BY ALL"
    ).rows == [("drawings",), ("web",)]
    assert store.sql("SELECT chain_tasks FROM source_models WHERE len(chain_tasks) > 1").rows == [
        (["alphadigits", "usps"],)
    ]


def test_a_job_that_fails_when_it_is_run_again_keeps_what_it_measured_before(store):
    store.record([done("a", 0.5)])
    store.plan("run-1", [job("a", SCRATCH)], reset={"a"})
    store.record([Outcome("a", State.FAILED, "no memory")])
    assert store.sql("SELECT value FROM metrics WHERE job = 'a' AND split = 'test'").rows == [
        (0.5,)
    ]
    assert store.sql("SELECT count(*) FROM cells WHERE job = 'a'").rows == [(0,)]


# -- asking -----------------------------------------------------------------------------------------------


def test_metrics_come_by_job_split_and_metric(store):
    store.record([done("a", 0.5)])
    expected = {"test": {"accuracy": 0.5}, "validation": {"accuracy": 0.51}}
    assert store.metrics(["a", "unknown"]) == {"a": expected}
    assert store.metrics([]) == {}


def test_a_job_is_found_by_the_start_of_its_identity(tmp_path):
    jobs = [job("ab1", SCRATCH), job("ab2", SCRATCH, seed=1)]
    outcome = done("ab1", 0.5, choice={"epoch": 3}, artifacts={"predictions": "ab/1"})
    store = store_of(tmp_path / "s.duckdb", jobs, [outcome])
    found = store.job("ab1")
    assert (found.row["job"], found.row["state"], found.epoch) == ("ab1", "done", 3)
    assert found.artifacts == {"predictions": "ab/1"}
    assert found.spec == {"seeds": 3}
    assert store.job("ab2").artifacts == {}
    for start in ("ab", "b", "a'b"):
        with pytest.raises(UnknownName) as caught:
            store.job(start)
        assert caught.value.subject == start


def test_several_frames_come_from_one_opening_and_get_the_parameters_they_name(store, monkeypatch):
    store.record([done("a", 0.5)])
    openings = []
    reading = StoreFile.reading

    def counted(file, settings=None):
        openings.append(file.path)
        return reading(file, settings)

    monkeypatch.setattr(StoreFile, "reading", counted)
    cells, unpaired, estimates = store.frames(
        "cells", "cells_without_gain", "judged_estimates", reference="scratch"
    )
    assert openings == [store.path]
    assert cells["value"].tolist() == [0.5]
    assert (len(unpaired), len(estimates)) == (0, 0)


def test_no_query_has_the_name_of_a_view():
    names = {path.stem for path in (HOME / "sql").glob("*.sql")}
    assert names & set(VIEWS) == set()


def test_only_the_store_speaks_sql_and_opens_connections():
    """Everything else asks named queries; ``sql()`` is for what a person typed."""
    raw = re.compile(r"\.(reading|writing|execute)\(|\bduckdb\.|^import duckdb|\.sql\(", re.M)
    rooms = ("registry", "harness", "leaderboard", "plugins")
    root = HOME.parents[1]
    files = [path for room in rooms for path in (root / room).rglob("*.py")]
    outside = [path for path in files if path.parent != HOME]
    speaking = {str(path.relative_to(root)) for path in outside if raw.search(path.read_text())}
    assert speaking == {"harness/cli/query_verb.py"}
