"""Selecting within a budget: what is asked of the executor, what is recorded, what the answer says."""

from __future__ import annotations

from dataclasses import replace

import pytest

import headwater as hw
from headwater.harness.running.run import Control
from headwater.harness.selecting.live import scaled
from headwater.harness.selecting.rungs import Rung
from headwater.harness.selecting.selection_table import selection_table
from headwater.registry import Registry
from headwater.registry.cards.selector import rank_rest_last
from headwater.registry.errors import BadPlugin, BadSpec, NotApplicable, UnknownName
from tests.harness.toy import PLUGIN, SIDE

INLINE = Control(executor="inline")
KEYS = {"image_size": SIDE, "training": {"epochs": 4, "batch_size": 8}}
SOURCES = "toy/fixed,toy/random,own/second"


@hw.selector("own/halving")
def halving(question: hw.Question) -> dict[str, float]:
    """All on the smallest subset for half the epochs, the better two on everything."""
    first = question.measure(
        [source.name for source in question.sources], size=question.sizes[0], epochs=2
    )
    best = sorted(first, key=lambda name: -first[name])[:2]
    last = question.measure(best)
    return rank_rest_last(first | {name: 10 + value for name, value in last.items()}, question)


@hw.selector("own/asks")
def asks(question: hw.Question) -> dict[str, float]:
    """Shows what it was asked."""
    asked.append(question)
    return {source.name: 0.0 for source in question.sources}


@hw.estimator("own/spread")
def spread(features, labels):
    """Variance of the features."""
    return float(features.var())


asked: list[hw.Question] = []
OWN = [
    halving,
    asks,
    spread,
    replace(
        Registry.discover([PLUGIN]).source("toy/fixed"), name="own/second", licence="mit", origin=""
    ),
]


def select(tmp_path, sources=SOURCES, task="toy/shades", **changes):
    changes = (
        {
            "budget": 100.0,
            "selector": "own/halving",
            "plugins": [PLUGIN, *OWN],
            "control": INLINE,
            "sizes": [12],
            "confirm": 0,
        }
        | KEYS
        | changes
    )
    return hw.select(task, sources, store=tmp_path / "s.duckdb", **changes)


def test_everything_measured_is_recorded_and_the_same_question_runs_nothing(tmp_path):
    selection = select(tmp_path)
    assert selection.tested == {Rung(12, 2): 3, Rung(60, 4): 2}
    assert (selection.images, selection.epochs, selection.top) == (60, 4, Rung(60, 4))
    store = hw.Store(tmp_path / "s.duckdb")
    cells = store.sql("SELECT size, count(*) FROM cells GROUP BY ALL ORDER BY 1").rows
    assert cells == [("12", 3), ("full", 2)]
    assert store.sql("SELECT DISTINCT kind FROM runs").rows == [("select",)]
    runs = store.sql("SELECT count(*) FROM runs").rows
    again = select(tmp_path)
    assert store.sql("SELECT count(*) FROM runs").rows == runs
    assert [c.source.name for c in again.candidates] == [
        c.source.name for c in selection.candidates
    ]
    assert [c.predicted for c in again.candidates] == [c.predicted for c in selection.candidates]


def test_values_are_those_of_the_cells_and_test_is_looked_at_once_the_choice_is_made(tmp_path):
    selection = select(tmp_path)
    rows = (
        hw.Store(tmp_path / "s.duckdb")
        .sql("SELECT source, validation, value, seconds FROM cells WHERE size = 'full'")
        .rows
    )
    known = {source: (validation, value, seconds) for source, validation, value, seconds in rows}
    first = selection.candidates[0]
    assert first.predicted.quality == pytest.approx(known[first.source.name][0])
    assert (
        first.predicted.low < first.predicted.quality
        or first.predicted.quality == first.predicted.low
    )
    assert selection.on_test.value == pytest.approx(known[first.source.name][1])
    assert selection.on_test.images == 30
    assert (first.measured, first.seconds) == (True, pytest.approx(known[first.source.name][2]))
    last = selection.candidates[-1]
    assert (last.measured, last.predicted.rung) == (False, Rung(12, 2))
    assert last.seconds > 0 and last.speed > 0  # forecast from the others


def test_the_command_of_the_answer_adapts_with_the_measured_cell(tmp_path, monkeypatch, capsys):
    import shlex

    from tests.cli.headwater_command import run_headwater

    monkeypatch.chdir(tmp_path)
    selection = hw.select(
        "toy/shades",
        "toy/fixed,toy/random",
        selector="search",
        plugins=[PLUGIN],
        control=INLINE,
        store="own.duckdb",
        budget=60,
        **KEYS,
    )
    assert selection.adapt.startswith("headwater adapt toy/shades --source toy/")
    answer = run_headwater(capsys, *shlex.split(selection.adapt)[1:], "--executor", "inline")
    assert answer.status == 0, answer.err
    facts = hw.load_adapted("model.safetensors", plugins=[PLUGIN]).facts
    assert (facts.training["epochs"], facts.training["batch_size"], facts.image_size) == (
        4,
        8,
        SIDE,
    )
    full = hw.Store("own.duckdb").sql("SELECT job FROM cells WHERE size = 'full'").rows
    assert (facts.job,) in full  # the job that was measured, if it was, and no other


def test_a_question_tells_what_is_known_of_task_sources_and_budget(tmp_path):
    hw.run(
        {
            "sources": ["toy/fixed"],
            "tasks": ["toy/halves"],
            "sizes": [12],
            "seeds": 1,
            "references": [],
            "plugins": [str(PLUGIN)],
            **KEYS,
        },
        store=tmp_path / "s.duckdb",
        control=INLINE,
    )
    select(tmp_path, selector="own/asks", sizes=[5, 24, 12, 600, "full"])
    question = asked[-1]
    assert (question.size, question.epochs, question.budget, question.sizes) == (
        60,
        4,
        100.0,
        (5, 12, 24),
    )
    assert question.relations == {
        "toy/fixed": "within-domain",
        "toy/random": None,
        "own/second": "within-domain",
    }
    assert [(record.source, record.task) for record in question.records] == [
        ("toy/fixed", "toy/halves")
    ]
    assert question.spent() >= 0


def test_what_nothing_was_measured_for_has_the_selectors_order_and_no_claim(tmp_path):
    selection = select(tmp_path, selector="own/spread")
    assert [c.predicted.quality for c in selection.candidates] == [None, None, None]
    assert selection.tested == {} and selection.on_test is None
    ranks = {candidate.source.name: candidate.ranks for candidate in selection.candidates}
    assert (
        ranks["toy/fixed"] == ranks["own/second"] != ranks["toy/random"]
    )  # the same weights have the same score


def test_what_is_left_of_the_budget_measures_the_first_ones_and_what_they_show_counts(tmp_path):
    selection = select(tmp_path, selector="own/spread", confirm=2)
    assert selection.tested == {Rung(60, 4): 2}
    measured = [candidate for candidate in selection.candidates if candidate.predicted.rung]
    assert len(measured) == 2 and all(candidate.measured for candidate in measured)
    assert selection.on_test is not None
    failing = select(tmp_path, "toy/deaf,toy/fixed", selector="own/asks", confirm=1)
    assert failing.tested == {Rung(60, 4): 1}  # the one that fails gives way to the next


def test_failures_of_one_source_take_only_that_one_out(tmp_path):
    selection = select(tmp_path, SOURCES + ",toy/deaf")
    assert {c.source.name for c in selection.candidates} == {
        "toy/fixed",
        "toy/random",
        "own/second",
    }
    assert "without forward_features" in selection.failures["toy/deaf"]
    assert "toy/deaf" not in selection.adapt


def test_a_source_that_fails_is_not_taken_for_a_spent_budget(tmp_path):
    """search stops where values are missing; a network that cannot be built once kept it from ever going on."""
    selection = select(
        tmp_path,
        "toy/deaf,toy/fixed,toy/random,own/second",
        selector="search[estimators=own/spread]",
    )
    assert selection.top == Rung(60, 4)
    assert selection.unreached == 0


def test_a_spent_budget_begins_nothing_and_says_what_was_not_reached(tmp_path):
    selection = select(tmp_path, budget=1e-6, selector="own/halving")
    assert (selection.tested, selection.unreached) == ({}, 3)
    more = select(tmp_path)
    assert more.tested == {Rung(12, 2): 3, Rung(60, 4): 2}


def test_a_budget_that_is_spent_before_there_is_a_store_is_no_missing_store(tmp_path):
    """An estimator that was asked nothing of said that there was no store yet."""
    with pytest.raises(NotApplicable, match="score for none"):
        select(tmp_path, budget=0.0, selector="own/spread")
    selection = select(tmp_path, budget=0.0, selector="search[estimators=own/spread]")
    assert (selection.tested, len(selection.candidates)) == ({}, 3)


@pytest.mark.parametrize(
    "says, message",
    [(lambda q: {}["x"], "raised KeyError"), (lambda q: {"toy/fixed": float("nan")}, "toy/fixed")],
)
def test_a_selector_that_raises_or_says_what_is_no_number_is_a_bad_plugin(tmp_path, says, message):
    broken = replace(asks, name="own/broken", rank=says)
    with pytest.raises(BadPlugin, match=message):
        select(tmp_path, selector="own/broken", plugins=[PLUGIN, *OWN, broken])


def test_seeds_are_averaged_and_another_metric_decides_where_it_is_named(tmp_path):
    selection = select(tmp_path, seeds=2, metric="log_loss")
    assert (selection.metric, selection.sign, tuple(selection.seeds)) == ("log_loss", -1, (0, 1))
    first = selection.candidates[0]
    query = "SELECT avg(m.value), count(*) FROM metrics m JOIN cells c USING (job) WHERE split = 'validation' AND m.metric = 'log_loss'"
    value, count = (
        hw.Store(tmp_path / "s.duckdb")
        .sql(f"{query} AND c.source = '{first.source.name}' AND size = 'full'")
        .rows[0]
    )
    assert (count, first.predicted.quality) == (2, pytest.approx(-value))
    assert [
        column.heading
        for column in selection_table(selection).columns
        if column.heading.startswith("predicted")
    ] == ["predicted log_loss ↓"]


def test_asked_sizes_go_to_the_nearest_rung(tmp_path):
    from headwater.harness.running.run import NullWatcher, Session
    from headwater.harness.selecting.select import Request, prepared

    with Session() as session:
        asked = Request(
            task="toy/shades",
            sources=[SOURCES],
            sizes=[6, 20],
            selector="own/halving",
            keys={**KEYS, "store": tmp_path / "s.duckdb"},
        )
        live = prepared(
            asked,
            plugins=[PLUGIN, *OWN],
            control=INLINE,
            watcher=NullWatcher(),
            session=session,
            say=lambda text: None,
        ).live
    found = [
        live.rung(size, epochs)
        for size, epochs in ((5, 1), (12, None), (59, 2), (500, 99), (None, None))
    ]
    assert found == [Rung(6, 1), Rung(20, 4), Rung(60, 2), Rung(60, 4), Rung(60, 4)]


def test_mistakes_are_said_before_anything_runs(tmp_path):
    for changes, error, said in (
        ({"selector": "serch"}, UnknownName, "serch"),
        ({"metric": "acuracy"}, BadSpec, "no metric 'acuracy'"),
        ({"sizes": ["some"]}, BadSpec, "'some' is neither full"),
        ({"task": "toy/*"}, BadSpec, "one task"),
        ({"sources": "toy/nothing"}, UnknownName, "toy/nothing"),
    ):
        with pytest.raises(error, match=said):
            select(tmp_path, **changes)
    assert not (tmp_path / "s.duckdb").exists()


def test_parts_of_a_pooled_estimator_are_scaled_over_the_sources_of_the_question():
    assert scaled({"a": {"score": 3.0}, "b": {"score": 1.0}}) == {"a": 3.0, "b": 1.0}
    parts = {
        "a": {"energy": 1.0, "lda": 5.0},
        "b": {"energy": 3.0, "lda": 4.0},
        "c": {"energy": 2.0, "lda": 3.0},
    }
    assert scaled(parts) == {"a": 0 + 1, "b": 1 + 0.5, "c": 0.5 + 0}
    assert scaled({"a": {"energy": 1.0, "lda": 2.0}, "b": {"energy": 1.0, "lda": 3.0}}) == {
        "a": 0.0,
        "b": 1.0,
    }
    assert scaled({}) == {}
