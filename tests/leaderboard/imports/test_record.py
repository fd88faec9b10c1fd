import json

import numpy as np
import pandas as pd
import pytest

from headwater.leaderboard import Store
from headwater.leaderboard.imports import IncomingTable, TableMapping, import_table
from headwater.leaderboard.imports.record import protocol_of
from tests.calls import count_calls
from tests.leaderboard.imports.published import (
    COLUMNS,
    DOMAINS,
    ESTIMATORS,
    LONG,
    LONG_KEYS,
    WIDE,
    WIDE_KEYS,
    imported,
)
from tests.leaderboard.synthetic import IMAGENET, SCRATCH, TASKS, grid_store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "s.duckdb")


def ask(store, query):
    return store.sql(query).rows


def everything(store):
    names = [name for (name,) in ask(store, "SELECT table_name FROM duckdb_tables()")]
    return {name: ask(store, f"FROM {name} ORDER BY ALL") for name in names}


def test_a_table_becomes_done_jobs_without_times(store, tmp_path):
    found = imported(store, tmp_path, WIDE, WIDE_KEYS, size=150)
    assert found.counts == {"new": 24}
    assert ask(
        store,
        "SELECT DISTINCT kind, state, size, train_images, seconds, images, started, seed, attempts FROM jobs ORDER BY kind",
    ) == [
        ("adapt", "done", "150", 150, None, None, None, None, 0),
        ("estimate", "done", "150", 150, None, None, None, None, 0),
    ]
    assert ask(
        store,
        "SELECT value, metric, sign, adaptation, origin, seconds FROM cells WHERE source = 'beta' AND task = 'cars'",
    ) == [(0.75, "accuracy", 1, "fine_tune", "imported", None)]
    assert ask(
        store,
        "SELECT score, note, origin FROM estimates WHERE source = 'beta' AND task = 'pets' AND estimator = 'hscore'",
    ) == [(2.5, "outside [0, 2]", "imported")]


def test_the_run_says_which_file_whose_and_what_was_left_out(store, tmp_path):
    imported(
        store,
        tmp_path,
        WIDE.replace("0.89", "n/a"),
        WIDE_KEYS,
        provenance={"title": "A table", "licence": "MIT"},
    )
    ((kind, name, state, machine, spec),) = ask(
        store, "SELECT kind, name, state, machine, spec FROM runs"
    )
    spec = json.loads(spec)
    assert (kind, name, state, machine) == ("import", "wide", "done", "{}")
    assert (spec["file"], len(spec["sha256"]), spec["rows"], spec["left_out"]) == (
        "table.csv",
        64,
        6,
        1,
    )
    assert spec["left_out_rows"] == [
        {
            "row": 2,
            "source": "beta",
            "task": "pets",
            "column": "acc",
            "value": "n/a",
            "problem": "not a number",
        }
    ]
    assert spec["mapping"]["provenance"] == {
        "title": "A table",
        "url": "",
        "licence": "MIT",
        "citation": "",
        "note": "",
    }


def test_the_same_table_again_changes_nothing(store, tmp_path):
    first = imported(store, tmp_path, LONG, LONG_KEYS)
    before = everything(store)
    again = imported(store, tmp_path, LONG, LONG_KEYS)
    assert (first.counts, again.counts, again.run) == ({"new": 6}, {"same": 6}, None)
    assert everything(store) == before


def test_an_edited_table_replaces_what_changed_and_keeps_what_it_lost(store, tmp_path):
    imported(store, tmp_path, WIDE, WIDE_KEYS)
    lines = WIDE.splitlines()
    edited = "\n".join([*lines[:-1], "delta,cars,0.9,0.1,-1.0,0.1"]).replace("0.91,1.5", "0.92,1.5")
    found = imported(store, tmp_path, edited, WIDE_KEYS)
    assert found.counts == {"same": 19, "changed": 1, "new": 4, "kept": 4}
    assert ask(store, "SELECT value FROM cells WHERE source = 'alpha' AND task = 'pets'") == [
        (0.92,)
    ]
    assert ask(
        store, "SELECT count(*) FROM cells WHERE source IN ('gamma', 'delta') AND task = 'cars'"
    ) == [(2,)]
    assert ask(store, "SELECT count(*), count(DISTINCT run) FROM jobs") == [(28, 2)]
    assert ask(store, "SELECT count(*) FROM metrics") == [(28,)]


def test_a_flag_that_is_new_is_a_change(store, tmp_path):
    imported(store, tmp_path, WIDE, WIDE_KEYS, tasks={"pets": {"classes": 30}})
    found = imported(store, tmp_path, WIDE, WIDE_KEYS)
    assert found.standing["estimate"] == {"same": 17, "changed": 1}
    assert ask(store, "SELECT count(*) FROM estimates WHERE note <> ''") == [(2,)]


def test_a_dry_run_says_the_same_and_writes_nothing(store, tmp_path):
    assert imported(store, tmp_path, WIDE, WIDE_KEYS, dry_run=True).counts == {"new": 24}
    assert not store.path.exists()
    imported(store, tmp_path, WIDE, WIDE_KEYS)
    before = everything(store)
    assert imported(
        store, tmp_path, WIDE.replace("0.91", "0.92"), WIDE_KEYS, dry_run=True
    ).counts == {"same": 23, "changed": 1}
    assert everything(store) == before


def test_two_imports_of_the_same_names_stay_apart(store, tmp_path):
    imported(store, tmp_path, WIDE, WIDE_KEYS)
    imported(store, tmp_path, WIDE.replace("0.91", "0.5"), WIDE_KEYS, name="other")
    assert ask(store, "SELECT count(*), count(DISTINCT protocol) FROM cells") == [(12, 2)]
    assert sorted(
        ask(store, "SELECT value FROM cells WHERE source = 'alpha' AND task = 'pets'")
    ) == [(0.5,), (0.91,)]


def test_cards_have_the_facts_of_the_mapping(store, tmp_path):
    facts = {
        "alpha": {
            "domain": "indoor",
            "images": 1000,
            "parameters": 5,
            "accuracy": 0.7,
            "pretrained_on": ["a", "b"],
            "licence": "mit",
        }
    }
    tasks = {"pets": {"domain": "consumer", "classes": 3, "images": 99}}
    imported(
        store,
        tmp_path,
        WIDE,
        WIDE_KEYS,
        sources=facts,
        tasks=tasks,
        every_task={"type": "segmentation"},
    )
    query = "SELECT domain, images, parameters, accuracy, pretrained_on, licence, scratch, random FROM source_models WHERE name = 'alpha'"
    assert ask(store, query) == [("indoor", 1000, 5, 0.7, ["a", "b"], "mit", None, False)]
    assert ask(
        store, "SELECT name, domain, type, metric, images, classes FROM tasks ORDER BY name"
    ) == [
        ("cars", None, "segmentation", "accuracy", None, None),
        ("pets", "consumer", "segmentation", "accuracy", 99, 3),
    ]
    assert ask(
        store, "SELECT domain_relation FROM relations WHERE source = 'alpha' AND task = 'pets'"
    ) == [("cross-domain",)]
    imported(
        store, tmp_path, WIDE, WIDE_KEYS, sources={"alpha": {"domain": "consumer"}}, tasks=tasks
    )
    assert ask(
        store, "SELECT domain_relation FROM relations WHERE source = 'alpha' AND task = 'pets'"
    ) == [("within-domain",)]


def test_a_card_of_a_run_stays_as_it_is(tmp_path):
    store = grid_store(tmp_path / "s.duckdb", seeds=1)
    before = ask(store, f"FROM source_models WHERE name = '{IMAGENET}'")
    text = f"model,dataset,acc\n{IMAGENET},{TASKS[0]},0.9\nnew,{TASKS[0]},0.8\n"
    keys = {
        "name": "x",
        "columns": COLUMNS,
        "metrics": {"accuracy": "acc"},
        "sources": {IMAGENET: {"images": 3}},
    }
    found = imported(store, tmp_path, text, keys)
    assert found.cards_kept == {"source_models": (IMAGENET,), "tasks": (TASKS[0],)}
    assert ask(store, f"FROM source_models WHERE name = '{IMAGENET}'") == before
    assert ask(store, "SELECT count(*) FROM source_models WHERE name = 'new'") == [(1,)]


def test_imported_cells_never_pass_for_measured_ones(tmp_path):
    store = grid_store(tmp_path / "s.duckdb", seeds=1)
    views = (
        "gains",
        "unpaired",
        "failures",
        "f01_scratch",
        "f03_domain",
        "work",
        "scenarios",
        "step_gains",
    )
    before = {view: ask(store, f"FROM {view} ORDER BY ALL") for view in views}
    measured = ask(store, "SELECT count(*) FROM cells")[0][0]
    history = store.history()
    mean = "SELECT source, adaptation, size, reference, round(gain_abs, 9), cells FROM leaderboard ORDER BY ALL"
    ranked = ask(store, mean)
    text = f"model,dataset,acc\n{IMAGENET},{TASKS[0]},0.99\n{SCRATCH},{TASKS[0]},0.01\n"
    imported(
        store,
        tmp_path,
        text,
        {"name": "x", "columns": COLUMNS, "metrics": {"accuracy": "acc"}, "size": "50"},
    )
    assert {view: ask(store, f"FROM {view} ORDER BY ALL") for view in views} == before
    assert ask(store, "SELECT origin, count(*) FROM cells GROUP BY ALL ORDER BY ALL") == [
        ("imported", 2),
        ("measured", measured),
    ]
    assert ask(store, mean) == ranked
    assert store.history() == history


def test_an_import_has_the_protocol_of_its_name_only():
    first, second = (TableMapping.of(WIDE_KEYS | more) for more in ({}, {"size": "small"}))
    assert (
        protocol_of(first)
        == protocol_of(second)
        != protocol_of(TableMapping.of(WIDE_KEYS | {"name": "x"}))
    )


def table_of(folder, sources, tasks):
    draw = np.random.default_rng(0)
    names = {
        "model": np.repeat(np.arange(sources), tasks),
        "dataset": np.tile(np.arange(tasks), sources),
    }
    pd.DataFrame({**names, "acc": draw.random(sources * tasks)}).to_parquet(
        folder / "table.parquet"
    )
    mapping = TableMapping.of({"name": "many", "columns": COLUMNS, "metrics": {"accuracy": "acc"}})
    return IncomingTable.read(folder / "table.parquet", mapping, ESTIMATORS, DOMAINS)


@pytest.mark.slow
def test_a_million_rows_are_read(tmp_path):
    found = table_of(tmp_path, 1000, 1000)
    assert (len(found.values), found.values["job"].nunique(), len(found.problems)) == (
        1_000_000,
        1_000_000,
        0,
    )


def test_a_hundred_thousand_values_are_read_and_go_in_as_columns(store, tmp_path):
    """Reading makes a name for each row (4 calls); a loop over the rows would take dozens."""
    calls, found = count_calls(lambda: table_of(tmp_path, 100, 1000))
    assert calls < 8 * 100_000
    calls, report = count_calls(lambda: import_table(store, found))
    assert report.counts == {"new": 100_000}
    assert calls < 100_000
    assert ask(store, "SELECT count(*) FROM cells") == [(100_000,)]
