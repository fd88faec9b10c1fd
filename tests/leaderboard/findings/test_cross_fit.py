"""F2's choice on other seeds: against a plain loop, and without any effect half of them win."""

import numpy as np
import pandas as pd
import pytest

from headwater.leaderboard.findings import Verdict
from headwater.leaderboard.findings.cross_fit import cross_fitted, left_out_gains, share_of_wins
from tests.leaderboard.findings.null_worlds import F2_RULE, chain_rows, rates


def test_the_left_out_gain_is_that_of_a_plain_loop():
    draw = np.random.default_rng(0)
    gains, seen = draw.normal(size=(4, 5)), draw.integers(0, 3, size=(4, 5)).astype(float)
    gains[2, 3] = np.nan
    expected = []
    for seed in range(4):
        others = [k for k in range(4) if k != seed]
        held = [s for s in range(5) if not np.isnan(gains[seed, s])]
        means = {s: np.mean([seen[k, s] for k in others]) for s in held}
        best = [s for s in held if np.isclose(means[s], max(means.values()))]
        expected.append(np.mean([gains[seed, s] for s in best]))
    assert left_out_gains(gains, seen) == pytest.approx(expected)


def test_a_single_seed_counts_nothing():
    assert np.isnan(left_out_gains(np.ones((1, 3)), np.ones((1, 3)))).all()


def test_targets_of_a_family_count_once():
    """Three families, of which one has four targets that all lose."""
    rows = pd.DataFrame(
        [
            {"task": task, "family": family, "seed": seed, "source": "c", "gain": gain, "validation": 0}
            for task, family, gain in [("a", "A", 1), ("b", "B", 1), *((f"c{n}", "C", -1) for n in range(4))]
            for seed in (0, 1)
        ]
    )  # fmt: skip
    found = share_of_wins(cross_fitted(rows, ["task"]))
    assert (found.families, found.mean) == (3, pytest.approx(2 / 3))


def test_without_any_effect_half_of_the_choices_win():
    draw = np.random.default_rng(1)
    shares = [share_of_wins(cross_fitted(chain_rows(draw), ["task"])).mean for _ in range(300)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("families", "seeds"), [(5, 2), (8, 3), (12, 5)])
def test_f2_without_any_effect_seldom_has_a_verdict(families, seeds):
    found = rates(F2_RULE, lambda draw: chain_rows(draw, families=families, seeds=seeds), 200)
    assert found[Verdict.SUPPORTED] <= 0.07
    assert found[Verdict.CONTRADICTED] <= 0.07


def test_f2_finds_a_chain_that_helps():
    found = rates(F2_RULE, lambda draw: chain_rows(draw, families=10, effect=4.0), 50)
    assert found[Verdict.SUPPORTED] > 0.8
