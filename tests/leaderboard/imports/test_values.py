import math

import duckdb
import pytest

from headwater.leaderboard.imports import IncomingTable, TableMapping
from tests.facts import missing_facts
from tests.leaderboard.imports.published import (
    COLUMNS,
    DOMAINS,
    ESTIMATORS,
    LONG,
    LONG_KEYS,
    WIDE,
    WIDE_KEYS,
    incoming,
    problems_of,
    written,
)


def found_in(found, **wanted):
    rows = found.values
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    return rows["value"].tolist()


def test_a_wide_table_gives_a_result_and_a_score_for_each_estimator_a_row(tmp_path):
    found = incoming(tmp_path, WIDE, WIDE_KEYS)
    assert len(found.values) == 6 * 4
    assert found_in(found, kind="adapt", source="beta", task="cars") == [0.75]
    assert found_in(found, kind="estimate", source="beta", task="cars", adaptation="leep") == [-1.4]
    assert found.problems.empty


def test_a_long_table_repeats_its_results_without_that_being_a_problem(tmp_path):
    found = incoming(tmp_path, LONG, LONG_KEYS)
    assert found_in(found, kind="adapt") == [0.5, 0.4]
    assert found_in(found, kind="estimate", adaptation="logme") == [0.3, 0.2]
    assert found.problems.empty


def test_a_long_table_whose_results_disagree_says_so(tmp_path):
    found = incoming(tmp_path, LONG.replace("LogME,b,x,0.2,0.4", "LogME,b,x,0.2,0.45"), LONG_KEYS)
    ((row, column, problem),) = problems_of(found)
    assert (row, column) == (4, "miou")
    assert missing_facts(problem, "row 2", "0.4", "left out") == []
    assert found_in(found, kind="adapt") == [0.5, 0.4]


def test_a_row_that_is_there_twice_counts_once_and_is_told(tmp_path):
    found = incoming(tmp_path, LONG + "leep,b,x,-2.0,0.4\nleep,a,x,-1.1,0.5\n", LONG_KEYS)
    *again, (row, column, problem) = problems_of(found)
    assert again == [
        (5, "miou", "says again what row 2 says"),
        (5, "score", "says again what row 2 says"),
        (6, "miou", "says again what row 1 says"),
    ]
    assert (row, column) == (6, "score")
    assert missing_facts(problem, "row 1 has -1", "left out") == []
    assert found_in(found, adaptation="leep", source="a") == [-1.0]


def test_every_cell_that_holds_no_value_is_told_by_row_and_column(tmp_path):
    text = "model,dataset,acc,hscore,leep,logme\na,x,,1,-1,1\n,x,0.5,1,-1,1\nb,,0.5,1,-1,1\nc,x,n/a,NaN,inf,1e3\nd,x,0.5,none,-,0x1\n"
    found = incoming(tmp_path, text, WIDE_KEYS)
    causes = [(row, at, problem.partition(":")[0]) for row, at, problem in problems_of(found)]
    assert causes == [
        (1, "acc", "no value"),
        (2, "model", "no source"),
        (3, "dataset", "no task"),
        (4, "acc", "not a number"),
        (4, "hscore", "no value"),
        (4, "leep", "infinite"),
        (5, "hscore", "no value"),
        (5, "leep", "not a number"),
        (5, "logme", "not a number"),
    ]
    told = len(found.problems) - 2
    assert len(found.values) + told + 2 * 4 == 5 * 4
    assert found_in(found, source="c") == [1000.0]


def test_an_estimator_without_a_name_is_told(tmp_path):
    found = incoming(tmp_path, LONG + ",a,y,-1.0,0.5\n", LONG_KEYS)
    assert problems_of(found) == [(5, "score", "no estimator's name")]
    assert found_in(found, kind="adapt", task="y") == [0.5]


def test_quotes_unicode_and_semicolons(tmp_path):
    text = 'Modell;Aufgabe;"Güte; in %";Schätzer\n"ResNet ""50""; groß";Straßen – Köln;82,5;-0,25\n"zweite\nZeile";模型;7,125;-1\n'
    keys = {
        "name": "umlaut",
        "columns": {"source": "Modell", "task": "Aufgabe"},
        "metrics": {"accuracy": {"column": "Güte; in %", "scale": 0.01}},
        "estimators": {"leep": "Schätzer"},
        "decimal": ",",
    }
    found = incoming(tmp_path, text, keys)
    assert found_in(found, source='ResNet "50"; groß', task="Straßen – Köln") == [0.825, -0.25]
    assert found_in(found, source="zweite\nZeile", task="模型") == [0.07125, -1.0]


def test_no_row_is_taken_for_a_comment_or_a_preamble(tmp_path):
    text = "model,dataset,acc\n#1,x,0.1\n# two,x,0.2\nthree,x,0.3\n"
    found = incoming(
        tmp_path, text, {"name": "x", "columns": COLUMNS, "metrics": {"accuracy": "acc"}}
    )
    assert found.values["source"].tolist() == ["#1", "# two", "three"]


def test_names_are_trimmed_and_renamed(tmp_path):
    text = "model,dataset,acc\n alpha ,pets,0.5\nbeta,pets,0.6\n"
    found = incoming(
        tmp_path,
        text,
        {
            "name": "x",
            "columns": COLUMNS,
            "metrics": {"accuracy": "acc"},
            "rename": {"sources": {"alpha": "lab/a"}},
        },
    )
    assert found.values["source"].tolist() == ["lab/a", "beta"]


@pytest.mark.parametrize(
    ("suffix", "form"),
    [("parquet", "FORMAT parquet"), ("jsonl", "FORMAT json"), ("json", "FORMAT json, ARRAY true")],
)
def test_parquet_and_json_hold_the_same_values(tmp_path, suffix, form):
    table, other = written(tmp_path, WIDE), tmp_path / f"table.{suffix}"
    duckdb.sql(f"COPY (FROM read_csv('{table}')) TO '{other}' ({form})")
    mapping = TableMapping.of(WIDE_KEYS)
    first, second = (
        IncomingTable.read(path, mapping, ESTIMATORS, DOMAINS) for path in (table, other)
    )
    assert second.values["value"].tolist() == first.values["value"].tolist()
    assert second.values["job"].tolist() == first.values["job"].tolist()


def test_sizes_and_seeds_may_stand_in_columns(tmp_path):
    text = "model,dataset,acc,n,run\na,x,0.5,50,0\na,x,0.6,50,1\na,x,0.7,,1\na,x,0.8,full,1.5\n"
    keys = {
        "name": "x",
        "columns": {**COLUMNS, "size": "n", "seed": "run"},
        "metrics": {"accuracy": "acc"},
    }
    found = incoming(tmp_path, text, keys)
    assert found.values[["size", "seed", "value"]].to_numpy().tolist() == [
        ["50", 0.0, 0.5],
        ["50", 1.0, 0.6],
        ["full", 1.0, 0.7],
    ]
    ((row, column, problem),) = problems_of(found)
    assert (row, column) == (4, "run")
    assert missing_facts(problem, "seed", "left out") == []


def test_a_metric_that_should_be_low_keeps_its_sign(tmp_path):
    found = incoming(
        tmp_path, WIDE, WIDE_KEYS, metrics={"error": {"column": "acc", "direction": "lower"}}
    )
    assert set(found.values.loc[found.values["kind"] == "adapt", "sign"]) == {-1}
    assert not any(math.isnan(value) for value in found.values["value"])
