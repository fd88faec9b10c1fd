"""Judging on a store whose outcomes are known: what is asked, what is counted, what it costs, what cannot be told."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from headwater.leaderboard.gains.gain_rows import Filter
from headwater.leaderboard.selectors.choice import selectors_to_judge
from headwater.leaderboard.selectors.history import History
from headwater.leaderboard.selectors.judging import Judgement, judge
from headwater.leaderboard.selectors.replay import Replay
from headwater.leaderboard.selectors.stability import Ranking, order_stability, stability
from headwater.leaderboard.show.judged_table import judged_table
from headwater.registry import Kind, Registry, selector
from headwater.registry.errors import NotApplicable, QueryError, UnknownName
from tests.leaderboard.judged import SECONDS, SOURCES, TARGETS, judged_store, quality
from tests.leaderboard.synthetic import grid_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return judged_store(tmp_path_factory.mktemp("judged") / "s.duckdb")


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture(scope="module")
def recorded(store):
    return History.read(store, "fine_tune")


@pytest.fixture(scope="module")
def judgement(store, registry):
    return judge(store, selectors_to_judge(registry, store), Filter(size="150"))


def row(judgement, name):
    return next(row for row in judgement.rows if row.name == name)


def truth(target):
    return np.array([np.mean([quality(name, target, seed) for seed in (0, 1)]) for name in SOURCES])


def regrets(choose):
    return [
        (truth(target).max() - choose(truth(target))) / truth(target).max() for target in TARGETS
    ]


def test_regret_is_what_the_first_choice_loses_mean_over_targets(judgement):
    assert row(judgement, "logme").figures["regret1"].value == 0
    assert row(judgement, "parameters").figures["regret1"].value == pytest.approx(
        np.mean(regrets(lambda values: values[0]))
    )
    assert row(judgement, "largest").regret_by_target["target5"] == pytest.approx(
        regrets(lambda values: values[4])[5]
    )


def test_random_is_judged_by_its_expectation(judgement):
    by_chance = row(judgement, "random").figures
    assert by_chance["regret1"].value == pytest.approx(np.mean(regrets(np.mean)))
    assert (by_chance["weighted_tau"].value, by_chance["kendall"].low) == (0, 0)


def test_a_random_source_counts_as_a_source_under_the_control(judgement):
    assert {setting.sources for setting in judgement.settings} == {SOURCES}


def test_features_are_paid_once_and_scores_each(judgement):
    logme = row(judgement, "logme")
    assert logme.seconds == pytest.approx(4 * (0.4 + 0.1))
    assert logme.share == pytest.approx(2.0 / 50)
    assert logme.unscored == len(TARGETS) * 2  # scratch has no score, under either seed
    assert (row(judgement, "prior").seconds, row(judgement, "prior").uses_target) == (0, False)


def test_a_selector_that_can_answer_nowhere_is_last_and_says_why(judgement):
    silent = judgement.rows[-1]
    assert silent.targets == 0 and silent.figures["regret1"].value is None
    assert "score for none" in row(judgement, "gbc").refused["target0"]


def test_a_plugin_that_raises_or_returns_what_is_no_number_does_not_take_the_table_down(store):
    def broken(question):
        return (
            {source.name: float("nan") for source in question.sources}
            if question.task.name == "target0"
            else 1 / 0
        )

    found = judge(store, [(selector("lab/broken")(broken), {}, "lab/broken")])
    assert "is not a number" in found.rows[0].refused["target0"]
    assert found.rows[0].refused["target1"].startswith("ZeroDivisionError")


def test_a_selector_that_leaves_out_a_source_is_refused_with_its_name(store):
    def forgetful(question):
        return {source.name: 1.0 for source in question.sources[1:]}

    refused = judge(store, [(selector("lab/x")(forgetful), {}, "lab/x")]).rows[0].refused
    assert refused
    assert all("gives no score for" in reason for reason in refused.values())


def test_refusing_some_targets_is_counted_and_the_others_are_judged(store):
    def picky(question):
        if question.task.name == "target5":
            raise NotApplicable("not on a Tuesday")
        return {source.name: source.parameters for source in question.sources}

    found = judge(
        store, [(selector("lab/picky")(picky), {}, "lab/picky")], Filter(size="150")
    ).rows[0]
    assert (found.targets, found.refused) == (5, {"target5": "not on a Tuesday"})
    assert found.figures["regret1"].value == 0


def test_intervals_hold_the_value_and_ties_are_those_that_differences_do_not_tell(judgement):
    for one in judgement.rows:
        if one.targets:
            figure = one.figures["regret1"]
            assert figure.low <= figure.value <= figure.high
    assert {one.name for one in judgement.rows if one.tied} >= {"logme", "prior", "parameters"}
    assert not row(judgement, "random").tied and row(judgement, "random").behind.low > 0


def test_a_question_holds_nothing_of_its_own_target(recorded):
    setting = next(one for one in recorded.settings if one.task == "target2" and one.size == "150")
    question = Replay(setting, 0, recorded, 0.1).question()
    assert {record.task for record in question.records} == set(TARGETS) - {"target2"}
    assert (question.size, question.epochs, question.task.domain) == (150, 4, "aerial")
    assert (
        question.relations["net/b"] == "within-domain"
        and question.relations["net/a"] == "cross-domain"
    )
    known = [
        record
        for record in question.records
        if record.source == "net/a" and record.setting.size == "150"
    ]
    assert known[0].estimates == {"logme": pytest.approx(known[0].quality)}
    assert question.sources[0].images == 1000


def test_measuring_replays_smaller_and_shorter_trainings_at_what_they_cost(recorded):
    setting = next(one for one in recorded.settings if one.task == "target2" and one.size == "150")
    replay = Replay(setting, 1, recorded, 1.0)
    whole = replay.measure(["net/a"])
    assert (whole["net/a"], replay.spent) == (
        pytest.approx(quality("net/a", "target2", 1) + 0.001),
        10,
    )
    assert replay.measure(["net/a"]) == whole and replay.spent == 10  # it is known by now
    small = replay.measure(["net/a"], size=50)
    assert (small["net/a"], replay.spent) == (
        pytest.approx(quality("net/a", "target2", 1) - 0.099),
        pytest.approx(10 + 10 / 3),
    )
    short = replay.measure(
        ["net/a"], size=60, epochs=2
    )  # the largest below, its curve up to there, at that share
    assert (short["net/a"], replay.spent) == (
        pytest.approx((quality("net/a", "target2", 1) - 0.1) / 2),
        pytest.approx(10 + 10 / 3 + 10 / 6),
    )


def test_measuring_ends_with_the_budget(recorded):
    setting = next(one for one in recorded.settings if one.task == "target0" and one.size == "150")
    replay = Replay(setting, 0, recorded, 0.5)
    assert replay.budget == 25
    assert list(replay.measure(SOURCES)) == ["net/a", "net/b"] and replay.spent == 20
    assert replay.measure(["net/c"]) == {} and list(replay.measure(["net/c"], epochs=2)) == [
        "net/c"
    ]


def test_imported_cells_without_seconds_have_no_cost_and_no_measure(recorded):
    cells = recorded.cells.assign(seconds=None)
    free = replace(recorded, cells=cells)
    question = Replay(free.settings[0], 0, free, 0.1).question()
    assert question.measure is None and question.estimate is not None


def test_sources_without_every_seed_are_left_out_and_said(recorded):
    gone = recorded.cells[~(recorded.cells["job"] == "net/b-target0-1-150")]
    setting = next(
        one
        for one in replace(recorded, cells=gone).settings
        if one.task == "target0" and one.size == "150"
    )
    assert (
        setting.left_out == ("net/b",)
        and "net/b" not in setting.sources
        and setting.quality.shape == (2, 4)
    )


def test_a_seed_that_has_hardly_begun_does_not_count(recorded):
    begun = recorded.cells[(recorded.cells["seed"] == 0) | (recorded.cells["source"] == "net/a")]
    setting = replace(recorded, cells=begun).settings[0]
    assert setting.seeds == (0,) and len(setting.sources) == 5


def test_stability_compares_set_ups_that_differ_in_one_component(recorded):
    settings = [one for one in recorded.settings if one.task == "target0"]
    order, other = (
        np.array([5.0, 4, 3, 2, 1]),
        np.array([4.0, 5, 3, 2, 1]),
    )  # one pair of ten swapped: τ = 0.8
    rankings = [
        Ranking(at, one, seed, other if seed else order)
        for at, one in enumerate(settings)
        for seed in (0, 1)
    ]
    assert stability(rankings) == {"seed": pytest.approx(0.8), "size": 1.0}
    assert stability([replace(one, scores=np.zeros(5)) for one in rankings]) == {}


def test_the_order_of_selectors_is_stable_where_they_keep_their_places(recorded):
    settings = recorded.settings
    score = {"good": [5.0, 4, 3, 2, 1], "fair": [4.0, 5, 2, 3, 1], "bad": [1.0, 2, 3, 4, 5]}
    said = {
        name: [
            Ranking(at, one, seed, np.array(scores))
            for at, one in enumerate(settings)
            for seed in (0, 1)
        ]
        for name, scores in score.items()
    }
    found = order_stability(settings, said)
    assert found["seed"] == found["size"] == 1.0
    assert set(found) == {"seed", "size", "target"}
    assert order_stability(settings, {name: said[name] for name in ("good", "bad")}) == {}


def test_every_scored_estimator_is_judged_also_one_whose_plugin_is_not_here(store, registry):
    names = [name for _, _, name in selectors_to_judge(registry, store)]
    assert set(registry.cards[Kind.SELECTOR]) == set(names)
    bare = Registry()
    (card, options, name) = selectors_to_judge_all(bare, store)
    assert (card.name, options, name) == ("logme", {}, "logme")
    with pytest.raises(UnknownName):
        selectors_to_judge(registry, store, "no_such_rule")
    assert [name for _, _, name in selectors_to_judge(registry, store, "search[keep=2],prior")] == [
        "search[keep=2]",
        "prior",
    ]


def selectors_to_judge_all(registry, store):
    registry.cards[Kind.SELECTOR] = {"lab/x": selector("lab/x")(lambda question: {})}
    return selectors_to_judge(registry, store)[-1]


def test_what_cannot_be_judged_says_what_is_missing(store, registry, tmp_path):
    asked = selectors_to_judge(registry, store, "prior")
    with pytest.raises(QueryError, match="holds no cells of lora"):
        judge(store, asked, adaptation="lora")
    with pytest.raises(QueryError, match="no cell of fine_tune matches") as refusal:
        judge(store, asked, Filter(task="elsewhere"))
    assert "target0" in refusal.value.hint


def test_judging_says_the_same_twice(store, registry, judgement):
    again = judge(
        store,
        selectors_to_judge(registry, store, "logme,search,learned_prior,random"),
        Filter(size="150"),
    )
    assert again.rows == [row(judgement, one.name) for one in again.rows]


def test_a_store_of_other_benchmarks_is_judged_too(tmp_path, registry):
    store = grid_store(tmp_path / "grid.duckdb")
    found = judge(store, selectors_to_judge(registry, store, "random,prior,domain_size,largest"))
    assert {one.targets for one in found.rows} == {3}
    assert {len(setting.sources) for setting in found.settings} == {
        4,
        3,
    }  # the chain that failed a seed is left out there


def test_fine_tuning_everything_costs_everything_and_chooses_by_validation(store, registry):
    found = judge(
        store, [(*registry.selector("everything"), "everything")], Filter(size="150"), budget=0.01
    )
    (row,) = found.rows
    assert row.share == pytest.approx(1.0)
    assert row.seconds == pytest.approx(5 * SECONDS)
    assert row.regret == pytest.approx(0.0)  # validation is the test value and a constant


def test_noise_is_what_one_seeds_choice_loses_by_the_others():
    setting = SimpleNamespace(
        task="t", quality=np.array([[0.5, 0.4, 0.1], [0.3, 0.6, 0.2], [0.5, 0.2, 0.4]])
    )
    lost = [
        (0.4 - 0.4) / 0.4,
        (0.5 - 0.3) / 0.5,
        (0.5 - 0.4) / 0.5,
    ]  # each seed's first, by the mean of the two others
    found = Judgement(
        "fine_tune",
        [],
        [setting, SimpleNamespace(task="u", quality=np.ones((1, 3)))],
        0,
        0.1,
        {},
        None,
    )
    assert found.noise == pytest.approx(np.mean(lost))
    assert replace(found, settings=found.settings[1:]).noise is None


def test_selectors_are_compared_on_the_sizes_that_both_answered_for(store, registry):
    """logme has scores at 150 images alone: what largest loses at 50 is no difference between the two."""
    both = judge(store, selectors_to_judge(registry, store, "logme,largest"))
    alone = judge(store, selectors_to_judge(registry, store, "logme,largest"), Filter(size="150"))
    assert (
        row(both, "largest").figures["regret1"].value
        != row(alone, "largest").figures["regret1"].value
    )
    assert row(both, "largest").behind == row(alone, "largest").behind


def test_what_answered_for_few_targets_is_not_what_all_are_held_against(store, registry):
    @selector("picky")
    def picky(question):
        """The best, where it deigns to answer."""
        if question.task.name != "target0":
            raise NotApplicable("not there")
        return {one.name: float(one.name == "net/a") for one in question.sources}

    found = judge(
        store,
        [(picky, {}, "picky"), *selectors_to_judge(registry, store, "logme,largest")],
        Filter(size="150"),
    )
    assert row(found, "picky").figures["regret1"].value == 0
    assert found.best.name == "logme" and found.best_static.name == "largest"
    notes = judged_table(found).notes
    assert any(note == "picky: no answer for 5 targets (not there)" for note in notes)


def test_a_target_that_was_answered_for_at_one_size_is_not_said_to_lack_an_answer(store, registry):
    notes = judged_table(judge(store, selectors_to_judge(registry, store, "logme,largest"))).notes
    assert any(re.match("logme: no answer .* 6 targets", note) for note in notes)
