"""The linear probe against ridge regressions fitted again for every fold."""

from __future__ import annotations

import numpy as np
import pytest

import headwater as hw
from headwater import LabelKind
from headwater.plugins.estimators.linear_probe import STRENGTHS, assign_folds
from headwater.registry.errors import BadName
from tests.plugins.estimators import cases


def refitted(features, targets, folds, strength):
    """Predictions (N, K) of each fold by a ridge with an unpenalised intercept fitted on the images of all other folds."""
    features = features.astype(np.float64)
    centred = features - features.mean(0)
    rank = np.linalg.matrix_rank(centred, tol=1e-7 * np.linalg.norm(centred, 2))
    penalty = strength * (centred**2).sum() / rank * np.eye(features.shape[1])
    predicted = np.empty(targets.shape)
    for fold in np.unique(folds):
        held = folds == fold
        mean, centre = features[~held].mean(0), targets[~held].mean(0)
        seen = features[~held] - mean
        weights = np.linalg.solve(seen.T @ seen + penalty, seen.T @ (targets[~held] - centre))
        predicted[held] = (features[held] - mean) @ weights + centre
    return predicted


def accuracies(case, folds):
    one_hot = np.eye(case.classes)[case.encoded]
    fold_of = assign_folds(case.encoded, LabelKind.CLASSES, folds, 0)
    return [
        (refitted(case.features, one_hot, fold_of, s).argmax(1) == case.encoded).mean()
        for s in STRENGTHS
    ]


@pytest.mark.parametrize("folds", [2, 10])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_it_is_the_best_accuracy_of_ridges_fitted_again_for_every_fold(case, folds):
    data = case()
    expected = accuracies(data, folds)
    score = hw.score("linear_probe", data.features, data.labels, folds=folds)
    assert score == pytest.approx(max(expected))
    assert score.note == f"ridge {STRENGTHS[int(np.argmax(expected))]:g}"


@pytest.mark.parametrize(
    "case",
    [cases.few_features, cases.few_images, cases.unbalanced, cases.rank_deficient_few_images],
    ids=cases.name,
)
def test_every_strength_predicts_what_its_refits_do(case):
    from headwater.plugins.estimators.linear_probe import predict_held_out
    from headwater.registry import Evidence

    data = case()
    targets = np.random.default_rng(0).normal(size=(len(data.labels), 2))
    fold_of = assign_folds(targets, LabelKind.NUMBERS, 4, 0)
    held = [np.flatnonzero(fold_of == fold) for fold in range(4)]
    predicted = predict_held_out(Evidence.of(data.features, targets, label_kind="numbers"), held)
    for of_strength, strength in zip(predicted, STRENGTHS, strict=True):
        assert of_strength == pytest.approx(
            refitted(data.features, targets, fold_of, strength)[np.concatenate(held)],
            rel=1e-4,
            abs=1e-6,
        )


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_neither_scale_nor_a_shift_matters(case, factor):
    data = case()
    moved = data.features.astype(np.float64) * factor + 5 * factor
    assert hw.score("linear_probe", moved, data.labels) == hw.score(
        "linear_probe", data.features, data.labels
    )


def test_folds_are_stratified_seeded_and_as_large_as_each_other():
    labels = np.repeat([0, 1, 2], [40, 20, 10])
    folds = assign_folds(labels, LabelKind.CLASSES, 10, 0)
    counts = np.array(
        [[((folds == fold) & (labels == label)).sum() for label in range(3)] for fold in range(10)]
    )
    assert (counts == [4, 2, 1]).all()
    assert (folds == assign_folds(labels, LabelKind.CLASSES, 10, 0)).all()
    assert (folds != assign_folds(labels, LabelKind.CLASSES, 10, 1)).any()
    assert (
        sorted(np.bincount(assign_folds(labels[:67], LabelKind.CLASSES, 10, 0)))
        == [6, 6, 6] + [7] * 7
    )


def test_no_fold_holds_more_than_a_hundred_images(monkeypatch):
    from headwater.plugins.estimators import linear_probe

    data = cases.make(45, 4, seed=5, spread=0.8)
    monkeypatch.setattr(linear_probe, "MAX_FOLD_IMAGES", 3)
    assert hw.score("linear_probe", data.features, data.labels) == pytest.approx(
        max(accuracies(data, 15))
    )


def test_of_many_images_some_folds_are_predicted_each_fitted_on_all_others():
    data = cases.make(80, 5, seed=4, spread=0.7)
    score = hw.score("linear_probe[images=20,folds=16]", data.features, data.labels)
    folds = assign_folds(data.labels, LabelKind.CLASSES, 16, 0)
    one_hot, asked = np.eye(3)[data.labels], np.isin(folds, [0, 4, 8, 12])
    expected = [
        (refitted(data.features, one_hot, folds, s).argmax(1) == data.labels)[asked].mean()
        for s in STRENGTHS
    ]
    assert score == pytest.approx(max(expected)) and score.note.endswith(
        "; 20 of 80 images predicted"
    )


def test_regression_is_r_squared_ofpredict_held_out_predictions():
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 4))
    targets = np.c_[
        features @ [1, -2, 0, 1] + random.normal(size=60) * 0.5, random.normal(size=60)
    ] * [1, 1000]
    folds = assign_folds(targets, LabelKind.NUMBERS, 10, 0)
    scores = []
    for strength in STRENGTHS:
        away = targets - refitted(features, targets, folds, strength)
        scores.append(
            np.maximum(1 - (away**2).sum(0) / ((targets - targets.mean(0)) ** 2).sum(0), 0).mean()
        )
    assert hw.score("linear_probe", features, targets, task_type="regression") == pytest.approx(
        max(scores), rel=1e-6
    )
    assert 0.4 < max(scores) < 0.5  # one target is noise


def test_multilabel_is_the_area_under_the_curve_ofpredict_held_out_outputs():
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    features = random.normal(size=(60, 4))
    flags = (features[:, :3] + random.normal(size=(60, 3)) > 0.3).astype(int)
    folds = assign_folds(flags, LabelKind.FLAGS, 10, 0)
    predicted = [refitted(features, flags.astype(float), folds, strength) for strength in STRENGTHS]
    expected = max(
        np.mean([roc_auc_score(flags[:, column], outputs[:, column]) for column in range(3)])
        for outputs in predicted
    )
    assert hw.score("linear_probe", features, flags, task_type="multilabel") == pytest.approx(
        expected
    )


def test_features_that_do_not_vary_predict_the_most_frequent_class():
    labels = np.repeat([0, 1], [30, 10])
    assert hw.score("linear_probe", np.full((40, 5), 0.1), labels) == pytest.approx(0.75)


def test_one_fold_is_refused():
    data = cases.few_features()
    with pytest.raises(BadName, match="two folds"):
        hw.score("linear_probe[folds=1]", data.features, data.labels)
