"""Stages: every parameter in exactly one part, in order, whatever the architecture."""

import pytest
import timm
import torch
from torch import nn

from headwater.harness.measure.backbone import Backbone
from headwater.registry.stages import called_modules, depths, stages
from tests.harness.toy import small_network

PARTS = {
    "resnet18": ["conv1", "layer1", "layer2", "layer3", "layer4"],
    "test_resnet": ["conv1", "layer1", "layer2", "layer3", "layer4"],
    "mobilenetv2_100": ["conv_stem", *(f"blocks.{n}" for n in range(7)), "conv_head"],
    "efficientnet_b0": ["conv_stem", *(f"blocks.{n}" for n in range(7)), "conv_head"],
    "convnext_atto": ["stem", *(f"stages.{n}" for n in range(4))],
    "vit_tiny_patch16_224": ["patch_embed", *(f"blocks.{n}" for n in range(12))],
    "swin_tiny_patch4_window7_224": ["patch_embed", *(f"layers.{n}" for n in range(4))],
    "regnetx_002": ["stem", "s1", "s2", "s3", "s4"],
    "test_nfnet": ["stem", *(f"stages.{n}" for n in range(4)), "final_conv"],
    "resnetv2_50": ["stem", *(f"stages.{n}" for n in range(4))],
}
ALSO = [
    "densenet121",
    "vgg11",
    "test_vit2",
    "test_vit3",
    "test_efficientnet",
    "test_mambaout",
    "test_byobnet",
    "test_convnext",
]


@pytest.mark.parametrize("architecture", [*PARTS, *ALSO])
def test_every_parameter_is_in_exactly_one_part(architecture):
    with torch.device("meta"):
        network = timm.create_model(architecture, num_classes=0)
    parts = stages(Backbone(network))
    if architecture in PARTS:
        assert list(parts) == PARTS[architecture]
    held = [id(parameter) for part in parts.values() for parameter in part.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in network.parameters()}


@pytest.mark.parametrize(
    "architecture",
    ["test_resnet", "test_vit", "test_vit3", "test_efficientnet", "test_convnext", "test_byobnet"],
)
def test_every_part_is_called_in_its_order(architecture):
    backbone = Backbone(timm.create_model(architecture, num_classes=0)).eval()
    fired: list[str] = []
    parts = stages(backbone)
    for name, part in parts.items():
        for module in called_modules(part):
            module.register_forward_hook(lambda *_, name=name: fired.append(name))
    backbone(torch.zeros(1, 3, 160, 160))
    assert list(dict.fromkeys(fired)) == list(parts)


def test_tokens_and_embeddings_go_with_the_first_part():
    parts = stages(timm.create_model("test_vit", num_classes=0))
    shapes = [tuple(parameter.shape) for parameter in parts["patch_embed"].parameters()]
    assert (1, 1, 64) in shapes
    assert not any(
        tuple(p.shape) == (1, 1, 64)
        for name, part in parts.items()
        if name != "patch_embed"
        for p in part.parameters()
    )


def test_networks_without_feature_info_fall_back_to_their_children():
    assert list(stages(small_network())) == ["stem"]
    assert list(stages(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))) == ["0", "2"]
    assert list(stages(nn.Linear(2, 2))) == ["Linear"]


def test_depth_runs_from_the_input_to_just_before_the_head():
    assert depths({"a": nn.Identity(), "b": nn.Identity()}) == {"a": 0.0, "b": 0.5}
