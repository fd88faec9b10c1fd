"""NCE against the conditional entropy of counted pairs."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

import headwater as hw
from headwater.registry.errors import NotApplicable
from tests.plugins.estimators import cases


def brute(case):
    """−H(Y|Z) = Σ p(y, z) log p(y | z), of pairs counted one by one."""
    guesses = [
        max(range(len(row)), key=lambda z, row=row: row[z]) for row in case.probabilities.tolist()
    ]
    pairs, alone = Counter(zip(case.labels.tolist(), guesses, strict=True)), Counter(guesses)
    return sum(count / len(guesses) * math.log(count / alone[z]) for (_, z), count in pairs.items())


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_the_conditional_entropy_of_counted_pairs(case):
    data = case()
    assert hw.score("nce", data.features, data.labels, data.probabilities) == pytest.approx(
        brute(data), rel=1e-12
    )


def test_a_source_whose_class_tells_the_label_scores_0_and_one_that_tells_nothing_the_entropy_of_the_labels():
    labels = np.arange(12) % 3
    told = np.eye(7)[[6, 2, 4]][labels]
    nothing = np.full((12, 7), 1 / 7)
    features = np.zeros((12, 2))
    assert hw.score("nce", features, labels, told) == 0
    assert hw.score("nce", features, labels, nothing) == pytest.approx(-math.log(3), rel=1e-12)


def test_nothing_is_added_to_the_cells():
    """Fifty source classes that are never guessed leave the score exactly as it is."""
    data = cases.few_features()
    wider = np.c_[data.probabilities, np.zeros((len(data.labels), 50))]
    assert hw.score("nce", data.features, data.labels, wider) == hw.score(
        "nce", data.features, data.labels, data.probabilities
    )


def test_a_source_without_a_classifier_has_no_score():
    data = cases.few_features()
    with pytest.raises(NotApplicable, match="class probabilities"):
        hw.score("nce", data.features, data.labels)
