"""Estimators: what they ask for, their range, and scores that keep notes and parts."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import headwater as hw
from headwater.registry import Bound, Evidence, Shape
from headwater.registry.errors import BadName, BadPlugin, NotApplicable
from headwater.registry.evidence.pool import pooled

EVIDENCE = Evidence.of(np.arange(12.0).reshape(6, 2), [0, 1, 2] * 2, np.full((6, 4), 0.25))


def returning(value, **facts):
    return hw.Estimator(name="lab/e", score=lambda features: value, **facts)


def test_it_is_given_what_its_parameters_name():
    @hw.estimator("lab/e")
    def score(labels, evidence, source_probabilities, moments, features, *, power: float = 1.0):
        """All of it."""
        assert evidence is EVIDENCE and labels is EVIDENCE.labels and moments is EVIDENCE.moments
        return float(features.shape[1] + source_probabilities.shape[1]) * power

    assert score.of(EVIDENCE, power=2.0) == 12.0
    assert score.inputs == ("labels", "evidence", "source_probabilities", "moments", "features")


def test_asking_for_what_there_is_not_is_a_broken_plugin():
    with pytest.raises(BadPlugin, match="asks for 'logits'"):
        hw.estimator("lab/e")(lambda features, logits: 0.0)


BOUND = Bound("min(D, C − 1)", lambda shape: min(shape.features, shape.classes - 1))


def test_bounds_may_depend_on_the_shape():
    card = returning(2.0, low=0.0, high=BOUND)
    assert card.of(EVIDENCE) == 2.0 and card.range(Shape(features=9, classes=5)) == (0.0, 4.0)
    assert card.range(Shape(features=9)) == (0.0, float("inf"))


@pytest.mark.parametrize(
    "bound",
    [lambda shape: 1.0, "1", float("nan"), Bound(" ", lambda shape: 1.0)],
    ids=["function", "text", "no number", "no formula"],
)
def test_a_bound_that_does_not_say_what_it_is_breaks_the_contract(bound):
    for facts in ({"low": bound}, {"high": bound}):
        with pytest.raises(BadPlugin, match="with its formula"):
            hw.estimator("lab/e", **facts)(lambda features: 0.0)


def test_a_kind_of_labels_that_does_not_exist_breaks_the_contract():
    with pytest.raises(BadPlugin, match="'regression'"):
        hw.estimator("lab/e", labels=("regression",))(lambda features: 0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.1, -0.1])
def test_a_value_out_of_range_is_never_returned(value):
    with pytest.raises(BadPlugin, match="its range is 0 to 1"):
        returning(value, low=0.0, high=1.0).of(EVIDENCE)


def test_rounding_beyond_a_bound_is_put_on_it():
    assert returning(1 + 1e-12, low=0.0, high=1.0).of(EVIDENCE) == 1.0


@pytest.mark.parametrize(
    "facts", [{"labels": ("numbers",)}, {"score": lambda source_probabilities: 0.0}]
)
def test_where_it_is_not_defined_it_does_not_apply(facts):
    card = hw.Estimator(**({"name": "lab/e", "score": lambda features: 0.0} | facts))
    with pytest.raises(NotApplicable):
        card.of(Evidence(EVIDENCE.features, EVIDENCE.labels))


def test_unknown_options_are_refused():
    with pytest.raises(BadName, match="no option 'power'"):
        returning(0.0).of(EVIDENCE, power=2.0)


def test_scores_survive_pickling_with_note_and_parts():
    score = pickle.loads(pickle.dumps(hw.Score(0.5, "a note", {"a": 1.0})))
    assert (score, score.note, score.parts) == (0.5, "a note", {"a": 1.0})


def test_parts_are_scaled_over_the_pool_and_added_up():
    parts = {"x": {"a": 1.0, "b": 5.0}, "y": {"a": 3.0, "b": 5.0}, "z": {"a": 2.0, "b": 5.0}}
    scores = pooled({key: hw.Score(0.0, parts=value) for key, value in parts.items()})
    assert {key: float(score) for key, score in scores.items()} == {"x": 0.0, "y": 1.0, "z": 0.5}
