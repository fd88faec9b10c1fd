import json

import duckdb
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from headwater.harness.cli.export_verb import command
from headwater.registry.errors import QueryError, StoreUnwritable
from tests.leaderboard.synthetic import IMAGENET, SCRATCH, done, job, store_of, task


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    jobs = [job("r", SCRATCH, adaptation="from_scratch"), job("a", IMAGENET)]
    path = tmp_path_factory.mktemp("export") / "s.duckdb"
    return store_of(path, jobs, [done("r", 0.25), done("a", 0.5)], tasks=(task("t"),))


def export(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_every_table_and_view_becomes_a_parquet_file(store, tmp_path):
    result = export(tmp_path / "out", "--store", store.path)
    assert result.exit_code == 0
    listed = store.sql("SELECT table_name FROM information_schema.tables").rows
    names = {name for (name,) in listed}
    assert {file.stem for file in (tmp_path / "out").iterdir()} == names
    assert {"gains", "jobs", "curves", "source_models", "leaderboard"} <= names
    assert pyarrow.parquet.read_table(tmp_path / "out" / "gains.parquet").to_pydict()[
        "gain_abs"
    ] == [0.25]


def test_csv_and_json_hold_the_same_rows(store, tmp_path):
    export(tmp_path, "--store", store.path, "--format", "csv", "--table", "gains")
    export(tmp_path, "--store", store.path, "--format", "json", "--table", "gains")
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["gains.csv", "gains.json"]
    assert json.loads((tmp_path / "gains.json").read_text())[0]["gain_norm"] == 0.5
    assert duckdb.sql(
        f"SELECT source, gain_norm FROM read_csv('{tmp_path / 'gains.csv'}')"
    ).fetchall() == [(IMAGENET, 0.5)]


def test_files_in_the_way_are_kept_unless_forced(store, tmp_path):
    (tmp_path / "gains.csv").write_text("mine")
    arguments = (
        tmp_path,
        "--store",
        store.path,
        "--format",
        "csv",
        "--table",
        "jobs",
        "--table",
        "gains",
    )
    result = export(*arguments)
    assert isinstance(result.exception, StoreUnwritable)
    assert "--force" in result.exception.hint
    assert [file.name for file in tmp_path.iterdir()] == ["gains.csv"]
    assert export(*arguments, "--force").exit_code == 0
    assert (tmp_path / "gains.csv").read_text().startswith("source,task,")


def test_an_export_that_fails_leaves_no_half_file(store, tmp_path, monkeypatch):
    monkeypatch.setitem(
        __import__("headwater.leaderboard.store.export", fromlist=["COPY_OPTIONS"]).COPY_OPTIONS,
        "csv",
        "FORMAT csv, NO_SUCH_OPTION 1",
    )
    assert (
        export(tmp_path, "--store", store.path, "--format", "csv", "--table", "jobs").exit_code != 0
    )
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_table_brings_the_right_one(store, tmp_path):
    result = export(tmp_path, "--store", store.path, "--table", "gain")
    assert isinstance(result.exception, QueryError)
    assert "Did you mean gains?" in result.exception.message


def test_a_folder_with_a_quote_in_its_name_is_no_problem(store, tmp_path):
    assert export(tmp_path / "it's", "--store", store.path, "--table", "jobs").exit_code == 0
    assert (tmp_path / "it's" / "jobs.parquet").is_file()
