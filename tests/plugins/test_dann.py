"""dann: the gradient is turned around, on its schedule; the discriminator itself learns to tell the domains."""

import math

import pytest
import torch
from torch import nn

from headwater.plugins.adaptations.dann import dann, discriminator_of, domain_loss, reversal
from headwater.registry.cards.adaptation import needs_chain
from headwater.registry.errors import NotApplicable
from tests.plugins.two_domains import context, hidden, noise


def test_the_schedule_is_the_published_one():
    assert reversal(0, 100) == 0.0
    for step in (1, 25, 50, 99):
        assert reversal(step, 100) == pytest.approx(2 / (1 + math.exp(-10 * step / 100)) - 1)
    assert reversal(10, 100) == pytest.approx(0.46212, abs=1e-5)


def plain(discriminator, source, target):
    """Minus the mean log probability of the right domain, each domain's mean by itself."""
    right_source = torch.sigmoid(discriminator(source)).log().mean()
    return -right_source - (1 - torch.sigmoid(discriminator(target))).log().mean()


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_the_reversal_turns_the_features_gradient_and_leaves_the_discriminators(scale):
    torch.manual_seed(0)
    discriminator = discriminator_of(5, 7)
    source, target = torch.randn(4, 5, requires_grad=True), torch.randn(6, 5, requires_grad=True)
    wanted = [source, target, *discriminator.parameters()]
    value, expected = (
        domain_loss(discriminator, source, target, scale),
        plain(discriminator, source, target),
    )
    torch.testing.assert_close(value, expected)
    got, plainly = torch.autograd.grad(value, wanted), torch.autograd.grad(expected, wanted)
    for mine, straight in zip(got[:2], plainly[:2], strict=True):
        assert straight.abs().max() > 1e-4
        torch.testing.assert_close(mine, -scale * straight)
    for mine, straight in zip(got[2:], plainly[2:], strict=True):
        torch.testing.assert_close(mine, straight)


def test_the_backbone_is_reached_by_the_schedule_and_the_strength():
    def gradient(step, strength):
        given = context()
        objective = dann.method(given, labelled=False, strength=strength)
        objective.loss(hidden(noise(4, 1)), step).backward()
        return given.backbone.network.stem.weight.grad

    without = gradient(0, 1.0)
    torch.testing.assert_close(
        without, gradient(5, 0.0)
    )  # at step 0 the domain does not reach the features at all
    full, half = gradient(5, 1.0) - without, gradient(5, 0.5) - without
    assert full.abs().max() > 1e-7
    torch.testing.assert_close(half, full / 2, rtol=1e-3, atol=1e-8)


def test_the_discriminator_is_trained_but_not_tested():
    objective = dann.method(context(), width=16)
    inside = {id(parameter) for parameter in objective.network.parameters()}
    beside = [
        parameter
        for group in objective.groups
        for parameter in group.parameters
        if id(parameter) not in inside
    ]
    assert [tuple(p.shape) for p in beside] == [(16, 6), (16,), (16, 16), (16,), (1, 16), (1,)]
    assert isinstance(objective.network[1], nn.Linear)


def test_a_source_without_data_does_not_apply():
    with pytest.raises(NotApplicable) as caught:
        dann.method(context(data=False))
    assert caught.value.message == needs_chain("dann", context().source).message
