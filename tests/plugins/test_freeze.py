"""freeze: what is frozen does not move by a bit, statistics included, on CNNs and ViTs; the rest does."""

from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from headwater.harness.measure.backbone import Backbone
from headwater.harness.measure.device import Device
from headwater.harness.measure.training import Budget, EpochCriterion, train
from headwater.plugins.adaptations.freeze import freeze
from headwater.registry import Batch, Context, Registry
from headwater.registry.errors import NotApplicable
from headwater.registry.stages import stages as stages_of
from tests.facts import missing_facts
from tests.harness.toy import PLUGIN
from tests.plugins.contexts import cnn_recipe

CPU = Device("cpu")
ARCHITECTURES = ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"]


def context(architecture):
    registry = Registry.discover([PLUGIN])
    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=0)
    source = replace(registry.source("toy/fixed"), name=f"lab/{architecture}")
    head = nn.Linear(network.num_features, 3)
    return Context(
        source, registry.task("toy/shades"), Backbone(network), head, nn.functional.cross_entropy, 6
    )


def trained(architecture, stages):
    """(backbone, its state before training, its state after) of two epochs on noise."""
    given = context(architecture)
    before = {name: value.clone() for name, value in given.backbone.state_dict().items()}
    objective = freeze.method(given, stages=stages)
    generator = torch.Generator().manual_seed(0)
    side = 160 if "vit" in architecture else 64

    def batches():
        for _ in range(3):
            images = torch.randn(4, 3, side, side, generator=generator)
            yield Batch(images, torch.randint(0, 3, (4,), generator=generator), torch.arange(4))

    criterion = EpochCriterion(lambda: {"accuracy": 0.5}, "accuracy", 1)
    train(
        objective,
        batches,
        budget=Budget(2, steps_per_epoch=3),
        settings=cnn_recipe(epochs=2),
        loss=nn.functional.cross_entropy,
        criterion=criterion,
        device=CPU,
        report=lambda *_: None,
    )
    return given.backbone, before, given.backbone.state_dict()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_frozen_stages_keep_every_bit_and_the_others_move(architecture):
    backbone, before, after = trained(architecture, stages=2)
    parts = stages_of(backbone)
    own = {id(value): name for name, value in backbone.state_dict(keep_vars=True).items()}
    names = [
        [own[id(value)] for value in [*part.parameters(), *part.buffers()] if id(value) in own]
        for part in parts.values()
    ]
    frozen = {name for stage in names[:3] for name in stage}
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    if architecture == "test_resnet":
        assert any(name.endswith("running_mean") for name in frozen)
    for stage in names[3:]:
        assert any(not torch.equal(before[name], after[name]) for name in stage)


def test_no_stages_freeze_the_stem_alone_and_all_of_them_leave_the_head():
    frozen = sum(
        not parameter.requires_grad
        for parameter in freeze.method(context("test_vit"), stages=0).network.parameters()
    )
    stem = stages_of(context("test_vit").backbone)["patch_embed"]
    assert (
        frozen == len(list(stem.parameters())) == 4
    )  # projection with bias, class token, position embedding
    everything = freeze.method(context("test_resnet"), stages=4)
    assert {name for name, p in everything.network.named_parameters() if p.requires_grad} == {
        "1.weight",
        "1.bias",
    }


@pytest.mark.parametrize("stages", [5, -1])
def test_more_stages_than_there_are_do_not_apply_and_the_reason_names_them(stages):
    with pytest.raises(NotApplicable) as raised:
        freeze.method(context("test_resnet"), stages=stages)
    parts = "(conv1, layer1, layer2, layer3, layer4)"
    facts = ("lab/test_resnet", "4 stages", parts, f"stages={stages}")
    assert missing_facts(raised.value.message, *facts) == []
