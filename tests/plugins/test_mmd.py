"""mmd: the discrepancy equals its definition, vanishes for equal samples, is unbiased, and bears any scale."""

import math

import numpy as np
import pytest
import torch

from headwater.plugins.adaptations.mmd import discrepancy, mmd
from tests.plugins.two_domains import context, hidden, noise


def by_definition(s, t):
    """Gretton et al. 2012, equation 4, one pair at a time."""
    n, both = len(s), [*s, *t]
    apart = [((a - b) ** 2).sum() for i, a in enumerate(both) for j, b in enumerate(both) if i != j]
    gamma = float(np.mean(apart))

    def k(a, b):
        return (
            sum(
                math.exp(-((a - b) ** 2).sum() / (2.0**power * gamma))
                for power in (-2, -1, 0, 1, 2)
            )
            / 5
        )

    terms = [
        k(s[i], s[j]) + k(t[i], t[j]) - k(s[i], t[j]) - k(s[j], t[i])
        for i in range(n)
        for j in range(n)
        if i != j
    ]
    return sum(terms) / (n * (n - 1))


def samples(n, d, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.parametrize(("n", "d"), [(5, 3), (4, 20), (2, 1)])
def test_it_equals_its_definition(n, d):
    s, t = samples(n, d), samples(n, d, seed=1, shift=0.7)
    assert float(discrepancy(torch.tensor(s), torch.tensor(t))) == pytest.approx(
        by_definition(s, t), rel=1e-9
    )


def test_of_batches_of_different_sizes_as_many_count_as_the_smaller_has():
    s, t = samples(7, 3), samples(4, 3, seed=1, shift=1.0)
    assert float(discrepancy(torch.tensor(s), torch.tensor(t))) == pytest.approx(
        by_definition(s[:4], t), rel=1e-9
    )
    assert float(discrepancy(torch.tensor(s), torch.tensor(t[:1]))) == 0.0


def test_it_vanishes_for_equal_samples_and_grows_with_the_shift():
    s = torch.tensor(samples(16, 8))
    assert abs(float(discrepancy(s, s.clone()))) < 1e-12
    grows = [
        float(discrepancy(s, torch.tensor(samples(16, 8, seed=1, shift=shift))))
        for shift in (0.0, 0.5, 1.0, 2.0)
    ]
    assert grows == sorted(grows) and grows[-1] > 0.3
    same = torch.zeros(4, 3, dtype=torch.float64)
    assert float(discrepancy(same, same)) == 0.0  # no spread at all: the bandwidth is bounded


def test_it_is_unbiased_where_the_distributions_are_alike():
    values = [
        float(
            discrepancy(torch.tensor(samples(8, 4, seed)), torch.tensor(samples(8, 4, 1000 + seed)))
        )
        for seed in range(300)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / 300**0.5
    assert min(values) < 0 < max(values)


def test_scale_and_place_of_the_features_do_not_matter():
    s, t = torch.tensor(samples(6, 5)), torch.tensor(samples(6, 5, seed=1, shift=1.0))
    assert float(discrepancy(1000 * s + 50, 1000 * t + 50)) == pytest.approx(
        float(discrepancy(s, t)), rel=1e-6
    )


def test_the_loss_is_the_source_task_and_strength_times_the_discrepancy():
    def value(strength, labelled=False, batch=None):
        objective = mmd.method(context(), labelled=labelled, strength=strength)
        return float(objective.loss(batch or hidden(noise(4, 1)), 0).detach())

    one, two = value(1.0) - value(0.0), value(2.0) - value(0.0)
    assert abs(one) > 1e-4 and two == pytest.approx(2 * one, rel=1e-3)
    seen = noise(4, 1)
    given = context()
    given.backbone.train()
    expected = torch.nn.functional.cross_entropy(
        given.source_data.head(given.backbone(seen.images)), seen.targets
    )
    assert value(0.0, labelled=True, batch=seen) - value(0.0) == pytest.approx(
        float(expected.detach()), rel=1e-4
    )
