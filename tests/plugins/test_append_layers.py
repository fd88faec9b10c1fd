"""append_layers: the source keeps every bit, the new layers are as asked."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from headwater.plugins.adaptations.append_layers import append_layers
from headwater.registry.errors import BadName
from tests.plugins.contexts import ARCHITECTURES, SIDE, batch, context, same, state_of, trained


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_source_keeps_every_bit_and_what_is_on_top_moves(architecture):
    given = context(architecture)
    before = state_of(given.backbone)
    objective = append_layers.method(given, width=16)
    top, head = state_of(objective.network[1]), state_of(objective.network[2])
    trained(objective)
    assert same(before, state_of(given.backbone))
    if architecture == "test_resnet":
        assert any(name.endswith("running_var") for name in before)
    for old, new in ((top, state_of(objective.network[1])), (head, state_of(objective.network[2]))):
        assert all(not torch.equal(old[name], new[name]) for name in old)


def test_so_many_layers_so_wide_lead_back_to_the_features_width():
    network = append_layers.method(context("test_resnet"), layers=3, width=16).network
    linear = [
        (layer.in_features, layer.out_features)
        for layer in network[1].modules()
        if isinstance(layer, nn.Linear)
    ]
    assert linear == [(96, 16), (16, 16), (16, 96)]
    assert network(torch.zeros(2, 3, SIDE, SIDE)).shape == (2, 3)


def test_the_sources_scale_does_not_matter():
    given = context("test_resnet")
    network, images = append_layers.method(given).network.eval(), batch().images
    before = network(images)
    given.backbone.register_forward_hook(lambda module, images, features: 1000 * features)
    assert torch.allclose(before, network(images), atol=1e-2)


@pytest.mark.parametrize("options", [{"layers": 0}, {"width": 0}])
def test_no_layers_are_refused(options):
    with pytest.raises(BadName, match="1 or more"):
        append_layers.method(context("test_resnet"), **options)
