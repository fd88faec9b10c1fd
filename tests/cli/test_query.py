import csv
import io
import json

import pytest
from click.testing import CliRunner

from headwater.harness.cli.query_verb import command
from headwater.registry.errors import QueryError
from tests.facts import missing_facts
from tests.leaderboard.synthetic import IMAGENET, SCRATCH, done, job, store_of, task


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    jobs = [job("r", SCRATCH, adaptation="from_scratch"), job("a", IMAGENET)]
    path = tmp_path_factory.mktemp("query") / "s.duckdb"
    return str(store_of(path, jobs, [done("r", 0.25), done("a", 0.5)], tasks=(task("t"),)).path)


def query(*arguments):
    return CliRunner().invoke(command, arguments)


def test_it_answers_on_stdout(store):
    result = query("SELECT source, gain_norm FROM gains", "--store", store)
    assert [line.split() for line in result.stdout.splitlines() if "timm" in line] == [
        [IMAGENET, "0.5"]
    ]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("format_", "read"),
    [
        ("json", json.loads),
        ("csv", lambda text: list(csv.DictReader(io.StringIO(text), quoting=csv.QUOTE_NONNUMERIC))),
    ],
)
def test_programs_get_raw_numbers(store, format_, read):
    result = query("SELECT gain_abs / 3 AS third FROM gains", "--store", store, "--format", format_)
    assert read(
        result.stdout.replace("third", '"third"') if format_ == "csv" else result.stdout
    ) == [{"third": 0.25 / 3}]


def test_a_long_answer_is_cut_and_says_so(store):
    result = query(
        "SELECT range FROM range(10)", "--store", store, "--limit", "3", "--format", "csv"
    )
    assert result.stdout == "range\n0\n1\n2\n"
    assert missing_facts(result.stderr, "first 3 rows", "--limit") == []


def test_the_time_limit_is_kept(store):
    result = query(
        "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b",
        "--store",
        store,
        "--timeout",
        "0.1",
    )
    assert isinstance(result.exception, QueryError)
    assert (result.exception.message, result.exception.hint) == (
        "the query ran past 0.1 s",
        "Allow more with --timeout.",
    )


def test_a_refused_query_exits_with_2(store):
    result = query("DELETE FROM jobs", "--store", store)
    assert isinstance(result.exception, QueryError)
    assert result.exception.exit_status == 2
