import json
import re
from pathlib import Path

import pytest

from headwater.harness.cli.import_verb import command
from headwater.leaderboard import Store
from headwater.leaderboard.imports.mapping import (
    MappedColumns,
    SourceFacts,
    TableMapping,
    TaskFacts,
)
from tests.cli.headwater_command import run_headwater
from tests.leaderboard.imports.published import LONG, WIDE, written

MAPPING = """
[columns]
source = "model"
task = "dataset"
[metrics]
accuracy = "acc"
[estimators]
hscore = "hscore"
leep = "leep"
logme = "logme"
[tasks.pets]
classes = 3
"""


@pytest.fixture
def headwater(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return lambda *words: run_headwater(capsys, *words)


def test_a_table_with_its_mapping_goes_in_and_says_what_is_doubtful(headwater, tmp_path):
    written(tmp_path, WIDE.replace("0.65", "n/a"))
    written(tmp_path, MAPPING, "published.toml")
    answer = headwater("import", "table.csv", "--mapping", "published.toml")
    assert answer.status == 0
    assert "table.csv as published" in answer.out
    assert [
        line.split()[-4:]
        for line in answer.out.splitlines()
        if line.startswith((" results", " scores"))
    ] == [
        ["5", "0", "0", "0"],
        ["18", "0", "0", "2"],
    ]
    assert "outside [0, 2]" in answer.out
    assert "outside (−∞, 0]" in answer.out
    assert "not a number" in answer.out
    assert Store("headwater.duckdb").sql("SELECT count(*) FROM estimates").rows == [(18,)]
    again = headwater("import", "table.csv", "--mapping", "published.toml")
    assert "nothing was changed" in again.err
    assert Store("headwater.duckdb").sql("SELECT count(*) FROM runs").rows == [(1,)]


def test_the_mapping_can_be_options(headwater, tmp_path):
    written(tmp_path, LONG)
    words = [
        "import",
        "table.csv",
        "--source",
        "model",
        "--task",
        "dataset",
        "--metric",
        "error=miou",
        "--lower-is-better",
        "error",
    ]
    words += [
        "--estimator-name",
        "estimator",
        "--estimator-score",
        "score",
        "--size",
        "small",
        "--title",
        "A paper",
        "--store",
        "s.duckdb",
    ]
    answer = headwater(*words)
    assert answer.status == 0
    store = Store("s.duckdb")
    assert store.sql("SELECT DISTINCT metric, sign, size FROM cells").rows == [
        ("error", -1, "small")
    ]
    assert store.sql("SELECT DISTINCT estimator FROM estimates ORDER BY 1").rows == [
        ("LogME",),
        ("leep",),
    ]
    assert store.sql("SELECT spec -> 'mapping' -> 'provenance' ->> 'title' FROM runs").rows == [
        ("A paper",)
    ]
    assert "no range is known for LogME" in answer.err


def test_programs_get_a_row_for_each_doubtful_value(headwater, tmp_path):
    written(tmp_path, WIDE.replace("0.65", "n/a"))
    written(tmp_path, MAPPING, "published.toml")
    rows = json.loads(
        headwater("import", "table.csv", "--mapping", "published.toml", "--format", "json").out
    )
    assert [(row["what"], row["row"], row["column"]) for row in rows] == [
        ("left out", 6, "acc"),
        ("flagged", 2, "hscore"),
        ("flagged", 6, "leep"),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what the columns are"),
        (("--source", "model", "--task", "dataset"), "names no column of values"),
        (("--source", "model", "--task", "dataset", "--metric", "acc"), "'acc' is not NAME=COLUMN"),
        (
            ("--source", "model", "--task", "dataset", "--metric", "accuracy=ac"),
            "Did you mean acc?",
        ),
        (
            (
                "--source",
                "model",
                "--task",
                "dataset",
                "--metric",
                "a=acc",
                "--lower-is-better",
                "b",
            ),
            "no --metric b=COLUMN is given",
        ),
        (("--mapping", "none.toml"), "there is no mapping at none.toml"),
    ],
)
def test_a_users_mistake_is_one_line_without_a_traceback(headwater, tmp_path, words, said):
    written(tmp_path, WIDE)
    answer = headwater("import", "table.csv", *words)
    assert answer.status == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "headwater.duckdb").exists()


def test_every_option_and_key_is_documented():
    page = (Path(__file__).resolve().parents[2] / "docs" / "importing.md").read_text(
        encoding="utf-8"
    )
    for option in (
        option
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    ):
        assert option in ("--store",) or f"`{option}" in page, option
    for model in (TableMapping, MappedColumns, SourceFacts, TaskFacts):
        for key in model.model_fields:
            assert re.search(rf"`(\w+\.)?{key}[`.]", page), key


def test_a_dry_run_makes_no_store(headwater, tmp_path):
    written(tmp_path, WIDE)
    answer = headwater(
        "import",
        "table.csv",
        "--source",
        "model",
        "--task",
        "dataset",
        "--metric",
        "accuracy=acc",
        "--dry-run",
    )
    assert (answer.status, (tmp_path / "headwater.duckdb").exists()) == (0, False)
    assert "dry run: nothing was changed" in answer.err


def test_status_counts_what_was_imported_by_itself_and_the_leaderboard_says_what_it_is_for(
    headwater, tmp_path
):
    written(tmp_path, WIDE)
    headwater(
        "import", "table.csv", "--source", "model", "--task", "dataset", "--metric", "accuracy=acc"
    )
    assert "adapt (imported)" in headwater("status").out
    answer = headwater("leaderboard")
    assert answer.status == 2
    assert "6 are of published tables" in answer.err
    assert "headwater leaderboard --selectors" in answer.err
    assert headwater("findings").status == 0
