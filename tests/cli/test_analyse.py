"""``headwater analyse``: run what is missing, print, plot; and read what is stored."""

import json

import pytest

from tests.cli.headwater_command import run_headwater
from tests.harness.toy import PLUGIN

SPEC = f"""
sources = ["toy/fixed"]
tasks = ["toy/shades"]
references = ["scratch", "base"]
sizes = [12]
seeds = 2
image_size = 8
store = "bench.duckdb"
plugins = ["{PLUGIN}"]
[training]
epochs = 2
batch_size = 4
[anatomy]
points = 3
images = 10
blocks = [2]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analyse")
    (folder / "b.toml").write_text(SPEC)
    return folder


@pytest.fixture
def analysed_folder(folder, capsys, monkeypatch):
    """The folder with its analyses in the store, whichever test of this process comes first."""
    monkeypatch.chdir(folder)
    assert run_headwater(capsys, "analyse", "b.toml", "--executor", "inline").status == 0
    return folder


def test_a_spec_is_run_with_every_analysis_and_plotted(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    answer = run_headwater(capsys, "analyse", "b.toml", "--executor", "inline")
    assert answer.status == 0, answer.err
    assert "cells  new 4" in answer.err
    assert "analyses 12 (12 to do)" in answer.err
    for words in (
        "block shuffle: relative drop (%)",
        "similarity: linear CKA",
        "criticality: drop of accuracy",
        "mistakes: kappa",
    ):
        assert words in answer.out
    page = folder / "bench-anatomy" / "index.html"
    assert f"plots: {page.relative_to(folder)}" in answer.err
    assert page.is_file()
    again = run_headwater(capsys, "analyse", "b.toml", "--executor", "inline")
    assert again.status == 0
    assert "analyses 12 (0 to do)" in again.err


def test_what_is_stored_is_read_without_a_spec(analysed_folder, capsys):
    answer = run_headwater(
        capsys, "analyse", "--store", "bench.duckdb", "--tasks", "toy/*", "--format", "json"
    )
    assert answer.status == 0, answer.err
    rows = json.loads(answer.out)
    assert {row["analysis"] for row in rows} >= {
        "barrier",
        "block_shuffle",
        "convergence",
        "criticality",
        "distance",
        "similarity",
    }
    assert {row["source"] for row in rows} == {"toy/fixed"}
    nothing = run_headwater(capsys, "analyse", "--store", "bench.duckdb", "--tasks", "other/*")
    assert nothing.status != 0
    assert "no analysis in bench.duckdb matches" in nothing.err


def test_plots_go_where_they_are_asked_for(analysed_folder, capsys):
    answer = run_headwater(
        capsys, "analyse", "--store", "bench.duckdb", "--format", "md", "--out", "elsewhere"
    )
    assert answer.status == 0, answer.err
    assert (analysed_folder / "elsewhere" / "distance.svg").is_file()
    assert "| module |" in answer.out


def test_without_a_store_it_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = run_headwater(capsys, "analyse")
    assert answer.status == 2
    assert "No store here yet" in answer.err


def test_an_analysis_that_is_none_is_a_mistake_of_the_spec(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    answer = run_headwater(
        capsys, "analyse", "b.toml", "--anatomy-analyses", "similarty", "--dry-run"
    )
    assert answer.status == 2
    assert "Did you mean similarity?" in answer.err
