"""The conformance of tasks of every type: targets may be classes, numbers, boxes, points or maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headwater as hw
from headwater.harness.conformance import checks, examine
from headwater.harness.conformance.contents import target_digest
from headwater.harness.conformance.elsewhere import task_digest
from headwater.registry import Flaw, Split
from tests import rendered
from tests.facts import missing_facts
from tests.rendered import PLUGIN, SPLITS, scenes, write_coco, write_voc


@pytest.fixture(scope="module")
def registry():
    return hw.Registry.discover([PLUGIN])


def seen(card, registry):
    """Check -> what it saw, or what is wrong; without the second process, which takes seconds."""
    wanted = [check for check in checks(card, registry) if check.name != "elsewhere"]
    return {result.check.name: result.message for result in examine(wanted)}, [
        r for r in examine(wanted) if not r.passed
    ]


TYPES = (
    "classification",
    "multilabel",
    "regression",
    "segmentation",
    "detection",
    "keypoints",
    "depth",
)


@pytest.mark.parametrize("type", TYPES)
def test_rendered_tasks_conform(registry, type):
    found, failed = seen(registry.task(f"rendered/{type}"), registry)
    assert failed == []
    assert (
        found["loads"] == "24 + 12 images"
        and found["decodes"] == "decodes"
        and found["disjoint"] == "splits disjoint"
    )
    labels = {
        "multilabel": "3 labels",
        "regression": "targets fit",
        "segmentation": "4 classes",
        "keypoints": "4 points",
        "depth": "targets fit",
    }
    assert found["labels"] == labels.get(type, "3 classes")


def test_targets_that_do_not_fit_fail_by_name(registry):
    card = registry.task("rendered/segmentation")
    splits = card.load()
    colours = replace(splits["train"], targets=[each.image() for each in scenes("train")])
    _, (failure,) = seen(replace(card, load=lambda: splits | {"train": colours}), registry)
    assert failure.check.name == "labels" and "rendered/segmentation: scene 0" in failure.message


def test_flaws_are_seen_and_are_no_failure(registry):
    card = registry.task("rendered/detection")
    splits = card.load()
    targets = [*splits["train"].targets[:-1], {"bbox": [[70, 0, 5, 5]], "category": ["disc"]}]
    wanted = checks(
        replace(card, load=lambda: splits | {"train": replace(splits["train"], targets=targets)}),
        registry,
    )
    labels = next(result for result in examine(wanted[:3]) if result.check.name == "labels")
    assert labels.passed
    counted = ("3 classes", "1 of 36 images", "1 of 24 train images left out")
    assert missing_facts(labels.message, *counted) == []
    assert labels.flaws == (
        Flaw(
            "rendered/detection: scene 23",
            "has 1 box outside the image",
            "left out, and with it the image",
        ),
    )


@pytest.mark.slow
def test_masks_and_crops_are_the_same_in_another_process(registry, tmp_path):
    for name in (
        f"coco/{write_coco(tmp_path / 'coco')}[type=segmentation]",
        f"voc/{write_voc(tmp_path / 'voc')}[type=segmentation]",
    ):
        (elsewhere,) = [
            check for check in checks(registry.task(name), registry) if check.name == "elsewhere"
        ]
        assert elsewhere() == "same in another process"


# -- what a target says -------------------------------------------------------------------------------------------


def test_a_target_means_the_same_in_every_form_that_is_the_same_and_nothing_else(tmp_path):
    mask = scenes("train")[1].mask()
    Image.fromarray(mask).save(tmp_path / "mask.png")
    stored = (tmp_path / "mask.png").read_bytes()
    assert target_digest(mask) == target_digest(mask.copy()) == target_digest(Image.fromarray(mask))
    assert (
        target_digest(stored)
        == target_digest(tmp_path / "mask.png")
        == target_digest({"bytes": stored, "path": None})
    )
    other = mask.copy()
    other[20, 30] += 1  # in the middle, where a printed array has dots
    assert target_digest(other) != target_digest(mask)
    boxes = {"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": ["disc"]}
    assert target_digest(boxes) == target_digest(
        {"category": ["disc"], "bbox": [[1.0, 2.0, 3.0, 4.0]]}
    )
    assert target_digest(boxes) != target_digest(
        {"bbox": [[1.0, 2.0, 3.0, 5.0]], "category": ["disc"]}
    )
    assert target_digest(boxes) != target_digest(
        {"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": ["square"]}
    )
    assert (
        target_digest([[1], [2]]) != target_digest([[1, 2]])
        and target_digest(None) != target_digest(0)
        and target_digest("1") != target_digest(1)
    )


def test_a_changed_mask_of_one_image_is_other_data():
    def digest(change=None):
        splits = {
            name: Split(
                [each.image() for each in scenes(name)], [each.mask() for each in scenes(name)]
            )
            for name in SPLITS
        }
        if change:
            splits["test"].targets[7][30, 40] += change
        return task_digest(splits, ())

    assert digest() == digest() != digest(1)


def test_the_scenes_are_what_they_say():
    """Every target of a scene against the others, and a scene's image against its shapes."""
    for each in [*scenes("train"), *scenes("test")]:
        mask, depth, boxes = each.mask(), each.depth(), each.objects()["bbox"]
        assert mask.shape == depth.shape == (48, 64) and (mask[0] == 255).all()
        inside = np.zeros_like(mask, dtype=bool)
        for (x, y, width, height), shape in zip(boxes, each.shapes, strict=True):
            part = np.s_[int(y) : int(y + height), int(x) : int(x + width)]
            assert ((mask[part] == 1 + shape.kind) == shape.mask()[part]).all()
            rows, columns = np.nonzero(shape.mask())
            assert (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1) == (
                x,
                y,
                width,
                height,
            )
            assert (
                depth[shape.mask()] == np.float32(shape.depth)
            ).sum() >= shape.mask().sum() - 2 * height  # the strip at the left
            inside[part] |= shape.mask()[part]
        assert each.covered() == pytest.approx(100 * inside.mean())
        assert ((mask > 0) & (mask < 255) == inside).all() and Path(rendered.__file__) == PLUGIN
        assert (
            each.points()[0] == [each.shapes[0].x, each.shapes[0].y, 2.0]
            and each.kind() in each.kinds()
        )
    assert {each.kind() for each in scenes("train")} == set(rendered.KINDS)
