"""Mistakes of plugin authors: each is a BadPlugin that names the card and what is wrong."""

import numpy as np
import pytest

import headwater as hw


@pytest.mark.parametrize(
    ("decorator", "argument", "near"),
    [
        (hw.source_model, "license", "licence"),
        (hw.source_model, "doman", "domain"),
        (hw.task, "metrik", "metric"),
        (hw.adaptation, "aproach", "approach"),
        (hw.estimator, "label", "labels"),
        (hw.selector, "chanse", "chance"),
    ],
)
def test_an_argument_that_does_not_exist_is_named_with_the_nearest(decorator, argument, near):
    with pytest.raises(hw.BadPlugin) as caught:
        decorator("lab/x", **{argument: "y"})
    assert caught.value.subject == "lab/x"
    assert repr(argument) in caught.value.message
    assert near in caught.value.message


def test_an_argument_that_is_missing_is_a_bad_plugin():
    with pytest.raises(hw.BadPlugin, match="metrics"):
        hw.task_type("lab/x")


def test_a_source_that_builds_no_network_is_named():
    with pytest.raises(hw.BadPlugin, match="lab/x") as caught:
        hw.source_model("lab/x")(lambda: 3).network(32)
    assert "int" in caught.value.message


def test_a_score_that_is_no_number_is_named():
    evidence = hw.Evidence.of(np.eye(4), [0, 1, 0, 1])

    @hw.estimator("lab/x")
    def score(features):
        return None

    with pytest.raises(hw.BadPlugin, match="lab/x"):
        score.of(evidence)


@pytest.mark.parametrize("answer", [None, [1.0], {"a": "high"}])
def test_a_selector_that_returns_no_scores_is_named(answer):
    task = hw.Task(name="t", load=dict)
    with pytest.raises(hw.BadPlugin, match="lab/x"):
        hw.selector("lab/x")(lambda question: answer).scores(hw.Question(task, []))


def test_an_adaptation_that_returns_no_objective_or_too_few_solutions_is_named():
    with pytest.raises(hw.BadPlugin, match="lab/x"):
        hw.adaptation("lab/x")(lambda context: None).objective(None)
    with pytest.raises(hw.BadPlugin, match="lab/x"):
        hw.adaptation("lab/x", on="features")(lambda cells: []).solutions([None])


def test_a_name_of_the_hub_builds_nothing():
    with pytest.raises(hw.BadName):
        hw.timm_model("hf-hub:org/name")
