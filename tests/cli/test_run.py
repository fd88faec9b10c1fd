"""``headwater run`` as a user meets it: what it says, how it ends, what it leaves behind."""

import re
import signal
import subprocess
import sys
import time

import pytest

import headwater as hw
from headwater.leaderboard.store.records import State
from tests.cli.headwater_command import run_headwater
from tests.cli.process import command
from tests.harness.toy import PLUGIN


@pytest.mark.slow
def test_an_interrupted_driver_loses_nothing_that_was_recorded_and_the_next_run_continues(tmp_path):
    (tmp_path / "b.toml").write_text(toml(seeds=40, epochs=30))
    process = subprocess.Popen(
        [sys.executable, "-m", "headwater", "run", "b.toml", "--executor", "inline"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a shell's background jobs ignore it
    )
    store = hw.Store(tmp_path / "bench.duckdb")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (tmp_path / "bench.duckdb").exists() and sum(
            s.state is State.DONE for s in store.states().values()
        ) >= 3:
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    before = {job for job, found in store.states().items() if found.state is State.DONE}
    assert 3 <= len(before) < 80
    rest = command(tmp_path, "run", "b.toml", "--executor", "inline")
    assert rest.returncode == 0, rest.stderr
    assert f"{80 - len(before)} done" in rest.stderr


def toml(seeds, epochs):
    plugin = str(PLUGIN)
    return (
        f'sources = ["toy/fixed"]\ntasks = ["toy/shades"]\nsizes = [12]\nseeds = {seeds}\nimage_size = 8\nstore = "bench.duckdb"\n'
        'references = ["scratch", "base"]\n'
        f'plugins = ["{plugin}"]\n[training]\nepochs = {epochs}\nbatch_size = 4\n'
    )


def test_mistakes_end_with_status_2_a_message_and_no_traceback(tmp_path):
    (tmp_path / "b.toml").write_text(
        'sources = ["toy/fixd"]\ntasks = ["toy/shades"]\n' + f'plugins = ["{PLUGIN}"]\n'
    )
    for words, said in (
        (("run", "b.toml"), "Did you mean toy/fixed?"),
        (("run", "nothing.toml"), "there is no spec at nothing.toml"),
        (("run", "b.toml", "--epochs", "none"), "training.epochs = 'none'"),
        (("run", "b.toml", "--plugin", "gone.py"), "there is no plugin at gone.py"),
        (("leaderboard",), "No store here yet"),
        (("runn",), "Did you mean run?"),
    ):
        answer = command(tmp_path, *words)
        assert answer.returncode == 2, answer.stderr
        assert said in answer.stderr
        assert "Traceback" not in answer.stderr


def test_a_store_that_is_not_one_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "s.duckdb").write_text("notes on my holiday")
    answer = command(
        tmp_path,
        "run",
        "--sources",
        "toy/fixed",
        "--tasks",
        "toy/shades",
        "--plugin",
        PLUGIN,
        "--store",
        "s.duckdb",
    )
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert (tmp_path / "s.duckdb").read_text() == "notes on my holiday"


def test_a_dry_run_says_what_would_run_and_writes_nothing(tmp_path):
    (tmp_path / "b.toml").write_text(toml(seeds=2, epochs=1))
    answer = command(tmp_path, "run", "b.toml", "--dry-run")
    assert answer.returncode == 0
    assert "cells  new 4" in answer.stderr
    assert not (tmp_path / "bench.duckdb").exists()


def test_a_failed_cell_ends_the_command_with_status_1_and_how_to_retry(tmp_path):
    (tmp_path / "b.toml").write_text(toml(seeds=1, epochs=1))
    answer = command(
        tmp_path, "run", "b.toml", "--executor", "inline", "--adaptations", "fine_tune,toy/explodes"
    )
    assert answer.returncode == 1
    assert (
        answer.stderr.count("the loss became nan") == 2
    )  # when it first happened, and at the end for both
    assert re.search(r"explodes · n=12 · seed 0 and 1 more: .*\bnan\b", answer.stderr)
    assert (
        "retry: headwater run b.toml --executor inline --adaptations fine_tune,toy/explodes --rerun failed"
        in answer.stderr
    )
    listed = command(tmp_path, "status", "--failed", "--store", "bench.duckdb", "--format", "json")
    assert listed.returncode == 0
    assert "TrainingError" in listed.stdout
    summary = command(tmp_path, "status", "--store", "bench.duckdb", "--format", "csv")
    assert "failed,adapt,2" in summary.stdout
    again = command(
        tmp_path, "run", "b.toml", "--executor", "inline", "--adaptations", "fine_tune,toy/explodes"
    )
    assert again.returncode == 1  # what failed is still failed, and is said again


def test_where_nothing_applied_nothing_is_said_to_be_next(tmp_path, capsys):
    (tmp_path / "b.toml").write_text(
        'sources = ["toy/fixed"]\ntasks = ["toy/shades"]\nadaptations = ["dann"]\nreferences = []\n'
    )
    answer = run_headwater(
        capsys,
        "run",
        tmp_path / "b.toml",
        "--plugin",
        PLUGIN,
        "--executor",
        "inline",
        "--store",
        tmp_path / "s.duckdb",
    )
    assert (answer.status, "next:" in answer.err) == (1, False)
    assert re.search("dann needs a chain.*: toy/fixed", answer.err)


def test_an_option_wins_over_the_environment_and_that_over_the_file(tmp_path):
    (tmp_path / "b.toml").write_text(toml(seeds=3, epochs=1))
    assert "cells  new 6" in command(tmp_path, "run", "b.toml", "--dry-run").stderr
    assert (
        "cells  new 4"
        in command(tmp_path, "run", "b.toml", "--dry-run", HEADWATER_SEEDS="2").stderr
    )
    assert (
        "cells  new 2"
        in command(
            tmp_path, "run", "b.toml", "--dry-run", "--seeds", "1", HEADWATER_SEEDS="2"
        ).stderr
    )


def test_a_second_run_of_a_finished_benchmark_starts_neither_ray_nor_torch(tmp_path):
    (tmp_path / "b.toml").write_text(toml(seeds=1, epochs=1))
    assert command(tmp_path, "run", "b.toml", "--executor", "inline").returncode == 0
    code = (
        "import sys, headwater.harness.cli; sys.argv[1:] = ['run', 'b.toml']\n"
        "try: headwater.harness.cli.main()\n"
        "except SystemExit as end: print(end.code, sorted({'ray', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.stdout.strip() == "0 []", done.stderr


@pytest.mark.slow
@pytest.mark.ray
def test_a_run_joins_a_cluster_by_its_address(tmp_path):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        (tmp_path / "b.toml").write_text(toml(seeds=1, epochs=1))
        answer = command(tmp_path, "run", "b.toml", "--address", cluster.address)
        assert answer.returncode == 0, answer.stderr
        assert "2 done" in answer.stderr
    finally:
        cluster.shutdown()
