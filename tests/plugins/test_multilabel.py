"""The multilabel type: lists of labels in, metrics of every label out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from headwater.plugins.task_types.multilabel import multilabel
from headwater.registry import Task
from headwater.registry.errors import DataError, TrainingError
from tests.facts import missing_facts
from tests.plugins.given import given

METHODS = multilabel.methods
CLASSES = ("cat", "dog", "owl")
TASK = Task(name="rendered/test", load=dict, type="multilabel")


def flags_of(targets, classes=CLASSES):
    return METHODS.encode(given(multilabel, targets, classes)).targets.tolist()


def test_labels_are_lists_of_names_or_indices_and_none_is_legitimate():
    assert flags_of([["owl", "cat"], [1], [], np.array([2, 1]), ("dog",)]) == [
        [1, 0, 1],
        [0, 1, 0],
        [0, 0, 0],
        [0, 1, 1],
        [0, 1, 0],
    ]
    encoded = METHODS.encode(given(multilabel, [[], [0]], CLASSES))
    assert encoded.targets.dtype == np.int64
    assert encoded.rows is None and encoded.flaws == ()


def test_rows_of_zeros_and_ones_are_flags():
    assert flags_of(
        [np.array([0, 1, 1]), [1, 0, 0], [True, False, True], np.array([0.0, 0.0, 0.0])]
    ) == [
        [0, 1, 1],
        [1, 0, 0],
        [1, 0, 1],
        [0, 0, 0],
    ]


def test_of_two_classes_a_list_names_labels_and_an_array_flags_them():
    assert flags_of([[0, 1], np.array([0, 1]), [False, True], [1]], CLASSES[:2]) == [
        [1, 1],
        [0, 1],
        [0, 1],
        [0, 1],
    ]


def test_one_whole_number_is_a_label_however_it_is_listed():
    assert flags_of([np.array([0]), [0], []], CLASSES[:1]) == [[1], [1], [0]]
    assert flags_of([np.array([True]), [False], np.array([1.0]), np.array([0.0])], CLASSES[:1]) == [
        [1],
        [0],
        [1],
        [0],
    ]
    assert METHODS.classes([np.array([1]), np.array([0]), np.array([1])], TASK) == ("0", "1")
    assert METHODS.classes([np.array([True]), np.array([False])], TASK) == ("0",)


@pytest.mark.parametrize(
    ("labels", "facts"),
    [
        ([0, 3], ("b.jpg", "label 3", "0 to 2")),
        ([-1], ("b.jpg", "label -1", "0 to 2")),
        (["fox"], ("b.jpg", "label 'fox'", "none of the 3 classes")),
        ([None], ("b.jpg", "label None", "none of the 3 classes")),
        (None, ("b.jpg", "no list of labels")),
        (math.nan, ("b.jpg", "no list of labels")),
        ("cat", ("b.jpg", "'cat'", "no list of labels")),
        (1, ("b.jpg", "has 1", "no list of labels")),
    ],
)
def test_what_is_no_list_of_labels_is_an_error_naming_the_image(labels, facts):
    with pytest.raises(DataError) as raised:
        METHODS.encode(given(multilabel, [[0], labels], CLASSES))
    assert missing_facts(raised.value.message, *facts) == []
    assert raised.value.subject == "b.jpg"


def test_classes_are_found_where_the_data_do_not_say():
    assert METHODS.classes([["b", "a"], [], ["c"]], TASK) == ("a", "b", "c")
    assert METHODS.classes([[2], [0, 1]], TASK) == ("0", "1", "2")
    assert METHODS.classes([np.array([0, 1, 0, 0]), np.array([1, 0, 0, 0])], TASK) == (
        "0",
        "1",
        "2",
        "3",
    )
    assert METHODS.classes([[0, 0, 0], [1, 0, 1]], TASK) == ("0", "1", "2")
    assert METHODS.classes([], TASK) == ()


def test_a_class_that_none_or_all_have_is_allowed_but_not_where_nothing_varies():
    assert METHODS.outputs(np.array([[1, 0, 1], [1, 0, 0]]), CLASSES) == 3
    with pytest.raises(DataError, match="the same labels"):
        METHODS.outputs(np.array([[1, 0, 0], [1, 0, 0]]), CLASSES)
    with pytest.raises(DataError, match="no class"):
        METHODS.outputs(np.zeros((2, 0), np.int64), ())


def test_strata_are_the_rarest_label_of_an_image():
    targets = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 1, 1]])
    assert METHODS.strata(targets).tolist() == [1, 0, 2, 3, 1]


def noise(images=40, classes=4, seed=0):
    """Logits that know something, with ties; the last label is on every image."""
    random = np.random.default_rng(seed)
    flags = random.random((images, classes)) < 0.3
    flags[:, -1] = True
    scores = np.round(flags + random.normal(size=flags.shape), 1)
    return scores.astype(np.float32), flags.astype(np.int64)


def area(scores, flags):
    """The share of pairs of an image with the label and one without in which the first scores higher; half for a tie."""
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[flags == 1] for b in scores[flags == 0]]
    return float(np.mean(pairs))


def average_precision(scores, flags):
    """Σ (R_t − R_t−1) P_t over the thresholds t, from the highest down."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        said = scores >= threshold
        recall, precision = (said & (flags == 1)).sum() / flags.sum(), flags[said].mean()
        total, before = total + (recall - before) * precision, recall
    return total


def f1(scores, flags):
    said = scores > 0
    hits = (said & (flags == 1)).sum()
    return 2 * hits / (said.sum() + flags.sum())


def test_metrics_are_their_definitions():
    scores, flags = noise()
    measured = METHODS.measure(torch.from_numpy(scores), torch.from_numpy(flags))
    varying = range(3)
    assert measured["auroc"] == pytest.approx(
        np.mean([area(scores[:, c], flags[:, c]) for c in varying]), abs=1e-6
    )
    assert measured["map"] == pytest.approx(
        np.mean([average_precision(scores[:, c], flags[:, c]) for c in varying]), abs=1e-6
    )
    assert measured["f1"] == pytest.approx(
        np.mean([f1(scores[:, c], flags[:, c]) for c in range(4)]), abs=1e-6
    )
    by_class = METHODS.by_class(
        torch.from_numpy(scores), torch.from_numpy(flags), ("a", "b", "c", "d")
    )
    assert set(by_class) == {"auroc", "average_precision"}
    assert by_class["auroc"]["b"] == pytest.approx(area(scores[:, 1], flags[:, 1]), abs=1e-6)
    assert by_class["average_precision"].keys() == {"a", "b", "c"}


def test_scores_far_from_0_keep_their_order():
    """Float32's sigmoid is 1 of all of them, and float64's of the last two."""
    scores, flags = (
        torch.tensor([[18.0], [19.0], [50.0], [60.0]]),
        torch.tensor([[0], [1], [0], [1]]),
    )
    assert METHODS.measure(scores, flags) == {
        "auroc": 0.75,
        "map": pytest.approx(5 / 6),
        "f1": pytest.approx(2 / 3),
    }
    assert METHODS.by_class(scores, flags, ("a",)) == {
        "auroc": {"a": 0.75},
        "average_precision": {"a": pytest.approx(5 / 6)},
    }


def test_a_label_absent_from_a_split_does_not_change_the_averages():
    scores, flags = (torch.from_numpy(value) for value in noise())
    wider = (
        torch.cat([scores, torch.full((len(scores), 1), -3.0)], 1),
        torch.cat([flags, torch.zeros_like(flags[:, :1])], 1),
    )
    assert METHODS.measure(*wider) == pytest.approx(METHODS.measure(scores, flags))


def test_where_no_label_varies_metrics_are_those_of_chance_and_never_nan():
    scores = torch.randn(5, 2)
    assert METHODS.measure(scores, torch.zeros(5, 2, dtype=torch.long)) == {
        "auroc": 0.5,
        "map": 0.0,
        "f1": 0.0,
    }
    assert METHODS.measure(scores + 50, torch.ones(5, 2, dtype=torch.long)) == {
        "auroc": 0.5,
        "map": 1.0,
        "f1": 1.0,
    }
    assert METHODS.measure(torch.randn(6, 1), torch.tensor([[0], [1]] * 3))["auroc"] <= 1.0


def test_outputs_that_are_not_numbers_are_an_error():
    with pytest.raises(TrainingError, match="not numbers"):
        METHODS.measure(torch.tensor([[math.nan, 0.0]]), torch.tensor([[0, 1]]))


def test_the_loss_is_the_mean_binary_cross_entropy_and_that_of_guessing_log_2():
    outputs, targets = torch.tensor([[0.5, -2.0], [1.0, 3.0]]), torch.tensor([[1, 0], [0, 1]])
    probabilities = 1 / (1 + np.exp(-outputs.numpy()))
    expected = -np.log(np.where(targets.numpy() == 1, probabilities, 1 - probabilities)).mean()
    assert float(METHODS.loss(outputs, targets)) == pytest.approx(expected, rel=1e-5)
    assert METHODS.chance(2) == pytest.approx(float(METHODS.loss(torch.zeros(2, 2), targets)))


def test_the_card_declares_what_is_measured():
    scores, flags = noise()
    measured = METHODS.measure(torch.from_numpy(scores), torch.from_numpy(flags))
    assert list(measured) == [metric.name for metric in multilabel.metrics]
    assert multilabel.metric("").name == "auroc"
    assert all(metric.low <= measured[metric.name] <= metric.high for metric in multilabel.metrics)


def test_a_picture_says_labels_and_predictions():
    image = np.zeros((8, 8, 3), np.uint8)
    (title, panel), *rest = METHODS.picture(
        image, np.array([1, 0, 1]), np.array([2.0, 0.5, -1.0]), CLASSES
    )
    assert (title, rest) == ("cat, owl: cat, dog", [])
    assert panel.shape == (8, 8, 3)
    assert (
        METHODS.picture(image, np.zeros(3, np.int64), np.full(3, -1.0), CLASSES)[0][0]
        == "none: none"
    )
    assert METHODS.answer(np.array([2.0, -0.5, 1.0]), CLASSES, (20, 10)) == ["cat", "owl"]


def test_the_head_learns_which_quadrants_are_bright():
    flags = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (64, 4)))
    features = flags.float() @ torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    head = METHODS.head(8, 4)
    optimiser = torch.optim.AdamW(head.parameters(), lr=0.05)
    for _ in range(100):
        optimiser.zero_grad()
        METHODS.loss(head(features), flags).backward()
        optimiser.step()
    assert METHODS.measure(head.eval()(features).detach(), flags)["f1"] > 0.99
