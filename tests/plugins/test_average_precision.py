"""Detection's metrics: COCO's average precision against its definition, and against torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_boxes

from headwater.plugins.task_types.detection import detection
from headwater.registry.errors import TrainingError

METHODS = detection.methods
CLASSES = ("cat", "dog", "owl")
NONE = [0, 0, 0, 0, -1]


def random_scene(random, images=6, classes=3, boxes=4, detections=7):
    """Targets, and detections that are the boxes moved a little, some of another class, with strays."""
    corner, size = (
        random.uniform(0, 0.6, (images, boxes, 2)),
        random.uniform(0.1, 0.4, (images, boxes, 2)),
    )
    labels = random.integers(0, classes, (images, boxes, 1))
    targets = np.concatenate([corner, corner + size, labels], axis=2)
    targets[random.random((images, boxes)) < 0.2] = NONE
    near = targets[:, random.integers(0, boxes, detections)]
    shaken = near[..., :4] + random.normal(0, 0.02, (images, detections, 4))
    other = np.where(
        random.random((images, detections)) < 0.2,
        random.integers(0, classes, (images, detections)),
        near[..., 4],
    )
    scores = random.random((images, detections))
    found = np.concatenate([shaken, scores[..., None], other[..., None]], axis=2)
    found[near[..., 4] < 0] = [0, 0, 0, 0, 0, -1]
    return torch.from_numpy(found).float(), torch.from_numpy(targets).float()


def overlap(one, other):
    width, height = (
        min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1)
    )
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def average_precision(found, targets, label, threshold):
    """COCO's definition for one class: detections of all images in the order of their scores, each right if the box that it overlaps
    most, of those no better one took, is overlapped enough; precision made monotone, read at 101 recalls."""
    taken, said = set(), []
    for image, row in enumerate(found.tolist()):
        said += [(score, image, box) for *box, score, said_label in row if said_label == label]
    true = [
        (image, index, box)
        for image, row in enumerate(targets.tolist())
        for index, (*box, own) in enumerate(row)
        if own == label
    ]
    right = []
    for _, image, box in sorted(said, key=lambda one: -one[0]):
        free = [
            (overlap(box, own), index)
            for where, index, own in true
            if where == image and (image, index) not in taken
        ]
        best, index = max(free, default=(0.0, -1))
        right.append(best >= threshold)
        taken |= {(image, index)} if right[-1] else set()
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(right) + 1), hits / len(true)
    at = [
        max((p for p, r in zip(precision, recall, strict=True) if r >= wanted), default=0.0)
        for wanted in np.linspace(0, 1, 101)
    ]
    return float(np.mean(at)), float(recall[-1]) if len(right) else 0.0


def test_average_precision_agrees_with_its_definition():
    for seed in range(3):
        found, targets = random_scene(np.random.default_rng(seed))
        present = [label for label in range(3) if (targets[..., 4] == label).any()]
        thresholds = np.linspace(0.5, 0.95, 10)
        table = np.array(
            [
                [average_precision(found, targets, label, threshold) for label in present]
                for threshold in thresholds
            ]
        )
        measured, named = METHODS.measure(found, targets), METHODS.by_class(found, targets, CLASSES)
        assert measured["map"] == pytest.approx(table[..., 0].mean())
        assert measured["ap50"] == pytest.approx(table[0, :, 0].mean())
        assert measured["ap75"] == pytest.approx(table[5, :, 0].mean())
        assert measured["ar100"] == pytest.approx(table[..., 1].mean())
        assert named["ap"] == pytest.approx(
            {
                CLASSES[label]: value
                for label, value in zip(present, table[..., 0].mean(0), strict=True)
            }
        )
        assert named["ap50"] == pytest.approx(
            {CLASSES[label]: value for label, value in zip(present, table[0, :, 0], strict=True)}
        )
        assert named["recall50"] == pytest.approx(
            {CLASSES[label]: value for label, value in zip(present, table[0, :, 1], strict=True)}
        )


def test_average_precision_agrees_with_torchmetrics_also_where_images_are_drawn_twice():
    from torchmetrics.detection import MeanAveragePrecision

    found, targets = random_scene(np.random.default_rng(5))
    rows = torch.tensor([0, 3, 3, 5, 1, 1])
    metric = MeanAveragePrecision()
    metric.update(
        [
            {"boxes": one[:, :4], "scores": one[:, 4], "labels": one[:, 5].long()}
            for one in (image[image[:, 5] >= 0] for image in found[rows])
        ],
        [
            {"boxes": one[:, :4], "labels": one[:, 4].long()}
            for one in (image[image[:, 4] >= 0] for image in targets[rows])
        ],
    )
    theirs, ours = metric.compute(), METHODS.measure(found[rows], targets[rows])
    for name, key in {"map": "map", "ap50": "map_50", "ap75": "map_75", "ar100": "mar_100"}.items():
        assert ours[name] == pytest.approx(theirs[key].item(), abs=1e-6)


def test_perfect_detections_score_one_and_none_score_nothing():
    _, targets = random_scene(np.random.default_rng(1))
    perfect = torch.cat(
        [targets[..., :4], (targets[..., 4:] >= 0).float(), targets[..., 4:]], dim=2
    )
    nothing = torch.tensor([0.0, 0, 0, 0, 0, -1]).expand(len(targets), 100, 6)
    assert METHODS.measure(perfect, targets) == pytest.approx(
        {"map": 1.0, "ap50": 1.0, "ap75": 1.0, "ar100": 1.0}
    )
    assert METHODS.measure(nothing, targets) == {"map": 0.0, "ap50": 0.0, "ap75": 0.0, "ar100": 0.0}


def test_detections_of_a_class_without_boxes_do_not_count_and_without_any_box_there_is_no_metric():
    _, targets = random_scene(np.random.default_rng(1), classes=2)
    perfect = torch.cat(
        [targets[..., :4], (targets[..., 4:] >= 0).float(), targets[..., 4:]], dim=2
    )
    owls = torch.tensor([0.1, 0.1, 0.5, 0.5, 0.9, 2]).expand(len(targets), 1, 6)
    assert METHODS.measure(torch.cat([owls, perfect], dim=1), targets)["map"] == pytest.approx(1.0)
    assert set(METHODS.by_class(torch.cat([owls, perfect], dim=1), targets, CLASSES)["ap"]) == {
        "cat",
        "dog",
    }
    empty = torch.tensor(NONE).float().expand(2, 4, 5)
    assert all(math.isnan(value) for value in METHODS.measure(owls[:2], empty).values())
    assert all(math.isnan(value) for value in METHODS.measure(owls[:2] * 0 - 1, empty).values())


def test_which_detections_are_right_is_decided_once_an_image(monkeypatch):
    """So that a hundred draws of the same images take seconds: overlaps are what costs."""
    computed = []
    overlaps = coco_boxes.iou

    def counted(*boxes):
        computed.append(boxes)
        return overlaps(*boxes)

    monkeypatch.setattr(coco_boxes, "iou", counted)
    found, targets = random_scene(np.random.default_rng(2), images=72, boxes=12, detections=60)
    METHODS.measure(found, targets)
    once = len(computed)
    assert once >= 72
    for seed in range(5):
        rows = torch.from_numpy(np.random.default_rng(seed).integers(72, size=72))
        METHODS.measure(found[rows], targets[rows])
    assert len(computed) == once


def test_detections_that_are_not_numbers_are_an_error():
    with pytest.raises(TrainingError, match="not numbers"):
        METHODS.measure(torch.full((1, 2, 6), math.nan), torch.tensor([[NONE]]).float())
