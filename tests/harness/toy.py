"""A toy source and toy tasks that measure in milliseconds: squares of a few colours, a one-layer network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import headwater as hw

SIDE = 8


def coloured_squares(count: int, classes: int, seed: int) -> hw.Split:
    """Images whose mean brightness tells the class, under noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    base = (labels + 1) * (220 // (classes + 1))
    images = base[:, None, None, None] + random.integers(-20, 20, (count, SIDE, SIDE, 3))
    return hw.Split(list(images.clip(0, 255).astype(np.uint8)), labels.tolist())


@hw.task("toy/shades", domain="synthetic", classes=("dark", "grey", "light"))
def shades():
    """Three shades of grey."""
    return {"train": coloured_squares(60, 3, 0), "test": coloured_squares(30, 3, 1)}


@hw.task("toy/halves", domain="drawings", classes=("dark", "light"))
def halves():
    """Two shades of grey."""
    return {"train": coloured_squares(40, 2, 2), "test": coloured_squares(20, 2, 3)}


@hw.task("toy/tones", domain="synthetic", classes=("dark", "light"))
def tones():
    """Two shades of grey again, in other images: a target for chains on both of the others."""
    return {"train": coloured_squares(30, 2, 4), "test": coloured_squares(20, 2, 5)}


@hw.task("toy/broken", domain="synthetic", classes=("a", "b"))
def broken():
    """Its fourth training image is not an image."""
    images = [np.zeros((SIDE, SIDE, 3), np.uint8)] * 3 + [b"not an image"]
    return {"train": hw.Split(images, [0, 1, 0, 1]), "test": hw.Split(images[:2], [0, 1])}


def small_network():
    from torch import nn

    class Toy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 6, 3, stride=2)
            self.norm = nn.BatchNorm2d(6)

        def forward_features(self, images):
            return self.norm(self.stem(images)).relu()

        def forward_head(self, maps, pre_logits: bool = False):
            return maps.mean((2, 3))

    return Toy()


@hw.source_model("toy/random", architecture="toy", scratch="toy/random", random=True)
def random_source():
    return small_network()


@hw.source_model(
    "toy/fixed", architecture="toy", scratch="toy/random", domain="synthetic", images=1000
)
def fixed_source():
    import torch

    torch.manual_seed(123)
    return small_network()


@hw.source_model("toy/classifies", architecture="toy", scratch="toy/random")
def classifying_source(head: bool = False):
    """Keeps its classifier of seven classes where it is asked to."""
    import torch
    from torch import nn

    torch.manual_seed(321)
    network = small_network()
    network.num_classes, classifier = 7 if head else 0, nn.Linear(6, 7)

    def forward_head(maps, pre_logits: bool = False):
        features = maps.mean((2, 3))
        return features if pre_logits or not head else classifier(features)

    network.forward_head = forward_head
    return network


@hw.estimator("toy/mean")
def mean_score(features, labels, *, power: float = 1.0) -> float:
    """The mean feature and the mean label: enough to tell which images were seen."""
    return float((features**power).mean() + labels.mean())


@hw.estimator("toy/guess", low=0.0, high=1.0)
def guess_score(source_probabilities) -> float:
    """How sure the source's own classifier is."""
    return float(source_probabilities.max(1).mean())


@hw.source_model("toy/deaf", architecture="toy", scratch="toy/random")
def deaf_source():
    from torch import nn

    return nn.Linear(2, 2)


@hw.adaptation("toy/explodes")
def explodes(context: hw.Context) -> hw.Objective:
    """Its loss is not a number."""
    from torch import nn

    network = nn.Sequential(context.backbone, context.head)
    group = hw.ParameterGroup(list(network.parameters()))
    return hw.Objective(
        network, [group], loss=lambda batch, step: network(batch.images).sum() * float("nan")
    )


@hw.adaptation("toy/dies")
def dies(context: hw.Context) -> hw.Objective:
    """Takes its process down with it."""
    import os

    os._exit(1)


@hw.adaptation("toy/sleeps")
def sleeps(context: hw.Context, *, seconds: float = 600.0) -> hw.Objective:
    """Takes longer than anybody waits."""
    import time

    time.sleep(seconds)
    raise AssertionError("should have been ended")


def _zeros(cells: Sequence[hw.Features]) -> list[hw.Solution]:
    return [hw.Solution(lambda rows: np.zeros((len(rows), 3), np.float32)) for _ in cells]


@hw.adaptation("toy/dies_of_large", on="features")
def dies_of_large(cells: Sequence[hw.Features]) -> list[hw.Solution]:
    """Takes its process down where a cell has many images."""
    import os

    if max(len(cell.train_rows) for cell in cells) > 40:
        os._exit(1)
    return _zeros(cells)


@hw.adaptation("toy/sleeps_over_large", on="features")
def sleeps_over_large(cells: Sequence[hw.Features]) -> list[hw.Solution]:
    """Takes longer than anybody waits where a cell has many images."""
    import time

    if max(len(cell.train_rows) for cell in cells) > 40:
        time.sleep(600)
    return _zeros(cells)


PLUGIN = Path(__file__)


@dataclass(frozen=True)
class Keys:
    """A small spec's keys, to be varied."""

    sources: tuple[str, ...] = ("toy/fixed",)
    tasks: tuple[str, ...] = ("toy/shades",)

    def __call__(self, **changes: object) -> dict[str, object]:
        keys: dict[str, object] = {
            "sources": list(self.sources),
            "tasks": list(self.tasks),
            "adaptations": ["fine_tune"],
            "sizes": [12],
            "seeds": 1,
            "image_size": SIDE,
            "training": {"epochs": 2, "batch_size": 4},
            "references": ["scratch", "base"],
            "pretraining": {"epochs": 1, "batch_size": 8},
            "plugins": [str(PLUGIN)],
        }
        return keys | changes


keys = Keys()
