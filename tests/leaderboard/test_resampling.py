"""The bootstrap of judged selectors, each draw against the same draw written out."""

import numpy as np
import pytest
from scipy import stats

from headwater.leaderboard.selectors.history import TargetSetting
from headwater.leaderboard.selectors.resampling import Resampling, widening
from headwater.leaderboard.statistics.agreement import STATISTICS

NAMES = list(STATISTICS)


def setting(task, sources=6, seeds=2, size="150"):
    draw = np.random.default_rng(len(task))
    names = tuple(f"s{at}" for at in range(sources))
    quality = draw.random((seeds, sources)) + 0.5
    return TargetSetting(
        task,
        size,
        f"protocol-{task}",
        "accuracy",
        tuple(range(seeds)),
        names,
        quality,
        (),
        150,
        10,
        64,
    )


def test_each_draw_is_the_statistic_of_the_sources_and_seeds_it_holds():
    one = setting("t")
    resampling = Resampling([one])
    scores = np.random.default_rng(1).random((2, 6))
    figures = resampling.figures("t", {0: scores})
    seeds, sources = resampling.draws_of(one)
    assert (seeds.sum(axis=1) == 2).all() and (sources.sum(axis=2) == 6).all()
    pool = figures.pool.reshape(len(NAMES), *sources.shape[:2])
    for turn, held in enumerate(seeds):
        truth = np.repeat(one.quality, held, axis=0).mean(axis=0)
        for place in range(3):
            copies = np.repeat(np.arange(6), sources[turn, place])
            taus = [
                stats.kendalltau(scores[seed][copies], truth[copies])[0]
                for seed in np.repeat([0, 1], held)
            ]
            assert pool[NAMES.index("kendall"), turn, place] == pytest.approx(np.mean(taus))
            chosen = [
                truth[max(set(copies), key=lambda at, of=scores[seed]: of[at])]
                for seed in np.repeat([0, 1], held)
            ]
            best = truth[copies].max()
            assert pool[NAMES.index("regret1"), turn, place] == pytest.approx(
                np.mean([(best - value) / best for value in chosen])
            )


def test_targets_count_alike_and_settings_of_a_target_are_averaged_first():
    settings = [setting("a"), setting("a", size="50"), setting("bb")]
    resampling = Resampling(settings)
    answers = {at: np.tile(np.arange(6.0), (2, 1)) for at in range(3)}
    of = {task: resampling.figures(task, answers) for task in ("a", "bb")}
    own, drawn = resampling.mean(of)
    regret = NAMES.index("regret1")
    losses = [1 - one.quality.mean(axis=0)[5] / one.quality.mean(axis=0).max() for one in settings]
    assert own[regret] == pytest.approx((np.mean(losses[:2]) + losses[2]) / 2)
    places, picks = resampling.drawn
    pools = np.stack([of["a"].pool[regret], of["bb"].pool[regret]])
    assert drawn[regret][:5] == pytest.approx(
        [pools[places[at], picks[at]].mean() for at in range(5)]
    )


def test_intervals_are_widened_for_few_targets_and_none_is_given_where_nothing_is_known():
    resampling = Resampling([setting("a"), setting("bb"), setting("ccc")])
    drawn = np.linspace(-1, 1, 2001)
    assert resampling.interval(0.5, drawn, 3) == pytest.approx(
        (0.5 - 0.95 * widening(3, 0.95), 0.5 + 0.95 * widening(3, 0.95))
    )
    assert resampling.interval(float("nan"), drawn, 3) == (None, None)
    assert resampling.units(1) == 6  # of a single target, its sources


def test_a_selector_that_is_no_better_than_another_is_not_told_from_it_in_most_draws():
    """Two rules that choose at random with the same skill: the interval of their difference holds 0."""
    draw = np.random.default_rng(0)
    settings = [setting("x" * at) for at in range(1, 13)]
    resampling = Resampling(settings)
    held = 0
    for _ in range(8):
        one, other = ({at: draw.random((2, 6)) for at in range(12)} for _ in range(2))
        regret = NAMES.index("regret1")
        (mine, mine_drawn), (theirs, theirs_drawn) = (
            resampling.mean({one.task: resampling.figures(one.task, said) for one in settings})
            for said in (one, other)
        )
        low, high = resampling.interval(
            float(mine[regret] - theirs[regret]), mine_drawn[regret] - theirs_drawn[regret], 12
        )
        held += low <= 0 <= high
    assert held >= 7


def test_widening_is_students_quantile_over_the_normal_one():
    assert widening(2, 0.95) == pytest.approx(np.sqrt(2) * 12.7062 / 1.95996, rel=1e-4)
    assert widening(10_000, 0.95) == pytest.approx(1, abs=1e-3)
    assert np.isnan(widening(1, 0.95))
