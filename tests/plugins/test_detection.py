"""The detection type: boxes in, detections out, COCO's average precision; a small detector learns on rendered scenes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torchvision import tv_tensors
from torchvision.models.detection import FCOS
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import FeaturePyramidNetwork

from headwater.harness.data.subset import draw_subset
from headwater.harness.measure.augmentation import PairedTransform
from headwater.harness.measure.backbone import Backbone, width_of
from headwater.plugins.task_types import _augmentation, _fcos
from headwater.plugins.task_types.detection import detection
from headwater.registry import Pyramid, Task
from headwater.registry.errors import DataError, TrainingError
from tests import rendered
from tests.facts import flaw_facts, missing_facts
from tests.plugins.given import given

METHODS = detection.methods
CLASSES = ("cat", "dog", "owl")
NONE = [0, 0, 0, 0, -1]
GOOD = (16, 12, 32, 24)
TASK = Task(name="rendered/test", load=dict, type="detection")


def objects(*boxes, categories=()):
    return {"bbox": [list(box) for box in boxes], "category": list(categories) or [0] * len(boxes)}


def encode(*targets, classes=CLASSES, **conventions):
    """Of images of 64 × 48 pixels."""
    return METHODS.encode(given(detection, list(targets), classes, **conventions))


# -- encoding ---------------------------------------------------------------------------------------------


def test_boxes_become_shares_of_the_sides_and_are_padded_to_the_most():
    found = encode(
        objects((16, 12, 32, 24), categories=["owl"]),
        objects((0, 0, 64, 48), (8, 6, 8, 6), categories=[1, "cat"]),
    )
    expected = [
        [[0.25, 0.25, 0.75, 0.75, 2], NONE],
        [[0, 0, 1, 1, 1], [0.125, 0.125, 0.25, 0.25, 0]],
    ]
    assert found.targets.tolist() == expected
    assert found.targets.dtype == np.float32 and found.rows is None and not found.flaws


@pytest.mark.parametrize(
    ("written", "box"),
    [
        ("xywh", (16, 12, 32, 24)),
        ("xyxy", (16, 12, 48, 36)),
        ("cxcywh", (32, 24, 32, 24)),
        ("xywh_shares", (0.25, 0.25, 0.5, 0.5)),
        ("xyxy_shares", (0.25, 0.25, 0.75, 0.75)),
        ("cxcywh_shares", (0.5, 0.5, 0.5, 0.5)),
    ],
)
def test_every_way_of_writing_a_box_says_the_same(written, box):
    assert encode(objects(box), boxes=written).targets[0, 0].tolist() == [0.25, 0.25, 0.75, 0.75, 0]


def test_an_unknown_way_of_writing_boxes_is_refused():
    with pytest.raises(DataError, match="boxes=yolo is not known") as raised:
        encode(objects((1, 1, 2, 2)), boxes="yolo")
    assert "xywh, xyxy, cxcywh, xywh_shares" in raised.value.hint


@pytest.mark.parametrize(
    ("written", "box", "problem", "hint"),
    [
        (
            "xywh",
            (0.25, 0.25, 0.5, 0.5),
            "reach 0.5 at most, .*pixels",
            ("boxes=xywh_shares", "cxcywh_shares"),
        ),
        (
            "xyxy_shares",
            GOOD,
            "reach 32 or more, .*shares",
            ("boxes=xyxy",),
        ),
    ],
)
def test_boxes_of_another_unit_than_the_task_says_are_an_error(written, box, problem, hint):
    """Read as pixels all shares would lie in one corner."""
    images = [
        objects(box, box),
        objects((math.nan, 1, 1, 1), box, box),
        objects(),
        objects(box, box),
    ]
    with pytest.raises(
        DataError, match=f"^rendered/test: (half of )?its 6 boxes {problem}$"
    ) as raised:
        encode(*images, boxes=written)
    assert missing_facts(raised.value.hint, *hint) == []


def test_small_boxes_in_a_corner_are_not_taken_for_shares():
    assert len(encode(*[objects((0, 0, 1, 1))] * 9, objects((0, 0, 1, 2.5))).targets) == 10
    assert len(encode(objects(*[(0, 0, 1, 1)] * 5)).targets) == 1


@pytest.mark.parametrize(
    "target",
    [
        {"boxes": [[16, 12, 32, 24]], "labels": ["dog"]},
        {"bboxes": np.array([[16, 12, 32, 24]]), "category_id": np.array([1])},
        [{"bbox": [16, 12, 32, 24], "category": 1}],
    ],
)
def test_other_names_for_the_same_are_understood(target):
    assert encode(target).targets[0, 0].tolist() == [0.25, 0.25, 0.75, 0.75, 1]


@pytest.mark.parametrize(
    ("target", "what", "handled"),
    [
        (objects(GOOD, (5, 5, 0, 4), (5, 5, 4, -1)), "empty-box 2", "left out"),
        (objects(GOOD, (math.nan, 5, 4, 4)), "empty-box 1", "left out"),
        (objects(GOOD, (None, 5, 4, 4)), "empty-box 1", "left out"),
        (objects(GOOD, (64, 5, 4, 4)), "box-outside 1", "left out"),
        (objects(GOOD, (-9, 5, 4, 4)), "box-outside 1", "left out"),
        (
            objects(GOOD, (1, 1, 4, 4), categories=[0, 3]),
            "box-of-no-category 1 (3)",
            "left out",
        ),
        (
            objects(GOOD, (1, 1, 4, 4), categories=[0, "fox"]),
            "box-of-no-category 1 ('fox')",
            "left out",
        ),
        (
            objects(GOOD, (1, 1, 4, 4), categories=[0, None]),
            "box-of-no-category 1 (None)",
            "left out",
        ),
    ],
)
def test_a_box_that_is_none_is_left_out_and_reported(target, what, handled):
    found = encode(objects(GOOD), target)
    assert [flaw_facts(flaw) for flaw in found.flaws] == [("b.jpg", what, handled)]
    assert found.targets[1].tolist() == [[0.25, 0.25, 0.75, 0.75, 0]]


def test_a_box_over_the_border_is_clipped_and_reported_from_a_pixel_on():
    found = encode(objects((-1, -1, 17, 49.5)), objects((-1.5, 0, 17.5, 24)))
    assert found.targets[:, 0].tolist() == [[0, 0, 0.25, 1, 0], [0, 0, 0.25, 0.5, 0]]
    assert [flaw_facts(flaw) for flaw in found.flaws] == [
        ("b.jpg", "box-partly-outside 1", "clipped")
    ]


@pytest.mark.parametrize(
    ("target", "what"),
    [
        (None, "no-boxes-with-categories"),
        ({"bbox": [[1, 1, 2, 2]]}, "no-boxes-with-categories"),
        ("boxes.txt", "no-boxes-with-categories"),
        ({"bbox": [[1, 1, 2, 2]], "category": [0, 1]}, "unequal-boxes-and-categories 1 2"),
        ({"bbox": [[1, 1, 2]], "category": [0]}, "boxes-not-of-four-numbers"),
        ({"bbox": [["a", 1, 2, 2]], "category": [0]}, "boxes-not-of-four-numbers"),
    ],
)
def test_an_image_whose_boxes_cannot_be_read_is_left_out_and_reported(target, what):
    found = encode(target, objects(GOOD))
    assert found.rows.tolist() == [1] and len(found.targets) == 1
    assert [flaw_facts(flaw) for flaw in found.flaws] == [("a.jpg", what, "image left out")]


def test_an_image_without_boxes_is_kept_but_one_that_lost_all_of_them_is_not():
    found = encode(objects(), [], objects(GOOD), objects((1, 1, 0, 0), (99, 1, 2, 2)))
    assert found.rows.tolist() == [0, 1, 2]
    assert found.targets[:, 0, 4].tolist() == [-1, -1, 0]
    assert [flaw.name for flaw in found.flaws] == ["d.jpg", "d.jpg"]
    assert {flaw_facts(flaw)[2] for flaw in found.flaws} == {"left out + image"}


def test_where_no_box_is_of_a_known_category_the_classes_are_wrong():
    with pytest.raises(DataError, match=r"no box .* category, such as 'fox'") as raised:
        encode(objects(GOOD, categories=["fox"]))
    assert raised.value.hint.endswith(": cat, dog, owl.")


def test_class_names_are_found_where_the_data_do_not_say():
    targets = [
        objects(GOOD, GOOD, categories=["b", "a"]),
        objects(),
        objects(GOOD, categories=["b"]),
    ]
    assert METHODS.classes(targets, TASK) == ("a", "b")
    assert METHODS.classes([objects(GOOD, categories=[2])], TASK) == ("0", "1", "2")
    assert METHODS.classes([objects(), None], TASK) == ()


def test_a_task_needs_some_box_but_not_one_of_every_class():
    assert METHODS.outputs(encode(objects(GOOD), objects()).targets, CLASSES) == 3
    with pytest.raises(DataError, match="image has a box"):
        METHODS.outputs(encode(objects()).targets, CLASSES)


def test_a_small_subset_holds_the_rare_class():
    """Of 40 images all have a cat, four an owl too, and four nothing at all."""
    common = [objects(GOOD)] * 32
    rare = [objects(GOOD, GOOD, categories=[0, 2])] * 4
    strata = METHODS.strata(encode(*common, *rare, *[objects()] * 4).targets)
    assert strata.tolist() == [0] * 32 + [2] * 4 + [3] * 4
    chosen = draw_subset(strata, "9", seed=0, validation=0.2)
    assert sorted(strata[np.concatenate([chosen.train, chosen.validation])].tolist()) == [
        0,
        0,
        0,
        2,
        2,
        2,
        3,
        3,
        3,
    ]


# -- augmentation -----------------------------------------------------------------------------------------


def test_boxes_come_back_from_annotations_as_they_were():
    target = torch.from_numpy(encode(objects(GOOD, categories=[2]), objects(GOOD, GOOD)).targets[0])
    assert torch.equal(METHODS.annotated(METHODS.annotate(target), target), target)


def test_augmentation_moves_boxes_with_their_pixels():
    """A bright rectangle on a dark ground: wherever it goes, its box bounds it to a pixel."""
    side = 64
    target = torch.tensor([[0.25, 0.5, 0.5, 0.625, 1.0], NONE])
    image = torch.zeros(3, side, side)
    image[:, 32:40, 16:32] = 1
    together = PairedTransform(METHODS, METHODS.augmentation(mirror=True))
    images, targets = together(
        image.expand(24, -1, -1, -1), target.expand(24, -1, -1), torch.Generator().manual_seed(0)
    )
    for moved, (box, padding) in zip(images, targets, strict=True):
        rows, columns = (torch.nonzero(moved[0].amax(axis) > 0.5).flatten() for axis in (1, 0))
        seen = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert torch.allclose(box[:4] * side, seen.float(), atol=1.01)
        assert box[4] == 1 and padding.tolist() == NONE
    centres = targets[:, 0, [0, 2]].mean(1)
    assert centres.min() < 0.4 and centres.max() > 0.6, "some are mirrored"
    assert (
        images[:, 0].sum((1, 2)).max() > 1.2 * image[0].sum() > 1.4 * images[:, 0].sum((1, 2)).min()
    ), "and zoomed both ways"


def test_a_box_that_leaves_the_image_goes_and_one_that_stays_in_part_is_clamped():
    """Shifted 8 pixels to the left: of the first box an eighth is left, of the second half, the third moves."""
    affine = _augmentation.ClampedBoxesAffine(0, translate=(0.1, 0.1))
    boxes = tv_tensors.BoundingBoxes(
        torch.tensor([[0.0, 10, 8.5, 20], [0, 10, 16, 20], [20, 10, 30, 20]]),
        format="XYXY",
        canvas_size=(64, 64),
    )
    moved = affine.transform(
        boxes, {"angle": 0.0, "translate": (-8, 0), "scale": 1.0, "shear": (0.0, 0.0)}
    )
    assert moved.tolist() == [[0, 0, 0, 0], [0, 10, 8, 20], [12, 10, 22, 20]]


def test_a_box_of_less_than_a_pixel_is_moved_as_others_are():
    target = torch.tensor([[0.5, 0.5, 0.504, 0.51, 2.0], NONE])
    together = PairedTransform(METHODS, METHODS.augmentation(mirror=True))
    _, moved = together(
        torch.zeros(6, 3, 64, 64), target.expand(6, -1, -1), torch.Generator().manual_seed(0)
    )
    assert moved[:, :, 4].tolist() == [[2, -1]] * 6
    assert ((moved[:, 0, 2:4] - moved[:, 0, :2]) / (target[0, 2:4] - target[0, :2])).sub(
        1
    ).abs().max() < 0.21


def test_images_without_boxes_are_augmented_too():
    targets = torch.tensor(NONE, dtype=torch.float32).expand(2, 3, 5)
    _, moved = PairedTransform(METHODS, METHODS.augmentation(mirror=False))(
        torch.rand(2, 3, 32, 32), targets, torch.Generator()
    )
    assert torch.equal(moved, targets)


# -- the head and its loss --------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_the_head_takes_any_network_s_maps(architecture):
    options = {"img_size": 64} if "vit" in architecture else {}
    backbone = Backbone(timm.create_model(architecture, num_classes=0, **options), dense=True)
    network = torch.nn.Sequential(backbone, METHODS.head(width_of(backbone, 64), 3))
    images, targets = (
        torch.randn(2, 3, 64, 64),
        torch.tensor([[[0.1, 0.1, 0.6, 0.6, 2], NONE], [NONE, NONE]]),
    )
    METHODS.loss(network.train()(images), targets).backward()
    assert all(parameter.grad is not None for parameter in network[1].parameters())
    with torch.inference_mode():
        found = network.eval()(images)
    assert found.shape == (2, 100, 6) and found.dtype == torch.float32
    real = found[found[..., 5] >= 0]
    assert len(real) and real[:, :5].min() >= 0 and real[:, :5].max() <= 1
    assert (found[..., 4].diff(dim=1) <= 0).all(), "best first, the padding last"
    assert torch.equal(network(images).detach(), found), "gradients or not"


def head_of_nothing(classes=3):
    return METHODS.head(Pyramid((4, 4, 4, 4)), classes)


def maps(side, count=2):
    return [torch.randn(count, 4, side // stride, side // stride) for stride in (4, 8, 16, 32)]


@pytest.mark.parametrize(
    "layer",
    ["classification_head.cls_logits", "regression_head.bbox_reg", "regression_head.bbox_ctrness"],
)
def test_a_diverged_network_is_an_error_and_has_not_found_nothing(layer):
    head, targets = (
        head_of_nothing().eval(),
        torch.tensor([[0.1, 0.1, 0.6, 0.6, 2]]).expand(2, 1, 5),
    )
    with torch.inference_mode():
        assert METHODS.measure(head(maps(64)), targets)["map"] < 0.1
        head.get_parameter(f"head.{layer}.bias").fill_(math.nan)
        with pytest.raises(TrainingError, match="not numbers"):
            METHODS.measure(head(maps(64)), targets)


def test_a_batch_without_boxes_has_a_small_loss_that_is_a_number():
    head = head_of_nothing()
    value = METHODS.loss(head(maps(64)), torch.tensor(NONE).float().expand(2, 4, 5))
    value.backward()
    assert 0 <= value.item() < 0.1
    assert all(
        parameter.grad.isfinite().all() for parameter in head.head.classification_head.parameters()
    )


def test_a_fresh_head_s_loss_is_chance_whatever_the_classes():
    torch.manual_seed(0)
    boxes = torch.rand(8, 6, 2) * 0.5
    for classes in (1, 3, 40):
        targets = torch.cat(
            [boxes, boxes + torch.rand(8, 6, 2) * 0.4 + 0.1, torch.randint(classes, (8, 6, 1))],
            dim=2,
        )
        value = METHODS.loss(head_of_nothing(classes)(maps(128, 8)), targets).item()
        assert value == pytest.approx(METHODS.chance(classes), rel=0.15)


def test_large_boxes_are_matched_as_torchvision_matches_them():
    """Where anchors are twice their stride torchvision's FCOS has the same reach and radius in pixels."""
    strides, side = (8, 16, 32), 128
    anchors = _fcos.cells_of(side, strides, torch.device("cpu"))
    levels, random = tuple(len(level) for level in anchors), np.random.default_rng(0)
    corners = torch.from_numpy(random.uniform(0, 60, (9, 2)).astype(np.float32))
    boxes = torch.cat(
        [corners, corners + torch.from_numpy(random.uniform(20, 67, (9, 2)).astype(np.float32))],
        dim=1,
    )
    matches = []

    class Spy:
        center_sampling_radius = 2 * _fcos.CENTRE_RADIUS
        head = type(
            "Head",
            (),
            {
                "compute_loss": staticmethod(
                    lambda targets, said, anchors, matched: matches.extend(matched)
                )
            },
        )

    halved = [
        torch.cat([level[:, :2] + stride / 4, level[:, 2:] - stride / 4], 1)
        for level, stride in zip(anchors, strides, strict=True)
    ]
    FCOS.compute_loss(
        Spy(),
        [{"boxes": boxes, "labels": torch.zeros(9, dtype=torch.long)}],
        {},
        [torch.cat(halved)],
        list(levels),
    )
    ours = _fcos.match_locations(torch.cat(anchors), boxes, levels)
    assert torch.equal(ours, matches[0]) and len(ours.unique()) == 9


def test_network_and_loss_are_those_of_torchvision_under_the_same_matches():
    torch.manual_seed(0)
    head = head_of_nothing()
    torch.manual_seed(0)
    FeaturePyramidNetwork([4, 4, 4, 4], _fcos.WIDTH)
    theirs = FCOSHead(_fcos.WIDTH, 1, 3, _fcos.TOWER_DEPTH)
    nn.init.constant_(theirs.regression_head.bbox_reg.bias, _fcos.FIRST_DISTANCE)
    assert all(
        torch.equal(value, head.head.state_dict()[name])
        for name, value in theirs.state_dict().items()
    )
    images = maps(64)
    said = head(images)
    levels = list(head.fpn({str(level): value for level, value in enumerate(images)}).values())
    outputs = theirs(levels)
    assert torch.equal(outputs["cls_logits"], said.logits)
    assert torch.equal(outputs["bbox_regression"], said.distances)
    assert torch.equal(outputs["bbox_ctrness"], said.centreness)

    targets = torch.tensor(
        [[[0.1, 0.1, 0.3, 0.4, 1], [0.4, 0.3, 0.95, 0.9, 0]], [[0.5, 0.5, 0.6, 0.6, 2], NONE]]
    )
    truth = [target[target[:, 4] >= 0] for target in targets]
    boxes = [target[:, :4] * said.side for target in truth]
    matches = [_fcos.match_locations(said.cells, one, said.level_sizes) for one in boxes]
    wanted = [
        {"boxes": one, "labels": target[:, 4].long()}
        for one, target in zip(boxes, truth, strict=True)
    ]
    losses = theirs.compute_loss(wanted, outputs, [said.cells] * 2, matches)
    assert METHODS.loss(said, targets).item() == pytest.approx(sum(losses.values()).item())


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 2, 2),
        (61, 61, 64, 64),
        (9, 9, 11, 11),
        (0, 20, 64, 22),
        (20, 0, 21, 64),
        (0, 0, 64, 64),
        (8, 8, 16, 16),
    ],
)
def test_every_box_has_a_location_that_lies_in_it(box):
    """Tiny, thin and huge ones: those that miss every location are stretched to the nearest."""
    anchors = torch.cat(_fcos.cells_of(64, (8, 16, 32), torch.device("cpu")))
    stretched = _fcos.stretched(torch.tensor([box], dtype=torch.float32), anchors)
    assert (stretched[:, :2] <= torch.tensor(box[:2])).all() and (
        stretched[:, 2:] >= torch.tensor(box[2:])
    ).all()
    assert (stretched - torch.tensor(box)).abs().max() <= 4.5
    taken = anchors[_fcos.match_locations(anchors, stretched, (64, 16, 4)) == 0]
    centres = (taken[:, :2] + taken[:, 2:]) / 2
    assert len(centres)
    assert (centres > stretched[:, :2]).all() and (centres < stretched[:, 2:]).all()


def test_what_the_loss_wants_is_what_detection_returns():
    """A head that says of every location exactly what it is for: what is left of the loss is the entropy of the centre-ness (a share
    between 0 and 1, as the paper defines it), and the detections are the boxes."""
    targets = torch.tensor(
        [[[0.1, 0.1, 0.3, 0.4, 1], [0.4, 0.3, 0.95, 0.9, 0]], [[0.5, 0.5, 0.6, 0.6, 2], NONE]]
    )
    side, head, entropies = 64, head_of_nothing().eval(), []
    anchors = _fcos.cells_of(side, head.strides, torch.device("cpu"))
    levels, cells = tuple(len(level) for level in anchors), torch.cat(anchors)
    logits, distances, centreness = (
        torch.full((2, len(cells), 3), -20.0),
        torch.zeros(2, len(cells), 4),
        torch.zeros(2, len(cells), 1),
    )
    for image, boxes in enumerate(targets):
        boxes = boxes[boxes[:, 4] >= 0]
        for location, box in enumerate(
            _fcos.match_locations(cells, boxes[:, :4] * side, levels).tolist()
        ):
            if box < 0:
                continue
            x1, y1, x2, y2 = cells[location].tolist()
            (x, y), corners = ((x1 + x2) / 2, (y1 + y2) / 2), (boxes[box, :4] * side).tolist()
            left, top, right, bottom = (
                x - corners[0],
                y - corners[1],
                corners[2] - x,
                corners[3] - y,
            )
            central = math.sqrt(
                min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)
            )
            logits[image, location, int(boxes[box, 4])] = 20
            distances[image, location] = torch.tensor([left, top, right, bottom]) / (x2 - x1)
            centreness[image, location] = math.log(central / (1 - central)) if central < 1 else 20.0
            entropies.append(
                -central * math.log(central)
                - ((1 - central) * math.log(1 - central) if central < 1 else 0)
            )
    said = _fcos.LocationOutputs(logits, distances, centreness, cells, levels, side)
    assert METHODS.loss(said, targets).item() == pytest.approx(np.mean(entropies), abs=1e-4)
    found = _fcos.detections_of(said)
    assert METHODS.measure(found, targets)["map"] == pytest.approx(1.0)
    assert (found[..., 5] >= 0).sum(1).tolist() == [2, 1]


# -- probe, picture, learning -----------------------------------------------------------------------------


def test_estimators_look_at_the_boxes_centres_and_at_places_in_none():
    targets = encode(
        objects(GOOD, categories=[1]), objects(), objects((0, 0, 64, 48), categories=[0])
    ).targets
    probe = METHODS.probe(targets)
    assert (np.diff(probe.image) >= 0).all()
    named = [
        (image, label)
        for image, label in zip(probe.image.tolist(), probe.labels.tolist(), strict=True)
    ]
    assert (0, 1) in named and (2, 0) in named and (1, 2) in named
    assert (2, 2) not in named, "nothing of the last image is outside of its box"
    assert probe.places[probe.labels == 1].tolist() == [[0.5, 0.5]]
    elsewhere = probe.places[(probe.labels == 2) & (probe.image == 0)]
    assert len(elsewhere) and not ((elsewhere >= 0.25) & (elsewhere <= 0.75)).all(1).any()
    assert len(METHODS.probe(encode(objects()).targets).labels) > 0


def test_an_adapted_network_answers_with_boxes_in_pixels_and_names():
    prediction = np.array(
        [[0.25, 0.5, 0.75, 1, 0.875, 2], [0, 0, 0.5, 0.5, 0.25, 0], [0, 0, 0, 0, 0, -1]], np.float32
    )
    answer = METHODS.answer(prediction, CLASSES, (64, 48))
    assert answer == {
        "bbox": [[16, 24, 32, 24], [0, 0, 32, 24]],
        "category": ["owl", "cat"],
        "score": [0.875, 0.25],
    }
    back = encode({"bbox": answer["bbox"], "category": answer["category"]}).targets[0]
    assert back.tolist() == prediction[:2, [0, 1, 2, 3, 5]].tolist()


def test_the_picture_shows_boxes_and_sure_detections():
    image, target = (
        np.full((64, 64, 3), 200, np.uint8),
        np.array([[0.25, 0.25, 0.75, 0.75, 1], NONE], np.float32),
    )
    prediction = np.array(
        [[0.5, 0.5, 1, 1, 0.9, 2], [0, 0, 0.5, 0.5, 0.1, 0], [0, 0, 0, 0, 0, -1]], np.float32
    )
    (first, truth), (second, found) = METHODS.picture(image, target, prediction, CLASSES)
    assert (first, second) == ("boxes: 1 dog", "predicted, score ≥ 0.5: 1 owl")
    assert truth.shape == found.shape == (512, 512, 3)
    assert (truth[200, 128] != 200).any() and (truth[200, 256] == 200).all(), (
        "a line at a quarter of the width, none within"
    )
    assert (found[400, 256] != 200).any() and (found[100, 100] == 200).all()
    assert (
        METHODS.picture(image, target[1:], prediction[2:], CLASSES)[1][0]
        == "predicted, score ≥ 0.5: none"
    )


def drawn_scenes(numbers):
    """Images (N, 3, 64, 64) and their encoded targets."""
    scenes = [rendered.scene(number) for number in numbers]
    squeezed = np.stack(
        [np.asarray(Image.fromarray(each.image()).resize((64, 64))) for each in scenes]
    )
    targets = encode(
        *[each.objects() for each in scenes],
        classes=rendered.KINDS,
        names=[str(number) for number in numbers],
    ).targets
    return torch.from_numpy(squeezed).permute(0, 3, 1, 2).float() / 127.5 - 1, torch.from_numpy(
        targets
    )


@pytest.mark.slow
def test_it_learns_to_detect_rendered_shapes_from_scratch():
    images, targets = drawn_scenes(range(48))
    torch.manual_seed(0)
    backbone = Backbone(timm.create_model("test_resnet", num_classes=0), dense=True)
    network, steps = torch.nn.Sequential(backbone, METHODS.head(width_of(backbone, 64), 3)), 35
    optimiser = torch.optim.AdamW(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 4e-3, total_steps=steps, pct_start=0.2
    )
    for _ in range(steps):
        rows = torch.randperm(len(images))[:8]
        optimiser.zero_grad()
        METHODS.loss(network.train()(images[rows]), targets[rows]).backward()
        optimiser.step()
        schedule.step()
    unseen, truth = drawn_scenes(range(100, 116))
    with torch.inference_mode():
        measured = METHODS.measure(network.eval()(unseen), truth)
    assert measured["ap50"] > 0.6
