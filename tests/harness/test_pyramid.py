"""The maps that a dense task's head is given, whatever the network."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from headwater.harness.measure.backbone import Backbone, width_of
from headwater.harness.measure.pyramid import pyramid_of
from headwater.registry import Pyramid
from headwater.registry.errors import NotApplicable

SIDE = 64


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "architecture",
    ["test_resnet", "test_efficientnet", "test_convnext", "test_vit", "test_mambaout"],
)
def test_every_network_gives_four_maps_each_half_as_large(architecture):
    sized = {"img_size": SIDE} if "vit" in architecture else {}
    network = timm.create_model(architecture, num_classes=0, **sized).eval()
    with torch.no_grad():
        maps = pyramid_of(network, images())
    assert [tuple(found.shape[-2:]) for found in maps] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    assert width_of(Backbone(network, dense=True), SIDE) == Pyramid(
        tuple(found.shape[1] for found in maps)
    )


def test_the_last_map_is_what_the_network_makes_of_the_image_so_that_all_of_it_is_trained():
    network = timm.create_model("test_efficientnet", num_classes=0).eval()
    with torch.no_grad():
        assert torch.equal(pyramid_of(network, images())[-1], network.forward_features(images()))
    Backbone(network, dense=True).train()(images())[-1].mean().backward()
    assert network.conv_head.weight.grad.abs().sum() > 0


def test_a_plain_transformer_gives_evenly_spaced_depths_resized():
    network = timm.create_model("test_vit", num_classes=0, img_size=SIDE).eval()
    with torch.no_grad():
        depths = network.forward_intermediates(images(), output_fmt="NCHW", intermediates_only=True)
        maps = pyramid_of(network, images())
    assert len(depths) == 6
    assert torch.equal(maps[3], adaptive_avg_pool2d(depths[5], 2))
    assert torch.equal(
        maps[0], interpolate(depths[1], size=(16, 16), mode="bilinear", align_corners=False)
    )


def test_a_network_that_tells_of_no_maps_on_the_way_gives_its_last_one_resized():
    class Plain(nn.Module):
        def forward_features(self, images):
            return images[:, :, ::8, ::8]

    maps = pyramid_of(Plain(), images())
    assert torch.equal(maps[1], images()[:, :, ::8, ::8])
    assert torch.equal(maps[2], adaptive_avg_pool2d(maps[1], 4))


def test_the_coarsest_map_is_the_deepest_though_another_is_nearer_in_size():
    """levit's maps have strides 16, 32 and 64, and its last features are tokens."""
    network = timm.create_model("levit_128s", num_classes=0, img_size=SIDE).eval()
    with torch.no_grad():
        maps = pyramid_of(network, images())
        deepest = network.forward_intermediates(
            images(), output_fmt="NCHW", intermediates_only=True
        )[-1]
    assert [tuple(found.shape[1:]) for found in maps] == [
        (128, 16, 16),
        (128, 8, 8),
        (128, 4, 4),
        (384, 2, 2),
    ]
    assert torch.equal(
        maps[-1], interpolate(deepest, size=(2, 2), mode="bilinear", align_corners=False)
    )


@pytest.mark.parametrize("shape", [(2, 192), (2, 16, 192), (2, 4, 4, 192), (2, 2, 4, 4, 192)])
def test_features_that_are_no_maps_cannot_serve_dense_tasks(shape):
    class Flat(nn.Module):
        def forward_features(self, images):
            return images.new_zeros(shape)

    with pytest.raises(NotApplicable, match="Flat gives no feature maps"):
        pyramid_of(Flat(), images())


def test_channels_that_are_last_are_not_taken_for_a_side():
    maps = [images()[:, :1, :side, :side].expand(-1, 4, -1, -1) for side in (16, 8, 4)]

    class Cubic(nn.Module):
        """In the end as many channels as rows and columns."""

        output_fmt = "NHWC"

        def forward_intermediates(self, images, output_fmt):
            return maps[-1].permute(0, 2, 3, 1), maps

    assert torch.equal(pyramid_of(Cubic(), images())[-1], adaptive_avg_pool2d(maps[-1], 2))


def test_vectors_and_maps_come_from_the_same_network():
    network = timm.create_model("test_resnet", num_classes=0)
    pooled, dense = Backbone(network), Backbone(network, dense=True)
    assert list(pooled.state_dict()) == list(dense.state_dict())
    assert all(
        one is other for one, other in zip(pooled.parameters(), dense.parameters(), strict=True)
    )
