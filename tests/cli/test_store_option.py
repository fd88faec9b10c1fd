"""Which store a verb reads: the option, the variable, the only store in the folder."""

from __future__ import annotations

import json
import shutil

import duckdb
import pytest

from tests.cli.headwater_command import run_headwater
from tests.harness.toy import PLUGIN
from tests.leaderboard.synthetic import IMAGENET, SCRATCH, done, job, store_of, task


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    jobs = [job("r", SCRATCH, adaptation="from_scratch"), job("a", IMAGENET)]
    path = tmp_path_factory.mktemp("named") / "s.duckdb"
    return store_of(path, jobs, [done("r", 0.25), done("a", 0.5)], tasks=(task("t"),)).path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADWATER_STORE", raising=False)
    return tmp_path


READING = [
    ("leaderboard",),
    ("findings", "F1"),
    ("query", "SELECT count(*) FROM jobs"),
    ("status",),
    ("export", "out"),
    ("info", "aaaaaaaa"),
    ("analyse",),
]


def gains(capsys, *options):
    words = ("query", "SELECT gain_abs FROM gains", "--format", "json", *options)
    answer = run_headwater(capsys, *words)
    assert answer.status == 0, answer.err
    return [row["gain_abs"] for row in json.loads(answer.out)]


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_the_only_store_in_the_folder_is_read(capsys, folder, store, words):
    shutil.copy(store, folder / "quickstart.duckdb")
    answer = run_headwater(capsys, *words)
    assert "quickstart.duckdb" in answer.err
    assert "No store here" not in answer.err
    assert [file.name for file in folder.glob("*.duckdb")] == ["quickstart.duckdb"]


def test_a_named_store_and_the_usual_one_win_over_others(capsys, folder, store, monkeypatch):
    shutil.copy(store, folder / "headwater.duckdb")
    (folder / "other.duckdb").write_text("not a store")
    assert gains(capsys) == [0.25]
    assert gains(capsys, "--store", store) == [0.25]
    monkeypatch.setenv("HEADWATER_STORE", str(store))
    (folder / "headwater.duckdb").unlink()
    assert gains(capsys) == [0.25]


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_the_variable_counts_for_every_verb_that_reads(capsys, folder, words, monkeypatch):
    monkeypatch.setenv("HEADWATER_STORE", "elsewhere.duckdb")
    answer = run_headwater(capsys, *words)
    assert answer.status == 2 and "elsewhere.duckdb" in answer.err


def test_the_variable_counts_for_the_verbs_that_write(capsys, folder, monkeypatch):
    monkeypatch.setenv("HEADWATER_STORE", "mine.duckdb")
    common = ("--plugin", PLUGIN, "--executor", "inline", "--image-size", "8", "--epochs", "1")
    benchmark = ("--sources", "toy/fixed", "--tasks", "toy/shades", "--sizes", "12", "--seeds", "1")
    answer = run_headwater(capsys, "run", *benchmark, *common)
    assert (answer.status, (folder / "mine.duckdb").exists()) == (0, True), answer.err
    (folder / "mine.duckdb").unlink()
    asked = ("toy/shades", "--sources", "toy/fixed", "--selector", "random", "--confirm", "0")
    answer = run_headwater(capsys, "select", *asked, *common, "--budget", "1m")
    assert answer.status == 0, answer.err
    saving = ("toy/shades", "--source", "toy/fixed", "--save", "net.safetensors")
    answer = run_headwater(capsys, "adapt", *saving, *common)
    assert (answer.status, (folder / "mine.duckdb").exists()) == (0, True), answer.err
    (folder / "mine.duckdb").unlink()
    (folder / "table.csv").write_text("model,dataset,acc\na,t,0.5\nb,t,0.6\n")
    columns = ("--source", "model", "--task", "dataset", "--metric", "accuracy=acc")
    answer = run_headwater(capsys, "import", "table.csv", *columns)
    assert (answer.status, (folder / "mine.duckdb").exists()) == (0, True), answer.err
    assert not (folder / "headwater.duckdb").exists()


def test_several_stores_are_named_with_what_to_type(capsys, folder, store):
    for name in ("a.duckdb", "b b.duckdb"):
        shutil.copy(store, folder / name)
    answer = run_headwater(capsys, "leaderboard", "--by", "scenario")
    assert answer.status == 2
    assert "a.duckdb" in answer.err and "b b.duckdb" in answer.err
    assert "headwater leaderboard --by scenario --store a.duckdb" in answer.err


def test_other_files_are_no_stores(capsys, folder, store):
    shutil.copy(store, folder / "b.duckdb")
    (folder / "notes.duckdb").write_text("my holiday")
    duckdb.connect(str(folder / "a.duckdb")).close()
    assert gains(capsys) == [0.25]


def test_a_folder_without_a_store_says_how_to_make_one(capsys, folder):
    answer = run_headwater(capsys, "leaderboard")
    assert answer.status == 2
    assert "headwater run quickstart" in answer.err
