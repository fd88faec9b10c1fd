"""The classification type: labels in, metrics out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from headwater.plugins.task_types.classification import classification
from headwater.registry.errors import DataError, TrainingError
from tests.facts import missing_facts
from tests.plugins.given import given

METHODS = classification.methods
CLASSES = ("cat", "dog", "owl")
TASK = given(classification, []).task


def test_labels_are_indices_or_class_names():
    assert METHODS.encode(
        given(classification, ["dog", 0, np.int64(2), "cat"], CLASSES)
    ).targets.tolist() == [1, 0, 2, 0]
    assert METHODS.encode(given(classification, [], CLASSES)).targets.dtype == np.int64


@pytest.mark.parametrize(
    ("label", "facts"),
    [
        (3, ("b.jpg", "label 3", "0 to 2")),
        (-1, ("b.jpg", "label -1", "0 to 2")),
        ("fox", ("b.jpg", "label 'fox'", "none of the 3 classes")),
        (None, ("b.jpg", "no label")),
        (math.nan, ("b.jpg", "no label")),
    ],
)
def test_a_label_that_is_no_class_is_an_error_naming_the_image(label, facts):
    with pytest.raises(DataError) as raised:
        METHODS.encode(given(classification, [0, label], CLASSES))
    assert missing_facts(raised.value.message, *facts) == []


def test_class_names_are_found_where_the_data_do_not_say():
    assert METHODS.classes(["b", "a", "b"], TASK) == ("a", "b")
    assert METHODS.classes([2, 0], TASK) == ("0", "1", "2")
    assert METHODS.classes([], TASK) == ()


def test_metrics_on_a_split_worked_out_by_hand():
    outputs = torch.tensor([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [2.0, 0.0, 0.0]])
    measured = METHODS.measure(outputs, torch.tensor([0, 0, 1, 1]))
    assert measured["accuracy"] == 0.75
    assert measured["balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert measured["f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert measured["auroc"] == pytest.approx(0.75)
    right, wrong = -math.log(math.exp(2) / (math.exp(2) + 2)), -math.log(1 / (math.exp(2) + 2))
    assert measured["log_loss"] == pytest.approx((3 * right + wrong) / 4)


def test_a_class_absent_from_a_split_does_not_change_the_averages():
    two, targets = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]), torch.tensor([0, 1, 1])
    with_third = torch.cat([two, torch.full((3, 1), -50.0)], 1)
    for metric in ("accuracy", "balanced_accuracy", "f1", "auroc"):
        assert METHODS.measure(with_third, targets)[metric] == pytest.approx(
            METHODS.measure(two, targets)[metric]
        )


def test_no_metric_is_ever_nan():
    one_class = METHODS.measure(torch.randn(4, 3), torch.zeros(4, dtype=torch.long))
    assert one_class["auroc"] == 0.5
    ruled_out = METHODS.measure(
        torch.tensor([[0.0, -math.inf], [0.0, -math.inf]]), torch.tensor([0, 1])
    )
    for measured in (one_class, ruled_out):
        assert all(math.isfinite(value) for value in measured.values())


def test_outputs_that_are_not_numbers_are_an_error():
    with pytest.raises(TrainingError, match="not numbers"):
        METHODS.measure(torch.tensor([[math.nan, 0.0]]), torch.tensor([0]))


def test_metrics_are_those_the_card_declares_and_log_loss_is_better_lower():
    assert set(METHODS.measure(torch.randn(6, 3), torch.tensor([0, 1, 2] * 2))) == {
        metric.name for metric in classification.metrics
    }
    assert [metric.name for metric in classification.metrics if not metric.higher_is_better] == [
        "log_loss"
    ]
    assert classification.metric("").name == "accuracy"


def test_the_head_maps_features_to_classes():
    assert METHODS.head(8, 3)(torch.zeros(5, 8)).shape == (5, 3)
