"""Means over families: what is said of them comes true as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from headwater.leaderboard.findings import Verdict
from headwater.leaderboard.findings.families import (
    EVEN_CHANCE,
    POWER,
    FamilyMean,
    smallest_share,
)
from headwater.leaderboard.statistics.precision import share_interval


@pytest.mark.parametrize("families", [4, 8, 20])
def test_an_effect_of_the_smallest_size_is_seen_as_often_as_is_said(families):
    draw = np.random.default_rng(5)
    noise = draw.normal(size=(4000, families))
    # What is printed is estimated; the typical one is the effect that is put in here.
    usual = float(np.mean([FamilyMean.of(row).smallest_effect for row in noise]))
    verdicts = [Verdict.of(*FamilyMean.of(row + usual).bounds()) for row in noise]
    assert verdicts.count(Verdict.SUPPORTED) / len(noise) == pytest.approx(POWER, abs=0.02)


@pytest.mark.parametrize("families", [8, 20])
def test_a_share_of_the_smallest_size_is_seen_as_often_as_is_said(families):
    distance = smallest_share(families, EVEN_CHANCE)
    assert distance is not None
    hits = np.random.default_rng(6).binomial(families, EVEN_CHANCE + distance, size=4000)
    seen = [share_interval(int(count), families)[0] > EVEN_CHANCE for count in hits]
    assert np.mean(seen) == pytest.approx(POWER, abs=0.02)
