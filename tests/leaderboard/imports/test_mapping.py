import re
from pathlib import Path

import pytest

from headwater.leaderboard.imports import IncomingTable, TableMapping
from headwater.registry.errors import BadSpec
from tests.facts import missing_facts
from tests.leaderboard.imports.published import (
    COLUMNS,
    DOMAINS,
    ESTIMATORS,
    WIDE,
    WIDE_KEYS,
    incoming,
    written,
)

PUBLISHED = Path(__file__).resolve().parents[3] / "benchmarks" / "published"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "mapping: name is missing"),
        ({"name": "x"}, "columns is missing"),
        ({"name": "x", "columns": {"source": "m"}}, "columns.task is missing"),
        (
            {"name": "x", "columns": {"source": "m", "taks": "d", "task": "d"}},
            "columns.taks .* task",
        ),
        ({"name": "x", "columns": COLUMNS}, "names no column of values"),
        (
            {"name": "x", "columns": {**COLUMNS, "score": "s"}},
            "columns.estimator and columns.score",
        ),
        (
            {"name": "x", "columns": COLUMNS, "metrics": {"a": {"column": "a", "direction": "up"}}},
            "'up': input should be 'higher' or 'lower'",
        ),
        (
            {"name": "x", "columns": COLUMNS, "metrics": {"a": {"column": "a", "scale": 0}}},
            "metrics.a.scale = 0",
        ),
        (
            WIDE_KEYS | {"sources": {"alpha": {"imges": 3}}},
            "sources.alpha.imges .* images",
        ),
        (
            WIDE_KEYS | {"tasks": {"pets": {"classes": 1}}},
            "tasks.pets.classes = 1: input should be greater than 1",
        ),
        (WIDE_KEYS | {"sources": {"alpha": {"accuracy": 81.2}}}, "sources.alpha.accuracy = 81.2"),
        (
            WIDE_KEYS | {"provenance": {"licens": "MIT"}},
            "provenance.licens .* licence",
        ),
        (WIDE_KEYS | {"faults": [{"estimator": "leep"}]}, "note is missing"),
        (WIDE_KEYS | {"decimal": ";"}, "decimal = ';'"),
    ],
)
def test_a_wrong_mapping_names_the_key_the_value_and_what_is_allowed(keys, said):
    with pytest.raises(BadSpec) as error:
        TableMapping.of(keys)
    assert re.search(said, error.value.message)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(
        BadSpec,
        match=r"columns\.source = 'modle': table\.csv .* model\?",
    ) as error:
        incoming(tmp_path, WIDE, WIDE_KEYS, columns={"source": "modle", "task": "dataset"})
    assert "'model', 'dataset', 'acc'" in error.value.hint


def test_a_domain_that_nobody_declares_is_refused(tmp_path):
    with pytest.raises(
        BadSpec,
        match=r"tasks\.pets\.domain = 'consumers': .* consumer\?",
    ):
        incoming(tmp_path, WIDE, WIDE_KEYS, tasks={"pets": {"domain": "consumers"}})


def test_a_mapping_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(BadSpec, match="there is no mapping at"):
        TableMapping.read(tmp_path / "none.toml")
    with pytest.raises(BadSpec, match="is not TOML"):
        TableMapping.read(written(tmp_path, "name = ", "bad.toml"))
    with pytest.raises(BadSpec, match="could not be read"):
        TableMapping.read(tmp_path)


def test_a_mapping_is_called_after_its_file_and_options_win(tmp_path):
    text = 'size = 150\n[columns]\nsource = "m"\ntask = "d"\n[metrics]\naccuracy = "acc"\n'
    path = written(tmp_path, text, "mine.toml")
    assert TableMapping.read(path).name == "mine"
    read = TableMapping.read(path, size="full", columns={"task": "dataset"})
    assert (read.size, read.columns.source, read.columns.task) == ("full", "m", "dataset")
    assert TableMapping.read(path).size == "150"


def test_facts_of_one_source_win_over_those_of_every_source():
    mapping = TableMapping.of(
        WIDE_KEYS
        | {
            "every_source": {"architecture": "hrnet", "images": 5},
            "sources": {"alpha": {"images": 7}},
        }
    )
    assert (mapping.source("alpha").images, mapping.source("alpha").architecture) == (7, "hrnet")
    assert mapping.source("beta").images == 5


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_mappings_are_valid_and_say_whose_figures_they_are(path):
    mapping = TableMapping.read(path)
    assert mapping.provenance.licence
    assert mapping.provenance.url.startswith("https://")


def test_a_fact_for_a_name_that_the_table_lacks_is_no_error_but_is_said(tmp_path):
    from headwater.leaderboard.imports.cards import unused

    found = incoming(tmp_path, WIDE, WIDE_KEYS, tasks={"petss": {"classes": 3}})
    (note,) = unused(found.mapping, found.values)
    assert missing_facts(note, "tasks.petss", "pets") == []


def test_reading_needs_a_table(tmp_path):
    from headwater.registry.errors import DataError

    mapping = TableMapping.of(WIDE_KEYS)
    for name, text, said in (
        ("none.csv", None, "there is no table at"),
        ("table.xlsx", "", "is no table that can be read"),
        ("empty.csv", "model,dataset,acc,hscore,leep,logme\n", "has no value to import"),
        ("ragged.csv", WIDE + "delta,cars,0.5,1,2,3,4,5,6\n", "could not be read: .*Line: 8"),
        ("short.csv", WIDE + "delta,cars,0.5\n", "could not be read: .*Line: 8"),
        ("open.csv", WIDE + '"delta,cars,0.5,1,2,3\n', "could not be read"),
    ):
        path = tmp_path / name if text is None else written(tmp_path, text, name)
        with pytest.raises(DataError, match=said):
            IncomingTable.read(path, mapping, ESTIMATORS, DOMAINS)
