"""Task types of one's own that have places in the image, as small as they can be; and a source that gives them maps.

Images are 64 × 64: a coloured square on grey. ``toy/regions`` asks where it is (a mask, 255 for nowhere), ``toy/depth`` for its colour
everywhere (a number a pixel, 0 for none; lower is better), ``toy/kinds`` for whether there is each of two colours (scored by
vectors), ``toy/mute`` is not scored by estimators at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

import headwater as hw

SIDE = 64
VOID = 255


def network():
    class Maps(nn.Module):
        """(B, 5, 16, 16) of 64 × 64."""

        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 5, 4, stride=4)
            self.norm = nn.BatchNorm2d(5)
            self.num_classes = 0

        def forward_features(self, images):
            return self.norm(self.stem(images)).relu()

        def forward_head(self, maps, pre_logits: bool = False):
            return maps.mean((2, 3))

    return Maps()


@hw.source_model(
    "toy/maps", architecture="maps", scratch="toy/random_maps", domain="synthetic", images=1000
)
def maps_source():
    torch.manual_seed(11)
    return network()


@hw.source_model("toy/random_maps", architecture="maps", scratch="toy/random_maps", random=True)
def random_maps_source():
    return network()


@hw.source_model(
    "toy/blind", architecture="maps", scratch="toy/random_maps", domain="synthetic", images=10
)
def blind_source():
    """Whose maps are the same whatever it is shown, and stay so."""
    blind = network()
    blind.forward_features = lambda images: (
        torch.ones(len(images), 5, 16, 16) + 0 * blind.norm.weight.sum()
    )
    return blind


class Dense(hw.TaskTypeMethods):
    """What the toy types share: masks that are taken as they are, a 1 × 1 convolution for a head."""

    def encode(self, given):
        return hw.Encoded(np.stack([np.asarray(target) for target in given.targets]))

    def head(self, features, outputs):
        return Head(features.channels[0], outputs)

    def probe(self, targets):
        """Every pixel of an even row and column that has a value."""
        image, row, column = np.nonzero(
            (targets[:, ::2, ::2] != VOID) & (targets[:, ::2, ::2] != self.none)
        )
        places = np.stack(
            [(2 * column + 0.5) / targets.shape[2], (2 * row + 0.5) / targets.shape[1]], axis=1
        )
        return hw.Probe(targets[image, 2 * row, 2 * column], image, places)

    none = VOID

    def picture(self, image, target, prediction, classes):
        return [("image", image)]


class Head(nn.Module):
    def __init__(self, channels, outputs):
        super().__init__()
        self.layer = nn.Conv2d(channels, outputs, 1)

    def forward(self, maps):
        return self.layer(maps[0])


def image():
    from torchvision import tv_tensors

    return tv_tensors.Image


def mask():
    from torchvision import tv_tensors

    return tv_tensors.Mask


def cells(targets):
    """Of each cell of 4 × 4 pixels the last one: (B, 16, 16)."""
    return targets[:, 3::4, 3::4]


@hw.task_type(
    "toy/regions",
    metrics=[hw.Metric("hit", low=0.0, high=1.0)],
    dense=True,
    probed_as="classes",
)
class regions(Dense):
    """The class of each pixel, 255 for none."""

    def loss(self, outputs, targets):
        return nn.functional.cross_entropy(outputs, cells(targets).long(), ignore_index=VOID)

    def measure(self, predictions, targets):
        there = cells(targets) != VOID
        return {"hit": float((predictions.argmax(1) == cells(targets))[there].float().mean())}

    def augmentation(self, mirror):
        from torchvision.transforms import v2

        return v2.RandomAffine(0, translate=(0.1, 0.1), fill={image(): 0, mask(): VOID})

    def annotate(self, target):
        return {"mask": mask()(target)}

    def annotated(self, annotations, target):
        return annotations["mask"].as_subclass(torch.Tensor)

    def answer(self, prediction, classes, shape):
        """The names that occur, and how large the image is."""
        return [classes[index] for index in np.unique(prediction.argmax(0))], shape


@hw.task_type(
    "toy/depth",
    metrics=[hw.Metric("error", higher_is_better=False, low=0.0)],
    dense=True,
    probed_as="numbers",
)
class depth(Dense):
    """A number for each pixel, 0 for none."""

    none = 0

    def outputs(self, targets, classes):
        return 1

    def loss(self, outputs, targets):
        return (outputs[:, 0] - cells(targets)).abs()[cells(targets) > 0].mean()

    def measure(self, predictions, targets):
        return {"error": float(self.loss(predictions, targets))}


@hw.task_type("toy/kinds", metrics=[hw.Metric("hit")], dense=True, probed_as="flags")
class kinds(Dense):
    """Which classes occur, from masks."""

    def loss(self, outputs, targets):
        return outputs.square().mean()

    def measure(self, predictions, targets):
        return {"hit": 0.0}

    def probe(self, targets):
        """Images without any class are left out."""
        flags = np.stack([(targets == 0).any((1, 2)), (targets == 1).any((1, 2))], axis=1).astype(
            int
        )
        image = np.flatnonzero(flags.any(1))
        return hw.Probe(flags[image], image)


@hw.task_type("toy/mute", metrics=[hw.Metric("hit")], dense=True)
class mute(Dense):
    """Nothing that an estimator could score."""

    def loss(self, outputs, targets):
        return outputs.square().mean()

    def measure(self, predictions, targets):
        return {"hit": 0.0}


def squares(count: int, seed: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Images, masks (0 ground, 1 square, 255 along the top), and distances (N, 64, 64), 0 along the top: brighter is further."""
    random = np.random.default_rng(seed)
    images = random.integers(90, 110, (count, SIDE, SIDE, 3)).astype(np.uint8)
    masks, distances = (
        np.zeros((count, SIDE, SIDE), np.uint8),
        np.full((count, SIDE, SIDE), 1.0, np.float32),
    )
    for row in range(count):
        y, x = random.integers(8, SIDE - 24, 2)
        bright = int(random.integers(150, 255))
        images[row, y : y + 16, x : x + 16] = bright
        masks[row, y : y + 16, x : x + 16] = 1
        distances[row, y : y + 16, x : x + 16] = bright / 100
    masks[:, :4], distances[:, :4] = VOID, 0
    return list(images), masks, distances


def _splits(targets: int):
    return {
        name: hw.Split(found[0], list(found[targets]))
        for name, found in (("train", squares(24, 0)), ("test", squares(12, 1)))
    }


@hw.task("toy/where", type="toy/regions", domain="synthetic", classes=("ground", "square"))
def where():
    """Where the square is."""
    return _splits(1)


@hw.task("toy/far", type="toy/depth", domain="synthetic")
def far():
    """How far everything is."""
    return _splits(2)


@hw.task("toy/what", type="toy/kinds", domain="synthetic", classes=("ground", "square"))
def what():
    """Whether there is a square: in every other image there is nothing else."""
    splits = _splits(1)
    for split in splits.values():
        for row, mask in enumerate(split.targets):
            mask[mask == row % 3] = VOID
    return splits


@hw.task("toy/silent", type="toy/mute", domain="synthetic", classes=("ground", "square"))
def silent():
    """Never scored."""
    return _splits(1)


PLUGIN = Path(__file__)


def keys(**changes: object) -> dict[str, object]:
    """A small spec's keys, to be varied."""
    return {
        "sources": ["toy/maps"],
        "tasks": ["toy/where"],
        "adaptations": ["fine_tune"],
        "sizes": [12],
        "seeds": 1,
        "image_size": SIDE,
        "training": {"epochs": 2, "batch_size": 4},
        "pretraining": {"epochs": 1, "batch_size": 8},
        "references": ["scratch", "base"],
        "plugins": [str(PLUGIN)],
    } | changes
