"""Progressive networks: columns that stay as they are, and a new one that takes in what they make of an image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from headwater.plugins.adaptations._columns import Lateral
from headwater.plugins.adaptations.progressive import progressive
from headwater.registry.errors import NotApplicable
from headwater.registry.stages import stages
from tests.plugins.contexts import (
    ARCHITECTURES,
    backbone_of,
    batch,
    context,
    same,
    state_of,
    trained,
)


def silent(network):
    """Its laterals at zero."""
    with torch.no_grad():
        for module in network.laterals.modules():
            if isinstance(module, Lateral):
                module.expand.weight.zero_()
    return network.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_source_keeps_every_bit_and_the_new_column_moves(architecture):
    given = context(architecture)
    before, column = state_of(given.backbone), state_of(backbone_of(architecture, 1))
    network = trained(progressive.method(given)).network
    assert same(before, state_of(network.columns[0]))
    if architecture == "test_resnet":
        assert any(name.endswith("running_mean") for name in before)
    assert not same(column, state_of(network.column))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_lateral_gets_a_gradient_and_no_column_does(architecture):
    objective = progressive.method(context(architecture))
    seen = batch()
    torch.nn.functional.cross_entropy(objective.network(seen.images), seen.targets).backward()
    network = objective.network
    assert len(network.laterals) == len(
        stages(network.column)
    )  # before every stage but the first, and before the head
    for name, parameter in network.laterals.named_parameters():
        assert bool((parameter.grad != 0).any()), name
    assert all(parameter.grad is None for parameter in network.columns.parameters())
    trained_ones = {id(parameter) for group in objective.groups for parameter in group.parameters}
    assert trained_ones == {
        id(parameter) for parameter in network.parameters() if parameter.requires_grad
    }


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_with_laterals_at_zero_the_new_column_is_the_plain_network(architecture):
    network, images = silent(progressive.method(context(architecture)).network), batch().images
    with torch.no_grad():
        plain = network.head(backbone_of(architecture, 1)(images))
        assert torch.equal(network(images), plain)


def test_a_stage_sees_its_own_columns_activations_and_the_adapted_ones_of_the_source():
    """The formula, evaluated stage by stage on a network whose forward is written out here."""
    given = context("test_resnet")
    network, images = progressive.method(given).network.eval(), batch().images

    def pooled(net, maps):
        return net.forward_head(maps, pre_logits=True)

    def adapted(lateral, h):
        inner = (
            torch.einsum("bchw,rc->brhw", lateral.alpha * h, lateral.reduce.weight)
            + lateral.reduce.bias[:, None, None]
        )
        return torch.einsum("brhw,kr->bkhw", inner.relu(), lateral.expand.weight)

    with torch.no_grad():
        old, new = network.columns[0].network, network.column.network
        theirs, mine = (net.maxpool(net.act1(net.bn1(net.conv1(images)))) for net in (old, new))
        for place, name in enumerate(["layer1", "layer2", "layer3", "layer4"]):
            mine = getattr(new, name)(mine + adapted(network.laterals[place][0], theirs))
            theirs = getattr(old, name)(theirs)
        theirs, mine = pooled(old, theirs)[:, :, None, None], pooled(new, mine)
        features = mine + adapted(network.laterals[4][0], theirs)[:, :, 0, 0]
        assert torch.allclose(network(images), network.head(features), atol=1e-5)


def test_two_columns_add_up_and_may_be_of_another_width():
    given = context("test_resnet")
    wider = backbone_of("test_resnet", 2, channels=(32, 64, 48, 96))
    known = given.load_source
    network = progressive.method(
        replace(given, load_source=lambda name: wider if name == "lab/wider" else known(name)),
        columns="lab/wider",
    ).network
    kept = state_of(wider)
    assert [[lateral.reduce.in_features for lateral in pair] for pair in network.laterals] == [
        [32, 32],
        [32, 32],
        [48, 64],
        [192, 192],
        [96, 96],
    ]
    images = batch().images
    network.eval()
    with torch.no_grad():
        both = network(images)
        for pair in network.laterals:
            pair[1].alpha.zero_()
            pair[1].reduce.bias.zero_()
        first = network(images)
    assert not torch.allclose(both, first)
    assert same(kept, state_of(wider))


def test_columns_that_do_not_meet_are_named():
    with pytest.raises(NotApplicable, match="test_vit has a stem and 6 stages, lab/test_resnet 4"):
        progressive.method(context("test_resnet"), columns="test_vit")
    with pytest.raises(
        NotApplicable,
        match=r"test_byobnet and lab/test_resnet .* stage 1: 24×16×16 and 32×8×8",
    ):
        progressive.method(context("test_resnet"), columns="test_byobnet")


def test_a_source_without_a_random_self_cannot_have_a_new_column():
    given = context("test_resnet")
    with pytest.raises(NotApplicable, match="names no random initialisation"):
        progressive.method(replace(given, source=replace(given.source, scratch=None)))


def test_it_works_in_mixed_precision():
    network = progressive.method(context("test_vit")).network
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = torch.nn.functional.cross_entropy(network(batch().images), batch().targets)
    loss.backward()
    assert all(bool((parameter.grad != 0).any()) for parameter in network.laterals.parameters())


def test_maps_whose_channels_come_last_are_adapted_along_them():
    network = progressive.method(context("test_mambaout")).network
    assert [(one[0].axis, one[0].reduce.in_features) for one in network.laterals] == [
        (3, 16),
        (3, 16),
        (3, 32),
        (3, 48),
        (3, 64),
        (1, 256),
    ]
