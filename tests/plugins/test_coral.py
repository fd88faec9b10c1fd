"""coral: the distance equals its definition with D × D covariances, vanishes for equal samples, and pulls them together."""

import numpy as np
import pytest
import torch

from headwater.plugins.adaptations.coral import coral, distance
from tests.plugins.two_domains import context, hidden, noise


def by_definition(s, t):
    d = s.shape[1]
    c_s, c_t = (np.cov(x, rowvar=False, ddof=1).reshape(d, d) for x in (s, t))
    return ((c_s - c_t) ** 2).sum() / (4 * d * d)


def samples(n, d, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * scale + 3


@pytest.mark.parametrize(("n", "m", "d"), [(20, 20, 4), (5, 9, 30), (2, 3, 7), (6, 6, 1)])
def test_it_equals_its_definition_for_batches_larger_and_smaller_than_the_width(n, m, d):
    s, t = samples(n, d), samples(m, d, seed=1, scale=2.0)
    assert float(distance(torch.tensor(s), torch.tensor(t))) == pytest.approx(
        by_definition(s, t), rel=1e-9
    )


def test_it_vanishes_for_equal_samples_wherever_they_lie():
    s = torch.tensor(samples(8, 20))
    assert float(distance(s, s.clone())) == 0.0
    assert float(distance(s, s + 5)) == pytest.approx(0.0, abs=1e-12)


def test_its_gradient_equals_that_of_the_definition():
    s, t = (
        torch.tensor(samples(5, 9), requires_grad=True),
        torch.tensor(samples(6, 9, 1, 2.0), requires_grad=True),
    )
    plain = ((torch.cov(s.T) - torch.cov(t.T)) ** 2).sum() / (4 * 81)
    for mine, straight in zip(
        torch.autograd.grad(distance(s, t), (s, t)), torch.autograd.grad(plain, (s, t)), strict=True
    ):
        torch.testing.assert_close(mine, straight)


def test_a_batch_of_one_has_no_covariance_and_is_no_number_less():
    assert bool(torch.isfinite(distance(torch.ones(1, 4), torch.randn(3, 4))))


def test_strength_scales_what_is_added_to_the_source_task():
    def value(strength):
        return float(
            coral.method(context(), labelled=False, strength=strength)
            .loss(hidden(noise(4, 1)), 0)
            .detach()
        )

    one, ten = value(1.0) - value(0.0), value(10.0) - value(0.0)
    assert one > 1e-6 and ten == pytest.approx(10 * one, rel=1e-2)
