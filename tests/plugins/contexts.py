"""Contexts of timm's test architectures at 32 px, and trainings on noise."""

from __future__ import annotations

from dataclasses import replace

import timm
import torch
from torch import nn

from headwater.harness.measure.backbone import Backbone
from headwater.harness.measure.device import Device
from headwater.harness.measure.training import Budget, EpochCriterion, train
from headwater.harness.planning.recipes import resolve
from headwater.harness.planning.spec import Training
from headwater.registry import Batch, Context, Registry
from tests.harness.toy import PLUGIN

ARCHITECTURES = ["test_resnet", "test_efficientnet", "test_vit", "test_convnext"]
SIDE = 32
CLASSES = 3


def backbone_of(architecture, seed=0, **options):
    torch.manual_seed(seed)
    size = {"img_size": SIDE} if "vit" in architecture else {}
    network = timm.create_model(architecture, num_classes=0, **size, **options)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 and name.endswith("weight"):
            nn.init.uniform_(
                parameter, 0.5, 1.5
            )  # not 0, as timm leaves the last norm of a block: no gradient passes there
    return Backbone(network).eval()


def context(architecture, **fields):
    """A source with weights of seed 0, its random self with seed 1; other names are architectures, with seed 2."""
    registry = Registry.discover([PLUGIN])
    backbone = backbone_of(architecture)
    scratch = f"scratch/{architecture}"
    source = replace(registry.source("toy/fixed"), name=f"lab/{architecture}", scratch=scratch)

    def load_source(name):
        return backbone_of(architecture, 1) if name == scratch else backbone_of(name, 2)

    made = Context(
        source,
        registry.task("toy/shades"),
        backbone,
        nn.Linear(backbone.network.num_features, CLASSES),
        nn.functional.cross_entropy,
        6,
        images=lambda: iter([batch(30, 5)]),
        load_source=load_source,
        image_size=SIDE,
    )
    return replace(made, **fields)


def batch(count=6, seed=0):
    """Noise, brighter for some classes."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % CLASSES
    return Batch(
        torch.randn(count, 3, SIDE, SIDE, generator=generator) + targets[:, None, None, None],
        targets,
        torch.arange(count),
    )


def cnn_recipe(**settings):
    """The recipe of a pretrained CNN, but for what is said."""
    return resolve(Training(**settings), "cnn", is_random=False, steps_per_epoch=3)


def trained(objective, epochs=2, **settings):
    """Train for a few steps by the harness's loop; returns the objective."""
    criterion = EpochCriterion(lambda: {"accuracy": 0.5}, "accuracy", 1)
    batches = [batch(6, seed) for seed in range(3)]
    train(
        objective,
        lambda: iter(batches),
        budget=Budget(epochs, steps_per_epoch=3),
        settings=cnn_recipe(epochs=epochs, **settings),
        loss=nn.functional.cross_entropy,
        criterion=criterion,
        device=Device("cpu"),
        report=lambda *_: None,
    )
    return objective


def state_of(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
