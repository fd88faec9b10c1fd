"""LEEP against its two equations, written as loops."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

import headwater as hw
from tests.plugins.estimators import cases


def brute(labels, probabilities):
    """mean_i log Σ_z p(y_i | z) P_iz, with p(y | z) from the soft joint distribution."""
    labels, rows = list(labels), [[float(p) for p in row] for row in probabilities]
    rows = [[p / math.fsum(row) for p in row] for row in rows]
    columns = range(len(rows[0]))
    fired = [sum(row[z] for row in rows) for z in columns]
    given = {
        y: [
            sum(row[z] for row, label in zip(rows, labels, strict=True) if label == y) / fired[z]
            if fired[z]
            else 0.0
            for z in columns
        ]
        for y in set(labels)
    }
    expected = [
        sum(given[y][z] * row[z] for z in columns) for row, y in zip(rows, labels, strict=True)
    ]
    return sum(math.log(value) for value in expected) / len(expected)


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_its_definition(case):
    data = case()
    expected = brute(data.labels, data.probabilities)
    assert hw.score("leep", data.features, data.labels, data.probabilities) == pytest.approx(
        expected, rel=1e-9
    )


def test_it_is_its_definition_across_blocks_of_images(monkeypatch):
    from headwater.plugins.estimators import leep

    monkeypatch.setattr(leep, "BLOCK_NUMBERS", 1)
    monkeypatch.setattr(leep, "MIN_BLOCK_ROWS", 7)
    data = cases.unbalanced()
    expected = brute(data.labels, data.probabilities)
    assert hw.score("leep", data.features, data.labels, data.probabilities) == pytest.approx(
        expected, rel=1e-12
    )


def test_source_classes_that_never_fire_change_nothing():
    data = cases.few_features()
    wider = np.insert(data.probabilities, [0, 2, 5], 0.0, axis=1)
    expected = hw.score("leep", data.features, data.labels, data.probabilities)
    assert hw.score("leep", data.features, data.labels, wider) == pytest.approx(expected, rel=1e-12)


def test_a_source_that_tells_the_label_scores_0_and_one_that_tells_nothing_the_entropy_of_the_labels():
    labels, features = np.arange(12) % 3, np.zeros((12, 2))
    assert hw.score("leep", features, labels, np.eye(5)[labels]) == 0
    assert hw.score("leep", features, labels, np.full((12, 5), 0.2)) == pytest.approx(
        -math.log(3), rel=1e-12
    )


@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_at_least_the_soft_conditional_entropy_and_at_most_0(case):
    data = case()
    joint = np.stack(
        [data.probabilities[data.labels == label].sum(0) for label in np.unique(data.labels)]
    ) / len(data.labels)
    entropy = float((joint * np.log(joint / joint.sum(0))).sum())
    assert entropy - 1e-9 <= hw.score("leep", data.features, data.labels, data.probabilities) < 0


def test_float32_probabilities_of_a_perfect_source_do_not_carry_it_above_0():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    shares = random.dirichlet(np.ones(4), 300).astype(np.float32)
    probabilities = np.zeros((300, 12), np.float32)
    for label in range(3):
        probabilities[labels == label, 4 * label : 4 * label + 4] = shares[labels == label]
    score = hw.score("leep", np.zeros((300, 2)), labels, probabilities)
    assert -1e-12 < score <= 0


def test_no_array_of_images_by_source_classes_by_classes_is_made():
    """It would take 2,000 × 200 × 100 × 8 bytes = 320 MB."""
    random = np.random.default_rng(0)
    labels, probabilities = (
        random.permutation(np.arange(2000) % 100),
        random.dirichlet(np.ones(200), 2000),
    )
    tracemalloc.start()
    hw.score("leep", np.zeros((2000, 2)), labels, probabilities)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
