"""hw.score: plain arrays in, a score out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import headwater as hw
from headwater.registry import Evidence, Kind
from headwater.registry.errors import BadName, DataError, NotApplicable, UnknownName
from tests.plugins.estimators import cases

DATA = cases.few_features()
BUNDLED = [
    card
    for card in hw.Registry.discover().cards[Kind.ESTIMATOR].values()
    if card.origin.startswith("headwater.plugins.")
]


@hw.estimator("lab/spread", low=0.0)
def spread(features, labels, *, power: float = 1.0):
    """Of the features."""
    return float(features.std() ** power)


def test_arrays_tensors_and_lists_score_alike():
    expected = hw.score("hscore", DATA.features, DATA.labels)
    assert (
        hw.score(
            "hscore", torch.tensor(DATA.features, requires_grad=True), torch.tensor(DATA.labels)
        )
        == expected
    )
    assert hw.score("hscore", DATA.features.tolist(), DATA.labels.tolist()) == expected
    assert hw.score("hscore", torch.tensor(DATA.features).bfloat16(), DATA.labels) == pytest.approx(
        expected, rel=0.02
    )


def test_it_is_a_float_with_a_note():
    score = hw.score("hscore", DATA.features[:5], DATA.labels[:5])
    assert isinstance(score, float) and score.note.startswith("says nothing")


def test_options_are_keywords_or_stand_in_brackets_and_a_card_serves_as_a_name():
    assert hw.score(spread, DATA.features, DATA.labels, power=2.0) == pytest.approx(
        DATA.features.var()
    )
    with pytest.raises(BadName, match="logme has no option 'power'"):
        hw.score("logme[power=2]", DATA.features, DATA.labels)
    with pytest.raises(BadName, match="logme has no option 'power'"):
        hw.score("logme", DATA.features, DATA.labels, power=2)


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean logme"):
        hw.score("logmee", DATA.features, DATA.labels)


def test_a_source_without_a_classifier_is_told_what_to_do():
    with pytest.raises(NotApplicable, match=r"leep needs .* class probabilities") as caught:
        hw.score("leep", DATA.features, DATA.labels)
    assert "source_probabilities=" in caught.value.hint


def test_several_sources_give_a_list_or_a_mapping():
    pool = {"a": DATA.features, "b": DATA.features[:, :3]}
    one_by_one = [hw.score("hscore", features, DATA.labels) for features in pool.values()]
    assert hw.score("hscore", list(pool.values()), DATA.labels) == one_by_one
    assert hw.score("hscore", pool, DATA.labels) == dict(zip("ab", one_by_one, strict=True))
    assert (
        hw.score("hscore", [features.tolist() for features in pool.values()], DATA.labels)
        == one_by_one
    )


def test_several_sources_have_probabilities_each():
    pool = [DATA.features, DATA.features[:, :3]]
    given = [DATA.probabilities, DATA.probabilities[:, ::-1]]
    scores = hw.score("leep", pool, DATA.labels, given)
    assert scores == [
        hw.score("leep", features, DATA.labels, own)
        for features, own in zip(pool, given, strict=True)
    ]
    with pytest.raises(DataError, match="not of the same sources"):
        hw.score("leep", pool, DATA.labels, given[:1])


def test_no_features_at_all_are_an_error():
    with pytest.raises(DataError, match="there are no features"):
        hw.score("hscore", {}, DATA.labels)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
@pytest.mark.parametrize("card", BUNDLED, ids=lambda card: card.name)
def test_every_bundled_estimator_answers_within_its_range_the_same_twice_and_changes_nothing(
    card, case
):
    """Or says why not; never a NaN, an error of numpy's, or a warning."""
    first, again = case(), case()
    try:
        scores = [
            hw.score(
                card,
                [data.features] * 2 if card.pooled else data.features,
                data.labels,
                None if card.pooled else data.probabilities,
            )
            for data in (first, again)
        ]
    except NotApplicable as reason:
        assert reason.message
        return
    assert scores[0] == scores[1]
    evidence = Evidence.of(first.features, first.labels, first.probabilities)
    assert card.of(evidence) == card.of(evidence), "it changes what the evidence keeps"
    for name in ("features", "labels", "probabilities"):
        assert np.array_equal(getattr(first, name), getattr(case(), name)), name
