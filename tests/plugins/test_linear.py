"""Linear classifiers: the same minimum as scikit-learn's, whatever the shape, and whoever is solved beside them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from headwater.plugins.linear_models import batch as padding_module
from headwater.plugins.linear_models import logistic as grouping_module
from headwater.plugins.linear_models.lbfgs import CurvatureMemory
from headwater.plugins.linear_models.logistic import logistic
from headwater.plugins.linear_models.problems import LinearProblem, log_softmax, scores_of_path
from headwater.plugins.linear_models.ridge import ridge
from headwater.registry.errors import DataError

STRENGTHS = (1e-4, 1e-2, 1.0, 10.0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def problem(
    rows: int, width: int, classes: int = 4, seed: int = 0, present: int | None = None
) -> LinearProblem:
    """Overlapping clusters of unequal scales, among more rows than the problem's own; some classes may have none."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows * 2) % (present or classes)
    centres = random.normal(size=(classes, width))
    features = (centres[labels] + 1.5 * random.normal(size=(len(labels), width))) * np.exp(
        random.normal(size=width)
    ) + 3
    chosen = np.sort(random.permutation(len(labels))[:rows])
    return LinearProblem(features.astype(np.float32), chosen, labels[chosen], classes)


def standardised(one: LinearProblem) -> np.ndarray:
    rows = one.features[one.rows].astype(np.float64)
    deviation = rows.std(0)
    return (rows - rows.mean(0)) / np.where(deviation > 1e-6, deviation, 1.0)


def objective(scores: np.ndarray, targets: np.ndarray, penalty: float) -> float:
    """Σ −log softmax(scores)[target] + penalty, written out."""
    losses = [
        np.log(np.exp(row - row.max()).sum()) + row.max() - row[target]
        for row, target in zip(scores, targets, strict=True)
    ]
    return sum(losses) + penalty


SHAPES = {
    "more rows than features": problem(60, 5),
    "fewer rows than features": problem(20, 50),
    "two classes": problem(30, 8, classes=2),
    "a class without rows": problem(40, 6, classes=5, present=4),
    "two of three classes": problem(40, 60, classes=3, present=2),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_logistic_finds_scikit_learns_minimum(shape: str, strength: float) -> None:
    one = SHAPES[shape]
    z = standardised(one)
    theirs = LogisticRegression(C=strength, max_iter=20_000, tol=1e-9).fit(z, one.targets)
    found = logistic([one], [strength], tolerance=1e-11, iterations=2000)[0][0]
    expected = np.full((len(one.features), one.classes), -np.inf)
    everything = (one.features - one.features[one.rows].mean(0, dtype=np.float64)) / one.features[
        one.rows
    ].astype(np.float64).std(0)
    expected[:, theirs.classes_] = theirs.predict_log_proba(everything)
    np.testing.assert_allclose(
        found.log_probabilities(one.features), expected, atol=2e-4, rtol=2e-4
    )
    if len(theirs.classes_) > 2:
        weight = found.weight * one.features[one.rows].astype(np.float64).std(0)
        np.testing.assert_allclose(
            weight[theirs.classes_], theirs.coef_, atol=1e-4 * np.abs(theirs.coef_).max()
        )
        ours = objective(
            found.scores(one.features[one.rows]), one.targets, (weight**2).sum() / (2 * strength)
        )
        scores, targets = (
            z @ theirs.coef_.T + theirs.intercept_,
            theirs.classes_.searchsorted(one.targets),
        )
        best = objective(scores, targets, (theirs.coef_**2).sum() / (2 * strength))
        assert ours <= best * (1 + 1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_at_the_tolerance_of_a_probe_nearly_all_is_won_that_a_fit_can_win(shape: str) -> None:
    one = SHAPES[shape]
    deviation = one.features[one.rows].astype(np.float64).std(0)
    rough, exact = (
        logistic([one], STRENGTHS)[0],
        logistic([one], STRENGTHS, tolerance=1e-9, iterations=2000)[0],
    )

    def worth(found, strength: float) -> float:
        doubled = 2 if len(set(one.targets)) == 2 else 1
        return objective(
            found.scores(one.features[one.rows]),
            one.targets,
            doubled * ((found.weight * deviation) ** 2).sum() / (2 * strength),
        )

    nothing = len(one.targets) * np.log(len(set(one.targets)))
    for close, best, strength in zip(rough, exact, STRENGTHS, strict=True):
        won = (nothing - worth(close, strength)) / (nothing - worth(best, strength))
        assert 0.99 <= won <= 1 + 1e-5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_ridge_is_scikit_learns(shape: str, strength: float) -> None:
    one = SHAPES[shape]
    theirs = RidgeClassifier(alpha=1 / strength).fit(standardised(one), one.targets)
    found = ridge([one], STRENGTHS)[0][STRENGTHS.index(strength)]
    scores = found.scores(one.features[one.rows])
    expected = theirs.decision_function(standardised(one))
    if expected.ndim == 1:
        expected = np.stack([-expected, expected], 1)
    np.testing.assert_allclose(scores[:, theirs.classes_], expected, atol=1e-4)
    assert np.isneginf(np.delete(scores, theirs.classes_, axis=1)).all()


@pytest.mark.parametrize("kind", [partial(logistic, tolerance=1e-11, iterations=2000), ridge])
def test_constant_columns_change_nothing(kind) -> None:
    one = SHAPES["more rows than features"]
    constant = np.full((len(one.features), 2), 7.3, np.float32)
    wide = LinearProblem(np.hstack([constant, one.features]), one.rows, one.targets, one.classes)
    with_them, without = kind([wide], STRENGTHS)[0], kind([one], STRENGTHS)[0]
    for found, plain in zip(with_them, without, strict=True):
        assert (found.weight[:, :2] == 0).all()
        np.testing.assert_allclose(
            found.scores(wide.features), plain.scores(one.features), atol=2e-3
        )


def test_a_single_class_is_always_predicted() -> None:
    one = problem(10, 4, classes=3, present=1)
    for found in (logistic([one], STRENGTHS)[0][0], ridge([one], STRENGTHS)[0][0]):
        assert (found.scores(one.features).argmax(1) == 0).all()


def test_the_order_of_strengths_does_not_matter() -> None:
    one = SHAPES["fewer rows than features"]
    there, back = logistic([one], STRENGTHS)[0], logistic([one], STRENGTHS[::-1])[0]
    for found, other in zip(there, back[::-1], strict=True):
        np.testing.assert_array_equal(found.weight, other.weight)


@pytest.mark.parametrize("padding", ["by one", "in one", "leading axes"])
def test_problems_solved_in_step_come_to_what_they_come_to_alone(
    padding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if padding == "by one":
        monkeypatch.setattr(grouping_module, "SMALL_PROBLEM", 0)
    if padding == "leading axes":
        monkeypatch.setattr(padding_module, "AXES", 2)
    pool = problem(200, 12).features
    labels = np.arange(len(pool)) % 4
    problems = [
        LinearProblem(pool, np.arange(start, start + rows), labels[start : start + rows], 4)
        for start, rows in ((0, 200), (90, 150), (7, 9))
    ]
    for one, found in zip(
        problems, logistic(problems, STRENGTHS, tolerance=1e-12, iterations=2000), strict=True
    ):
        for mine, alone in zip(
            found, logistic([one], STRENGTHS, tolerance=1e-12, iterations=2000)[0], strict=True
        ):
            np.testing.assert_allclose(
                mine.log_probabilities(pool), alone.log_probabilities(pool), atol=2e-3, rtol=1e-4
            )


@pytest.mark.parametrize("kind", [logistic, ridge])
def test_scores_of_a_path_are_those_of_each_of_its_classifiers(kind) -> None:
    one = SHAPES["a class without rows"]
    path = kind([one], STRENGTHS)[0]
    expected = np.stack([found.scores(one.features) for found in path])
    np.testing.assert_allclose(scores_of_path(path, one.features), expected, rtol=1e-4, atol=1e-5)
    logs = expected - np.log(np.exp(expected.astype(np.float64)).sum(2, keepdims=True))
    np.testing.assert_allclose(
        log_softmax(scores_of_path(path, one.features)), logs, rtol=1e-4, atol=1e-5
    )


def test_a_step_without_curvature_is_as_if_it_were_not_remembered() -> None:
    random = np.random.default_rng(0)
    move, change, gradient = (torch.from_numpy(random.normal(size=(1, 2, 3))) for _ in range(3))
    change = change * torch.sign((move * change).sum())
    none = CurvatureMemory.empty(move)
    plain = none.with_step(move, change)
    for useless in (torch.zeros_like(move), -change):
        for both in (
            none.with_step(move, useless).with_step(move, change),
            plain.with_step(move, useless),
        ):
            torch.testing.assert_close(
                both.solve(gradient, lambda rest: rest),
                plain.solve(gradient, lambda rest: rest),
            )


def test_the_triangular_systems_are_l_bfgss_update_of_the_inverse_hessian() -> None:
    random = np.random.default_rng(1)
    root = random.normal(size=(6, 6))
    memory, inverse = (
        CurvatureMemory.empty(torch.zeros(1, 2, 3, dtype=torch.float64)),
        np.diag(np.arange(1.0, 7.0)),
    )
    for move in random.normal(size=(4, 6)):
        change = root @ root.T @ move
        memory = memory.with_step(
            torch.from_numpy(move).view(1, 2, 3), torch.from_numpy(change).view(1, 2, 3)
        )
        left = np.eye(6) - np.outer(move, change) / (move @ change)
        inverse = left @ inverse @ left.T + np.outer(move, move) / (
            move @ change
        )  # BFGS, Nocedal & Wright (6.17)
    gradient = random.normal(size=6)
    start = torch.arange(1.0, 7.0, dtype=torch.float64).view(1, 2, 3)
    found = memory.solve(torch.from_numpy(gradient).view(1, 2, 3), lambda rest: rest * start)
    np.testing.assert_allclose(found.numpy().ravel(), inverse @ gradient, rtol=1e-9)


def test_solving_twice_gives_the_same_bits() -> None:
    problems = list(SHAPES.values())[:2]
    for found, again in zip(
        logistic(problems, STRENGTHS), logistic(problems, STRENGTHS), strict=True
    ):
        assert all(
            np.array_equal(one.weight, other.weight)
            for one, other in zip(found, again, strict=True)
        )


def test_a_capped_solver_returns_where_it_stands() -> None:
    one = SHAPES["more rows than features"]
    capped, free = (logistic([one], [10.0], iterations=cap)[0][0] for cap in (1, 200))
    assert np.isfinite(capped.scores(one.features)).all()
    assert not np.array_equal(capped.weight, free.weight)


@pytest.mark.parametrize("kind", [logistic, ridge])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_an_error(kind, value: float) -> None:
    one = SHAPES["two classes"]
    features = one.features.copy()
    features[one.rows[0], 0] = value
    with pytest.raises(DataError, match="no numbers"):
        kind([LinearProblem(features, one.rows, one.targets, one.classes)], STRENGTHS)
