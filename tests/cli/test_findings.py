"""``headwater findings``: a table of claims, one finding in full, filters, and stores that hold nothing yet."""

import json
import re

import pytest
from click.testing import CliRunner

from headwater.harness.cli.findings_verb import command
from headwater.leaderboard.findings import FINDINGS
from headwater.registry.errors import QueryError, StoreMissing, UnknownName
from tests.facts import missing_facts
from tests.leaderboard.findings.world import chain, targets, world
from tests.leaderboard.synthetic import store_of

CHAINS = tuple(chain(name) for name in ("few-sketches", "some-sketches", "many-aerial"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("findings") / "s.duckdb"
    cards = [*targets(4), *targets(3, "aerial")]
    return str(
        world(
            path,
            CHAINS,
            cards,
            lambda source, *_: 0.1 * ("sketches" in source),
            sizes={"50": 50, "full": 900},
        ).path
    )


def findings(*arguments, columns="100"):
    return CliRunner(env={"COLUMNS": columns}).invoke(command, arguments)


def rows(*arguments):
    return json.loads(findings(*arguments, "--format", "json").stdout)


def test_every_finding_has_its_line_in_a_terminal_of_100_columns(store):
    result = findings("--store", store)
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines if line[1:2] == "F"] == list(FINDINGS)
    assert any("within − cross" in line for line in lines)
    assert " F11: no comparison of mistakes" in result.stderr


def test_json_has_claims_verdicts_numbers_and_what_is_missing(store):
    found = {row["claim"]: row for row in rows("--store", store)}
    domain = found["within-domain gain is largest"]
    assert (domain["id"], domain["targets"], domain["cells"], domain["view"]) == (
        "F3",
        7,
        28,
        "f03_domain",
    )
    assert domain["low"] <= domain["value"] <= domain["high"]
    assert found["some source beats plain base pre-training"]["unit"] == "share"
    assert found["multi-source transfer is good"]["verdict"] == "not enough data"
    assert found["multi-source transfer is good"]["missing"].startswith("no multi-source cells")
    assert {row["finding_verdict"] for row in found.values() if row["id"] == "F5"} == {
        "not enough data"
    }


def test_one_finding_is_explained_with_its_view_and_its_targets(store):
    result = findings("--store", store, "f3")
    text = " ".join(result.stdout.split())
    assert "F3" in text and "claim" in text
    assert "arXiv 2103.13318" in text
    assert 'headwater query "FROM f03_domain"' in text
    assert "ΔR² of size" in text
    assert "sketches-3" in text
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_several_findings_are_a_table_of_these(store):
    assert {row["id"] for row in rows("--store", store, "F7", "F1")} == {"F1", "F7"}


def test_filters_narrow_what_counts(store):
    whole, narrow = (
        rows("--store", store, "F3", "F1"),
        rows("--store", store, "F3", "F1", "--task", "t/sketches*", "--size", "small"),
    )
    assert next(row["targets"] for row in whole if row["targets"]) == 7
    assert {row["targets"] for row in narrow if row["targets"]} == {4}
    assert next(row["cells"] for row in narrow) == 4 * 4 * 2


def test_a_filter_that_leaves_nothing_says_what_there_is(store):
    error = findings("--store", store, "--task", "t/aerial-7").exception
    assert isinstance(error, QueryError)
    assert "matches --task t/aerial-7. Did you mean t/aerial-" in error.message
    assert error.hint.startswith("There is task: t/aerial-0, t/aerial-1")


@pytest.mark.parametrize("format_", ["csv", "md", "latex"])
def test_other_formats_print(store, format_):
    assert "within-domain gain is largest" in findings("--store", store, "--format", format_).stdout


def test_a_store_without_gains_says_so_for_each(tmp_path):
    empty = str(store_of(tmp_path / "s.duckdb", [], []).path)
    result = findings("--store", empty)
    assert result.exit_code == 0
    assert {row["verdict"] for row in rows("--store", empty)} == {"not enough data"}
    assert re.search(" F3: no gains .*: headwater run", result.stderr)


def test_an_unknown_finding_and_a_missing_store_are_errors(store, tmp_path):
    unknown = findings("--store", store, "F13").exception
    assert isinstance(unknown, UnknownName)
    assert missing_facts(unknown.message, "'F13'", "F3", "F1") == []
    assert isinstance(findings("--store", str(tmp_path / "none.duckdb")).exception, StoreMissing)
