"""Predictions against their definition, and against worlds whose truth is known: the intervals cover what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from headwater.harness.results.predictions import Predictions
from headwater.harness.selecting.comparison import SourceComparison, paired
from headwater.harness.selecting.prediction import Prediction
from headwater.harness.selecting.rungs import Rung, Sample
from headwater.leaderboard.statistics.precision import wilson
from headwater.registry import Registry

SMALL, MIDDLE, TOP = Rung(50, 5), Rung(150, 10), Rung(1000, 15)
TYPE = Registry.discover().task_type("classification")


def answers(right, metric="accuracy"):
    """Of two classes, all images of the first: an answer is right where its first output is larger."""
    right = np.asarray(right, bool)
    outputs = np.stack([right, ~right], axis=1).astype(np.float32)
    return Predictions(outputs, np.zeros(len(right), np.int64), metric, TYPE, np.arange(len(right)))


def sample(right, seeds=1):
    kept = {seed: answers(right) for seed in range(seeds)}
    return Sample({seed: float(a.correct.mean()) for seed, a in kept.items()}, kept)


def share(hits, images):
    return sample(np.arange(images) < hits)


def test_a_source_at_the_top_has_its_value_and_wilsons_interval():
    found = Prediction({"a": {SMALL: share(5, 10), TOP: share(150, 200)}}, {}).of("a")
    assert (found.quality, found.rung) == (pytest.approx(0.75), TOP)
    z = 1.959963984540054
    centre, half = (
        (0.75 + z * z / 400) / (1 + z * z / 200),
        z * math.sqrt(0.75 * 0.25 / 200 + z * z / 160000) / (1 + z * z / 200),
    )
    assert (found.low, found.high) == (pytest.approx(centre - half), pytest.approx(centre + half))


def test_a_source_stopped_earlier_gains_what_others_gained_from_there():
    grid = {
        "a": {SMALL: share(5, 10), TOP: share(160, 200)},
        "b": {SMALL: share(6, 10), TOP: share(150, 200)},
        "c": {SMALL: share(4, 10), TOP: share(150, 200)},
        "d": {SMALL: share(3, 10)},
    }
    found = Prediction(grid, {}, (0.0, 1.0)).of("d")
    gains = np.array([0.8 - 0.5, 0.75 - 0.6, 0.75 - 0.4])
    assert (found.quality, found.rung) == (pytest.approx(0.3 + gains.mean()), SMALL)
    half = stats.t.ppf(0.975, 2) * gains.std(ddof=1) * math.sqrt(1 + 1 / 3)
    low, high = wilson(0.3, 10)
    assert found.low == pytest.approx(max(0, found.quality - math.hypot(0.3 - low, half)))
    assert found.high == pytest.approx(min(1, found.quality + math.hypot(high - 0.3, half)))


def test_one_that_went_on_shows_no_spread_and_none_no_gain():
    one = Prediction(
        {"a": {SMALL: share(5, 10), TOP: share(160, 200)}, "d": {SMALL: share(3, 10)}}, {}
    )
    assert one.of("d").quality == pytest.approx(0.3 + 0.3)
    assert (one.of("d").low, one.of("d").high) == (None, None)
    apart = Prediction({"a": {TOP: share(160, 200)}, "d": {SMALL: share(3, 10)}}, {})
    assert apart.of("d").quality is None
    assert apart.of("nobody") == Prediction({}, {}).of("nobody")


def test_an_estimated_source_is_read_off_a_line_with_its_prediction_interval():
    scores = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0, "e": 2.5}
    grid = {
        name: {TOP: share(hits, 100)} for name, hits in (("a", 50), ("b", 62), ("c", 68), ("d", 80))
    }
    found = Prediction(grid, {"logme": scores}).of("e")
    x, y = np.array([1.0, 2, 3, 4]), np.array([0.5, 0.62, 0.68, 0.8])
    fit = stats.linregress(x, y)
    assert (found.quality, found.rung, found.estimator) == (
        pytest.approx(fit.intercept + 2.5 * fit.slope),
        None,
        "logme",
    )
    design = np.stack([np.ones(4), x], axis=1)
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    at = np.array([1, 2.5])
    variance = residual @ residual / 2 * (1 + at @ np.linalg.inv(design.T @ design) @ at)
    assert found.high - found.quality == pytest.approx(stats.t.ppf(0.975, 2) * math.sqrt(variance))
    few = {name: grid[name] for name in ("a", "b")}
    assert (
        Prediction(few, {"logme": scores}).of("e").quality is None
    )  # two points are on every line
    assert Prediction(grid, {"logme": dict.fromkeys(scores, 1.0)}).of("e").quality is None
    assert (
        Prediction(grid, {"logme": {name: -score for name, score in scores.items()}})
        .of("e")
        .quality
        is None
    )
    both = Prediction(grid, {"flat": dict.fromkeys(scores, 1.0), "logme": scores})
    assert both.of("e").estimator == "logme"  # the first that tells


def test_repeated_seeds_bring_in_what_they_differ_by_beyond_their_images():
    values = {0: 0.70, 1: 0.80, 2: 0.90}
    wide = Sample(values, {seed: answers(np.arange(100) < 100 * v) for seed, v in values.items()})
    same = Sample(
        dict.fromkeys(values, 0.8), {seed: answers(np.arange(100) < 80) for seed in values}
    )
    found = Prediction({"a": {TOP: wide}, "b": {TOP: same}}, {})

    def image(s):
        return np.mean(
            [
                (np.diff(s.predictions[k].interval)[0] / 2 / 1.959963984540054) ** 2
                for k in s.predictions
            ]
        )

    excess = (2 * (0.01 - image(wide)) + 2 * (0 - image(same))) / 4
    variance, freedom = found.seed_variance(TOP)
    assert (variance, freedom) == (pytest.approx(max(0, excess)), 4)
    assert found.of("b").quality - found.of("b").low > 0.8 - wilson(0.8, 100)[0]


def simulated(random, sources=8, validation=(30, 60, 150)):
    """A world: true qualities at three rungs; of each rung the better half is measured on the next, as by successive halving."""
    top = random.uniform(0.55, 0.9, sources)
    truth = np.stack(
        [top - random.normal(0.2, 0.03, sources), top - random.normal(0.08, 0.02, sources), top]
    )
    going, grid = np.arange(sources), {str(name): {} for name in range(sources)}
    for level, (rung, images) in enumerate(zip((SMALL, MIDDLE, TOP), validation, strict=True)):
        for name in going:
            grid[str(name)][rung] = sample(random.random(images) < truth[level, name])
        order = sorted(going, key=lambda name: -grid[str(name)][rung].quality)
        going = np.array(order[: max(3, len(order) // 2)])
    return top, grid


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random, hits, told = np.random.default_rng(1), {True: [], False: []}, []
    for _ in range(300):
        truth, grid = simulated(random)
        prediction = Prediction(grid, {}, (0.0, 1.0))
        for name, quality in enumerate(truth):
            found = prediction.of(str(name))
            hits[found.rung == prediction.top].append(found.low <= quality <= found.high)
        names = [str(name) for name in range(len(truth))]
        better = SourceComparison(names, prediction).better
        told += [truth[a] > truth[b] for a, b in zip(*np.nonzero(better), strict=True)]
    assert (
        0.92 <= np.mean(hits[True]) <= 0.985
    )  # measured at the top; they are the lucky ones, a little
    assert (
        0.93 <= np.mean(hits[False]) <= 1.0
    )  # stopped earlier: three that went on make for wide intervals
    assert np.mean(told) >= 0.96 and len(told) > 300  # of pairs that are told apart


@pytest.mark.parametrize(("sources", "worlds"), [(12, 600), (40, 150)])
def test_equal_sources_are_told_apart_in_at_most_8_percent_of_answers(sources, worlds):
    random = np.random.default_rng(2)
    claims = []
    for _ in range(worlds):
        ease = random.beta(7, 3, size=80)  # of each image, for all sources alike
        grid = {str(name): {TOP: sample(random.random(80) < ease)} for name in range(sources)}
        claims.append(SourceComparison(list(grid), Prediction(grid, {}, (0.0, 1.0))).better.any())
    assert np.mean(claims) <= 0.08


def test_two_sources_over_the_same_images_are_compared_by_those_only_one_got_right():
    one, other = np.arange(100) < 80, (np.arange(100) < 75) | (np.arange(100) >= 98)
    found = paired(sample(one), sample(other))
    assert found is not None
    up, down, n = 5, 2, 100  # Bonett & Price 2012, written out
    p, q = (up + 1) / (n + 2), (down + 1) / (n + 2)
    half = 1.959963984540054 * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    assert (found.mean, found.low, found.high) == (
        pytest.approx(0.03),
        pytest.approx(p - q - half),
        pytest.approx(p - q + half),
    )
    alike = paired(sample(one), sample(one))
    assert (
        alike is not None and alike.low < 0 < alike.high
    )  # the same answers are no proof of the same quality
    moved = Sample(
        {0: 0.8},
        {
            0: Predictions(
                answers(one).outputs, answers(one).targets, "accuracy", TYPE, np.arange(5, 105)
            )
        },
    )
    assert paired(sample(one), moved) is None


def test_other_metrics_are_compared_by_a_bootstrap_over_the_same_images():
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, 80)

    def of(noise):
        outputs = (np.eye(3)[targets] + random.normal(0, noise, (80, 3))).astype(np.float32)
        kept = Predictions(outputs, targets, "balanced_accuracy", TYPE, np.arange(80))
        return Sample({0: kept.value()}, {0: kept})

    good, poor = of(0.4), of(1.5)
    found = paired(good, poor)
    assert found is not None and found.low > 0
    draws = np.random.default_rng(0)
    rows = [draws.integers(80, size=80) for _ in range(100)]
    differences = [good.predictions[0].value(row) - poor.predictions[0].value(row) for row in rows]
    assert found.high - found.mean == pytest.approx(1.959963984540054 * np.std(differences, ddof=1))
    low, high = np.quantile([good.predictions[0].value(row) for row in rows], (0.025, 0.975))
    assert good.spread == (pytest.approx(good.quality - low), pytest.approx(high - good.quality))


def test_ranks_ties_and_how_many_more_seeds_would_tell():
    right = np.arange(200)
    grid = {
        "a": {TOP: sample(right < 160)},
        "b": {TOP: sample(right < 152)},
        "c": {TOP: sample(right < 60)},
        "d": {SMALL: share(5, 10)},
    }
    comparison = SourceComparison(["a", "b", "c", "d"], Prediction(grid, {}))
    assert comparison.ranks == [(1, 2), (2, 3), (3, 4), (1, 4)]  # of d nothing is known at the top
    assert comparison.tied == [3]
    assert SourceComparison(["c", "d", "b", "a"], Prediction(grid, {})).ordered == [
        "d",
        "a",
        "b",
        "c",
    ]
    grid["b"] = {TOP: sample((right < 145) | (right > 190))}
    comparison = SourceComparison(["a", "b"], Prediction(grid, {}))
    more = comparison.more_seeds(0, 1, validation=0.2)
    found = comparison.difference(0, 1)
    assert found is not None and found.low < 0 < found.high
    z = 1.959963984540054
    enough = [
        k
        for k in range(2, 101)
        if z * math.sqrt(found.by_images * max(1 / k, 0.2)) < abs(found.mean)
    ]
    assert more == (enough[0] - 1 if enough else None)
