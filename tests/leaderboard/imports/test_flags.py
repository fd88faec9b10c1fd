import pytest

from tests.leaderboard.imports.published import WIDE, WIDE_KEYS, incoming


def flagged(found):
    return {(row.adaptation, row.source, row.task): row.note for row in found.flagged.itertuples()}


def test_scores_outside_the_declared_range_go_in_with_a_note(tmp_path):
    found = incoming(tmp_path, WIDE, WIDE_KEYS)
    assert flagged(found) == {
        ("hscore", "beta", "pets"): "outside [0, 2]",
        ("leep", "gamma", "cars"): "outside (−∞, 0]",
    }
    assert 2.5 in found.values["value"].tolist()


def test_a_bound_that_depends_on_what_is_not_known_flags_nothing(tmp_path):
    text = WIDE.replace("0.70,0.5", "0.70,500").replace("0.65,0.4", "0.65,-1")
    assert (
        flagged(incoming(tmp_path, text, WIDE_KEYS))["hscore", "gamma", "cars"] == "outside [0, ∞)"
    )
    assert ("hscore", "alpha", "cars") not in flagged(incoming(tmp_path, text, WIDE_KEYS))


def test_a_published_digit_may_round_over_the_bound(tmp_path):
    for written, outside in (
        ("2.0", False),
        ("2.04", True),
        ("2.0000000001", False),
        ("3e0", True),
        ("2.", False),
    ):
        found = incoming(tmp_path, WIDE.replace("0.91,1.5", f"0.91,{written}"), WIDE_KEYS)
        assert (("hscore", "alpha", "pets") in flagged(found)) == outside
    found = incoming(tmp_path, WIDE.replace("0.91,1.5,-0.5", "0.91,1.5,0.0"), WIDE_KEYS)
    assert ("leep", "alpha", "pets") not in flagged(found)


def test_an_estimator_with_options_has_the_range_of_its_card(tmp_path):
    found = incoming(
        tmp_path, WIDE, WIDE_KEYS, estimators={"hscore[ridge=1]": "hscore", "mystery": "leep"}
    )
    assert flagged(found) == {("hscore[ridge=1]", "beta", "pets"): "outside [0, 2]"}
    assert found.unknown == ("mystery",)


NCE = """model,dataset,nce,logme
a,dtd,0.7,0.7
b,dtd,0.6,0.6
c,dtd,0.5,0.5
a,pets,-0.7,0.1
b,pets,-0.6,0.6
c,pets,-0.5,0.5
"""
NCE_KEYS = {
    "name": "nce",
    "columns": {"source": "model", "task": "dataset"},
    "estimators": {"nce": "nce", "logme": "logme"},
}


def test_a_column_that_repeats_another_for_a_whole_task_is_blamed_where_it_is_out_of_range(
    tmp_path,
):
    note = "outside (−∞, 0]; the same as logme for every source of this task"
    assert flagged(incoming(tmp_path, NCE, NCE_KEYS)) == {
        ("nce", source, "dtd"): note for source in "abc"
    }


def test_of_two_equal_columns_both_are_flagged_where_nothing_tells_which_was_copied(tmp_path):
    found = flagged(incoming(tmp_path, NCE, NCE_KEYS, estimators={"one": "nce", "two": "logme"}))
    assert found["one", "a", "dtd"].startswith("the same as two ")
    assert found["two", "a", "dtd"].startswith("the same as one ")
    assert len(found) == 6


@pytest.mark.parametrize(
    "text",
    [
        NCE.replace("c,dtd,0.5,0.5", "c,dtd,0.5,0.4"),  # not for every source
        NCE.replace("c,dtd,0.5,0.5\n", ""),  # two sources may agree by chance
        NCE.replace("0.7,0.7", "1,1")
        .replace("0.6,0.6", "1,1")
        .replace("0.5,0.5", "1,1"),  # both constant
    ],
)
def test_equal_values_that_may_be_chance_are_not_called_a_copy(tmp_path, text):
    found = flagged(incoming(tmp_path, text, NCE_KEYS, estimators={"one": "nce", "two": "logme"}))
    assert found == {}


def test_a_known_fault_goes_with_each_score_it_is_of(tmp_path):
    faults = [{"estimator": "logme", "tasks": "p*", "note": "log-determinant lacks a term"}]
    assert flagged(
        incoming(tmp_path, NCE, {**NCE_KEYS, "estimators": {"logme": "logme"}}, faults=faults)
    ) == {("logme", source, "pets"): "log-determinant lacks a term" for source in "abc"}
