"""Benchmarks that ship with the package: listed, and run by their names."""

from __future__ import annotations

import json
from pathlib import Path

import headwater as hw
from headwater.harness.planning.benchmarks import benchmarks, find_spec
from tests.cli.headwater_command import run_headwater

ROOT = Path(__file__).parents[2]


def test_they_are_listed_with_what_they_are_for(capsys):
    answer = run_headwater(capsys, "list", "benchmarks", "--format", "json")
    rows = {row["name"]: row for row in json.loads(answer.out)}
    assert set(rows) == {file.stem for file in (ROOT / "benchmarks").glob("*.toml")}
    assert all(row["summary"] and Path(row["file"]).is_file() for row in rows.values())
    narrowed = run_headwater(capsys, "list", "benchmark", "quick*", "--format", "csv")
    assert len(narrowed.out.splitlines()) == 2


def test_one_is_run_by_its_name_from_any_folder(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = run_headwater(capsys, "run", "quickstart", "--dry-run")
    assert answer.status == 0, answer.err
    assert "new" in answer.err
    assert hw.Spec.read("quickstart").name == "quickstart"


def test_a_file_of_the_same_name_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("")
    assert find_spec("quickstart") == Path("quickstart")
    assert find_spec("domains") == benchmarks()["domains"]


def test_a_misspelt_name_brings_the_right_one(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = run_headwater(capsys, "run", "quikstart")
    assert (answer.status, "Did you mean quickstart?" in answer.err) == (2, True)
    answer = run_headwater(capsys, "run", "mine.toml")
    assert answer.status == 2 and "headwater list benchmarks" in answer.err
