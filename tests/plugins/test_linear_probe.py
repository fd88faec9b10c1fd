"""Linear probes of every type that takes vectors: solved as scikit-learn solves them, and run as cells beside fine-tuning."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier

import headwater as hw
from headwater.harness.running.run import Control
from headwater.plugins.adaptations.linear_probe import STRENGTHS, linear_probe
from headwater.plugins.linear_models.one_against_rest import one_against_rest
from headwater.plugins.linear_models.problems import LinearProblem
from headwater.plugins.linear_models.ridge import ridge
from headwater.registry import Features, LabelKind
from headwater.registry.errors import BadName
from tests.harness.toy import SIDE, keys


def features_of(rows, width=6, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(rows, width)) * np.exp(random.normal(size=width)) + 3).astype(
        np.float32
    )


def standardised(features, rows):
    own = features[rows].astype(np.float64)
    return (features - own.mean(0)) / own.std(0)


def flags_of(features, labels=3, seed=1):
    random = np.random.default_rng(seed)
    z = standardised(features, np.arange(len(features)))
    return (
        z @ random.normal(size=(z.shape[1], labels)) + random.normal(size=(len(z), labels)) > 0.5
    ).astype(np.int64)


POOL, ROWS = features_of(80), np.arange(0, 80, 2)
WIDE = features_of(80, 120, seed=2)


@pytest.mark.parametrize(
    "pool", [POOL, WIDE], ids=["more rows than features", "fewer rows than features"]
)
@pytest.mark.parametrize("strength", [1e-2, 1.0])
def test_each_label_is_scikit_learns_logistic_regression_against_the_rest(pool, strength):
    flags, z = flags_of(pool), standardised(pool, ROWS)
    (found,) = one_against_rest(
        [LinearProblem(pool, ROWS, flags[ROWS], 3)], [strength], tolerance=1e-11, iterations=2000
    )[0]
    for label in range(3):
        theirs = LogisticRegression(C=strength, max_iter=20_000, tol=1e-9).fit(
            z[ROWS], flags[ROWS, label]
        )
        np.testing.assert_allclose(
            found.scores(pool)[:, label], theirs.decision_function(z), atol=2e-3
        )


def test_a_label_that_all_or_none_of_the_rows_have_is_scored_by_its_odds():
    flags = flags_of(POOL)
    flags[:, 0], flags[:, 2] = 0, 1
    problem = LinearProblem(POOL, ROWS, flags[ROWS], 3)
    alone = one_against_rest([LinearProblem(POOL, ROWS, flags[ROWS, 1:2], 1)], STRENGTHS)[0]
    for found, lone in zip(one_against_rest([problem], STRENGTHS)[0], alone, strict=True):
        scores = found.scores(POOL)
        np.testing.assert_allclose(scores[:, 0], np.log(0.5 / 40.5), rtol=1e-5)
        np.testing.assert_allclose(scores[:, 2], np.log(40.5 / 0.5), rtol=1e-5)
        np.testing.assert_allclose(scores[:, 1], lone.scores(POOL)[:, 0], atol=1e-3)


@pytest.mark.parametrize(
    "pool", [POOL, WIDE], ids=["more rows than features", "fewer rows than features"]
)
def test_columns_of_numbers_are_scikit_learns_ridge(pool):
    targets = (130 + 40 * standardised(pool, ROWS)[:, :2] + features_of(80, 2, seed=3)).astype(
        np.float32
    )
    z = standardised(pool, ROWS)
    for strength, found in zip(
        STRENGTHS, ridge([LinearProblem(pool, ROWS, targets[ROWS], 2)], STRENGTHS)[0], strict=True
    ):
        theirs = Ridge(alpha=1 / strength).fit(z[ROWS], targets[ROWS])
        np.testing.assert_allclose(found.scores(pool), theirs.predict(z), rtol=1e-4)


# -- cells -------------------------------------------------------------------------------------------------


def cell(pool, targets, outputs, measure, label_kind):
    return Features(pool, targets, ROWS, np.arange(1, 80, 2), outputs, measure, label_kind)


def test_the_strength_of_a_regression_is_the_one_best_on_validation():
    targets = (
        130
        + 40 * standardised(POOL, ROWS)[:, :1]
        + 10 * np.random.default_rng(0).normal(size=(80, 1))
    ).astype(np.float32)
    shown = cell(
        POOL, targets, 1, lambda found, true: -float(np.abs(found - true).mean()), LabelKind.NUMBERS
    )
    (solution,) = linear_probe.method([shown])
    z, errors = standardised(POOL, ROWS), {}
    for strength in STRENGTHS:
        predicted = (
            Ridge(alpha=1 / strength).fit(z[ROWS], targets[ROWS]).predict(z[1::2]).reshape(-1, 1)
        )
        errors[strength] = np.abs(predicted - targets[1::2]).mean()
    assert solution.choice["strength"] == min(errors, key=errors.get)
    assert -solution.choice["validation"] == pytest.approx(min(errors.values()), rel=1e-4)
    assert solution.predict(POOL).shape == (80, 1)
    (same,) = linear_probe.method([shown], classifier="ridge")
    np.testing.assert_array_equal(same.predict(POOL), solution.predict(POOL))


@pytest.mark.parametrize("classifier", ["logistic", "ridge"])
def test_a_label_is_predicted_where_its_score_is_above_0(classifier):
    flags = flags_of(POOL)

    def right(found, true):
        return float(((found > 0) == true).mean())

    (solution,) = linear_probe.method(
        [cell(POOL, flags, 3, right, LabelKind.FLAGS)], classifier=classifier
    )
    z = standardised(POOL, ROWS)
    predicted = []
    for label in range(3):
        strength = solution.choice["strength"]
        kind = (
            LogisticRegression(C=strength)
            if classifier == "logistic"
            else RidgeClassifier(alpha=1 / strength)
        )
        predicted.append(kind.fit(z[ROWS], flags[ROWS, label]).predict(z[1::2]))
    assert ((solution.predict(POOL[1::2]) > 0) == np.stack(predicted, 1)).mean() > 0.95
    assert solution.choice["validation"] > 0.75


def test_an_unknown_classifier_is_an_error():
    with pytest.raises(BadName, match="no classifier 'svm'"):
        linear_probe.method(
            [cell(POOL, flags_of(POOL), 3, lambda found, true: 0.0, "multilabel")], classifier="svm"
        )


def _split(count, seed, target):
    """Squares of one colour each, under noise; ``target(red, green, blue)`` of their brightness, 0 to 1."""
    random = np.random.default_rng(seed)
    colours = random.choice([0.2, 0.8], (count, 3)) + random.uniform(-0.1, 0.1, (count, 3))
    images = 255 * colours[:, None, None] + random.normal(0, 8, (count, SIDE, SIDE, 3))
    return hw.Split(
        list(images.clip(0, 255).astype(np.uint8)), [target(*colour) for colour in colours]
    )


@hw.task("toy/colours", type="multilabel", domain="synthetic", classes=("red", "green", "blue"))
def colours():
    """Which of three colours are bright."""
    return {
        name: _split(count, seed, lambda *rgb: [c for c in range(3) if rgb[c] > 0.5])
        for name, count, seed in SPLITS
    }


@hw.task("toy/brightness", type="regression", domain="synthetic")
def brightness():
    """How bright a square is, in units far from 1; two training images tell no number."""
    splits = {
        name: _split(count, seed, lambda *rgb: 1000 + 200 * sum(rgb))
        for name, count, seed in SPLITS
    }
    splits["train"].targets[3] = None
    splits["train"].targets[5] = float("nan")
    return splits


SPLITS = (("train", 80, 0), ("test", 40, 1))
INLINE = Control(executor="inline")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Both tasks, probed and fine-tuned."""
    training = {"epochs": 12, "batch_size": 8, "learning_rate": 0.02}
    spec = keys(
        tasks=["toy/colours", "toy/brightness"],
        adaptations=["linear_probe", "fine_tune"],
        sizes=["full"],
        references=[],
        training=training,
    )
    path = tmp_path_factory.mktemp("probes") / "s.duckdb"
    report = hw.run(spec, store=path, plugins=[colours, brightness], control=INLINE)
    assert [outcome.reason for outcome in report.outcomes if outcome.error] == []
    return report.store


def values_of(store, task, adaptation):
    query = f"""SELECT m.metric, m.value FROM metrics m JOIN cells c USING (job)
                WHERE c.task = '{task}' AND c.source = 'toy/fixed' AND c.adaptation = '{adaptation}' AND m.split = 'test'"""
    return dict(store.sql(query).rows)


@pytest.mark.parametrize("adaptation", ["linear_probe", "fine_tune"])
def test_labels_and_numbers_are_learned_in_cells(store, adaptation):
    labels, numbers = (
        values_of(store, "toy/colours", adaptation),
        values_of(store, "toy/brightness", adaptation),
    )
    assert labels["auroc"] > 0.95 and labels["f1"] > 0.85
    assert numbers["mae"] < 30 and numbers["r2"] > 0.9  # targets spread over 600 around 1300


def test_images_without_a_number_are_left_out_of_cells(store):
    rows = store.sql("SELECT DISTINCT task, train_size FROM cells").rows
    assert dict(rows) == {"toy/colours": 80, "toy/brightness": 78}
