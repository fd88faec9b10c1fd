import json

import pytest
from click.testing import CliRunner

from headwater.harness.cli.status_verb import command
from tests.leaderboard.synthetic import grid_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(grid_store(tmp_path_factory.mktemp("status") / "s.duckdb").path)


def status(*arguments):
    return CliRunner(env={"COLUMNS": "100"}).invoke(command, arguments)


def test_it_counts_jobs_and_what_was_made_once_and_shared(store):
    lines = [line.split() for line in status("--store", store).stdout.splitlines()]
    assert ["done", "adapt", "142"] in [line[:3] for line in lines]
    assert ["failed", "adapt", "2"] in [line[:3] for line in lines]
    assert ["chains", "trained", "0", "0", "0", "0.0", "70"] in lines


def test_json_stays_one_table(store):
    rows = json.loads(status("--store", store, "--format", "json").stdout)
    assert [(row["state"], row["jobs"]) for row in rows] == [("done", 142), ("failed", 2)]


def test_failures_are_listed_with_their_reasons_and_logs(store):
    rows = json.loads(status("--store", store, "--failed", "--format", "json").stdout)
    assert [(row["error"], row["reason"], row["log"]) for row in rows] == [
        ("OutOfMemoryError", "CUDA out of memory", "logs/x.log")
    ] * 2
