"""Folders in the form of COCO."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import headwater as hw
from headwater.harness.data.prepared import load_usable, prepare
from headwater.harness.data.splits import splits_of
from headwater.plugins.tasks._coco_crops import crop_box, points_in
from headwater.plugins.tasks._coco_masks import VOID
from headwater.registry.errors import BadName, DataError, UnknownName
from tests.facts import flaw_facts, missing_facts
from tests.rendered import HEIGHT, KINDS, TEST, TRAIN, WIDTH, coco, scene, write_coco


@pytest.fixture(scope="module")
def registry():
    return hw.Registry.discover()


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path / "shapes")


def read(registry, root, options="type=detection"):
    return splits_of(registry.task(f"coco/{root}[{options}]"))


def changed(root, change, kind="instances"):
    """The training annotations, after ``change(content)``."""
    content = coco("train")
    change(content)
    (root / f"annotations/{kind}_train2017.json").write_text(json.dumps(content))


def told(card, registry):
    found = prepare(card, registry.task_type(card.type), 32)
    return [
        flaw_facts(replace(flaw, name=flaw.name.removeprefix(f"{card.name}: ")))
        for flaw in found.flaws
    ], len(found.train)


# -- boxes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flat", [False, True])
def test_boxes_and_category_names_are_those_of_the_scenes(registry, tmp_path, flat):
    root = write_coco(tmp_path, flat=flat)
    splits, classes = read(registry, root)
    assert classes == KINDS
    assert [dict(target) for target in splits["test"].targets] == [
        scene(100 + row).objects() for row in range(TEST)
    ]
    assert (
        splits["train"].names[3].endswith(": 000000000003.jpg")
        and splits["train"].images[3].name == "000000000003.jpg"
    )
    card = registry.task(f"coco/{root}")
    assert (card.type, card.images, len(card.files)) == ("detection", TRAIN, 2 + TRAIN + TEST)


def test_boxes_in_shares_end_with_what_to_type_and_typing_it_helps(registry, root):
    detection = registry.task_type("detection")
    pixels = load_usable(registry.task(f"coco/{root}"), detection, 32)
    for split, year in (("train", "train2017"), ("test", "val2017")):
        content = coco(split)
        for each in content["annotations"]:
            each["bbox"] = [
                value / side for value, side in zip(each["bbox"], (WIDTH, HEIGHT) * 2, strict=True)
            ]
        (root / f"annotations/instances_{year}.json").write_text(json.dumps(content))
    with pytest.raises(DataError) as raised:
        load_usable(registry.task(f"coco/{root}"), detection, 32)
    assert "boxes=xywh_shares" in raised.value.hint
    shares = load_usable(registry.task(f"coco/{root}[boxes=xywh_shares]"), detection, 32)
    assert all(
        np.allclose(shares.encoded[split].targets, pixels.encoded[split].targets)
        for split in ("train", "test")
    )


@pytest.mark.parametrize("place", ["train2017", "images/train2017", "images", "."])
def test_images_are_found_where_data_sets_put_them(registry, root, place):
    folder = root / place
    folder.mkdir(parents=True, exist_ok=True)
    for file in (root / "train2017").iterdir():
        file.rename(folder / file.name)
    splits, _ = read(registry, root)
    assert {image.parent for image in splits["train"].images} == {folder.resolve()}


def test_file_names_may_have_folders_but_not_lead_out_of_the_data_set(registry, root, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes((root / "train2017/000000000001.jpg").read_bytes())

    def change(content):
        content["images"][0]["file_name"] = "train2017/000000000000.jpg"
        content["images"][1]["file_name"] = "../../secret.jpg"
        content["images"][2]["file_name"] = str(secret)

    changed(root, change)
    found, kept = told(registry.task(f"coco/{root}"), registry)
    missing = ("no-image-file", "left out")
    assert found == [("../../secret.jpg", *missing), (str(secret), *missing)] and kept == TRAIN - 2


def test_what_is_wrong_is_told_image_by_image(registry, root):
    assert [len(scene(number).shapes) for number in (0, 1, 3, 4)] == [1, 2, 1, 2]

    def change(content):
        of = {
            number: [each for each in content["annotations"] if each["image_id"] == number + 1]
            for number in range(TRAIN)
        }
        of[0][0]["iscrowd"] = 1
        of[1][0]["iscrowd"] = 1
        of[3][0]["category_id"] = 99
        of[4][0]["image_id"] = 777
        del of[7][0]["bbox"]
        of[10][0]["bbox"] = [500, 0, 9, 9]
        content["annotations"] = [
            each for each in content["annotations"] if each["image_id"] != 9 + 1
        ]

    changed(root, change)
    (root / "train2017/000000000006.jpg").unlink()
    found, kept = told(registry.task(f"coco/{root}"), registry)
    assert found[:2] == [
        ("000000000006.jpg", "no-image-file", "left out"),
        ("000000000000.jpg", "crowd-region 1", "left out + image"),
    ]
    assert set(found[1:]) == {
        (
            "instances_train2017.json",
            "annotation-of-no-image 1 (777)",
            "left out",
        ),
        ("000000000000.jpg", "crowd-region 1", "left out + image"),
        ("000000000001.jpg", "crowd-region 1", "left out"),
        (
            "000000000003.jpg",
            "unknown-category 1 (99)",
            "left out + image",
        ),
        ("000000000007.jpg", "empty-box 1", "left out"),
        ("000000000010.jpg", "box-outside 1", "left out"),
    }
    assert kept == TRAIN - 3  # image 9, of which nothing is annotated, stays


def test_categories_that_only_stand_above_others_are_no_classes(registry, tmp_path):
    root = write_coco(tmp_path, flat=True)
    file = root / "train/_annotations.coco.json"
    content = json.loads(file.read_text())
    content["categories"].insert(0, {"id": 0, "name": "shape", "supercategory": "none"})
    file.write_text(json.dumps(content))
    assert read(registry, root)[1] == KINDS


def test_an_image_of_another_size_than_listed_is_left_out(registry, root):
    def change(content):
        content["images"][0] |= {"width": 640, "height": 480}
        content["images"][1] |= {"width": None, "height": 0}  # says nothing
        content["images"][2] |= {"width": HEIGHT, "height": WIDTH}

    changed(root, change)
    turned = root / "train2017/000000000002.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(turned).copy().save(turned, exif=exif)
    size = f"is {WIDTH}×{HEIGHT}, listed as"
    expected = [
        ("000000000000.jpg", f"{size} 640×480", "left out"),
        (
            "000000000002.jpg",
            f"{size} {HEIGHT}×{WIDTH}, as its EXIF orientation turns it",
            "left out",
        ),
    ]
    assert told(registry.task(f"coco/{root}"), registry) == (expected, TRAIN - 2)
    split = registry.task(f"coco/{root}[type=keypoints,category=disc]").load()["train"]
    assert [flaw_facts(flaw) for flaw in split.flaws] == expected
    assert not any(name.startswith(("000000000000", "000000000002")) for name in split.names)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_that_loading_leaves_empty_is_an_error_with_its_first_flaw(registry, root, split):
    content = coco(split)
    for each in content["images"]:
        each["width"] = 99
    (root / f"annotations/instances_{'train' if split == 'train' else 'val'}2017.json").write_text(
        json.dumps(content)
    )
    card = registry.task(f"coco/{root}")
    with pytest.raises(
        DataError,
        match=rf"{split} split .*: 0+[01]00\.jpg is 64×48, listed as 99×48",
    ):
        prepare(card, registry.task_type("detection"), 32)


MALFORMED = {
    "detection": [
        ({"bbox": ["a", 1, 2, 3]}, "empty-box 1"),
        ({"bbox": None}, "empty-box 1"),
        ({"bbox": 7}, "empty-box 1"),
        ({"bbox": [1, 1, 10**400, 3]}, "empty-box 1"),
        ({"category_id": [3]}, "unknown-category 1 ([3])"),
        ({"category_id": "3"}, "unknown-category 1 (3)"),
    ],
    "segmentation": [
        ({"segmentation": [[1, 2, 3, 4]]}, "without-an-outline-that-can-be-drawn 1"),
        (
            {"segmentation": [[9, 9, 20, 9, 20, 20], ["a"] * 6]},
            "without-an-outline-that-can-be-drawn 1",
        ),
        (
            {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "zzzz"}},
            "without-an-outline-that-can-be-drawn 1",
        ),
        (
            {"segmentation": {"size": [HEIGHT, WIDTH], "counts": None}},
            "without-an-outline-that-can-be-drawn 1",
        ),
        ({"segmentation": None, "bbox": [1]}, "without-outline-and-box 1"),
    ],
    "keypoints": [
        ({"keypoints": 5}, "keypoints-not-numbers"),
        ({"keypoints": "abc"}, "keypoints-not-numbers"),
        ({"keypoints": [None] * 12}, "keypoints-not-numbers"),
        ({"keypoints": None}, "object-without-points 1"),
        ({"bbox": "none"}, "no-box-in-the-image"),
    ],
}


@pytest.mark.parametrize("type", MALFORMED)
def test_malformed_annotations_are_flaws_of_their_images(registry, root, type):
    def change(content):
        for each in content["annotations"]:
            each["category_id"] = 3
        for number, (broken, _) in enumerate(MALFORMED[type]):
            next(
                each for each in content["annotations"] if each["image_id"] == 3 * number + 2
            ).update(broken)
        whole = content["annotations"][-1]
        content["annotations"] += [{"image_id": {}}, {"id": 5}, whole, {**whole, "image_id": "1"}]

    changed(root, change)
    found, _ = told(
        registry.task(f"coco/{root}[type={type}{',category=disc' if type == 'keypoints' else ''}]"),
        registry,
    )
    images = [
        (name.partition(" ")[0], what)
        for name, what, _ in found
        if not name.startswith("instances")
    ]
    assert sorted(images) == [
        (f"{3 * number + 1:012d}.jpg", what) for number, (_, what) in enumerate(MALFORMED[type])
    ]
    last = coco("train")["annotations"][-1]["id"]
    assert [flaw for flaw in found if flaw[0].startswith("instances")] == [
        (
            "instances_train2017.json",
            "annotation-of-no-image 3 ({}, no id, 1)",
            "left out",
        ),
        (
            "instances_train2017.json",
            f"repeated-annotation 1 ({last})",
            "taken once",
        ),
    ]


def test_images_left_out_are_counted_against_those_that_are_listed_whatever_else_is_wrong(
    registry, root
):
    changed(
        root,
        lambda content: content["annotations"].extend(
            [{"id": 900 + number, "image_id": 900} for number in range(99)]
        ),
    )
    (root / "train2017/000000000006.jpg").unlink()
    counted = "flawed annotations in 2 of 36 images, 1 of 24 train images left out"
    assert (
        str(prepare(registry.task(f"coco/{root}"), registry.task_type("detection"), 32).flawed)
        == counted
    )


# -- masks --------------------------------------------------------------------------------------------------------


def test_outlines_are_drawn_as_masks_with_the_background_as_a_class(registry, root):
    splits, classes = read(registry, root, "type=segmentation")
    assert classes == ("background", *KINDS)
    for row in range(TEST):
        drawn, true = splits["test"].targets[row], scene(100 + row).mask()
        seen = true != VOID
        assert drawn.shape == (HEIGHT, WIDTH) and drawn.dtype == np.uint8
        assert (drawn == true)[
            seen
        ].mean() > 0.98  # outlines of discs and triangles cut through pixels
        squares = [shape for shape in scene(100 + row).shapes if KINDS[shape.kind] == "square"]
        assert all(
            (drawn[shape.mask()] == 2).all()
            and (drawn == 2).sum() == sum(s.mask().sum() for s in squares)
            for shape in squares
        )


def test_the_background_may_be_void(registry, root):
    splits, classes = read(registry, root, "type=segmentation,background=false")
    with_background, _ = read(registry, root, "type=segmentation")
    assert classes == KINDS
    one, two = splits["train"].targets[2], with_background["train"].targets[2]
    assert ((one == VOID) == (two == 0)).all() and (one[two > 0] == two[two > 0] - 1).all()


def test_the_box_of_an_object_without_outline_is_void_all_the_way(registry, root):
    def change(content):
        content["annotations"][0] |= {"segmentation": [], "bbox": [10, 20, 4, 3]}
        content["annotations"][1]["category_id"] = 99

    changed(root, change)
    assert [scene(0).number, len(scene(0).shapes)] == [0, 1]
    card = registry.task(f"coco/{root}[type=segmentation]")
    found, kept = told(card, registry)
    assert found == [
        (
            "000000000000.jpg",
            "without-an-outline-that-can-be-drawn 1",
            "its box is void",
        ),
        ("000000000001.jpg", "unknown-category 1 (99)", "void"),
    ]
    assert kept == TRAIN
    masks = read(registry, root, "type=segmentation")[0]["train"].targets
    assert (masks[0][20:23, 10:14] == VOID).all() and (
        masks[0] == VOID
    ).sum() == 4 * 5  # to the pixels that the box touches
    assert (masks[1][scene(1).shapes[0].mask()] == VOID).mean() > 0.95


# -- keypoints ----------------------------------------------------------------------------------------------------


def test_a_crop_is_the_box_with_its_margin_within_the_image():
    assert crop_box({"bbox": [10, 20, 20, 10]}, (80, 100), 0.1) == (8, 19, 32, 31)
    assert crop_box({"bbox": [1, 2, 20.5, 10]}, (20, 20), 0.5) == (0, 0, 20, 17)
    assert crop_box({"bbox": [30, 0, 5, 5]}, (20, 20), 0.1) is None
    assert crop_box({"bbox": [1, 1, float("nan"), 5]}, (20, 20), 0.1) is None
    assert crop_box({}, (20, 20), 0.1) is None


def test_points_are_relative_to_the_crop_and_unlabelled_ones_are_zeros():
    assert points_in([10, 20, 2, 0, 0, 0, 13, 21, 1], (8, 19, 32, 31)) == [
        [2, 1, 2],
        [0, 0, 0],
        [5, 2, 1],
    ]


def test_every_object_with_points_is_an_image_of_its_own(registry, tmp_path):
    root = write_coco(tmp_path, kind="person_keypoints")
    whole = registry.task(f"coco/{root}[type=keypoints,category=square,margin=0.25]").load()[
        "train"
    ]
    squares = [
        (each, shape)
        for each in map(scene, range(TRAIN))
        for shape in each.shapes
        if KINDS[shape.kind] == "square"
    ]
    assert len(whole.images) == len(whole.targets) == len(squares)
    for (each, shape), image, target, name in zip(
        squares, whole.images, whole.targets, whole.names, strict=True
    ):
        x, y, width, height = shape.box()
        left, top = max(0, int(np.floor(x - width / 4))), max(0, int(np.floor(y - height / 4)))
        assert name.startswith(f"{each.number:012d}.jpg (annotation ")
        assert target == [[px - left, py - top, 2.0] for px, py, _ in shape.points()]
        pixels = np.asarray(image).astype(int)
        assert image.size == pixels.shape[1::-1]
        close = np.abs(
            pixels - each.image()[top : top + pixels.shape[0], left : left + pixels.shape[1]]
        )
        assert close.mean() < 20  # JPEG


def test_of_several_categories_with_points_one_must_be_named(registry, tmp_path):
    root = write_coco(tmp_path, kind="person_keypoints")
    with pytest.raises(
        DataError, match=r"3 categories with points \(.*: disc, square, triangle\)"
    ) as raised:
        registry.task(f"coco/{root}[type=keypoints]").load()
    assert raised.value.hint == "Say which: category=disc."
    with pytest.raises(DataError, match="no category person with points"):
        registry.task(f"coco/{root}[type=keypoints,category=person]").load()


def test_objects_without_points_or_of_the_wrong_number_are_flaws(registry, tmp_path):
    root = write_coco(tmp_path, kind="person_keypoints")
    (first, second, third) = [
        place for place, each in enumerate(coco("train")["annotations"]) if each["category_id"] == 5
    ][:3]

    def change(content):
        content["annotations"][first]["keypoints"] = [0] * 12
        content["annotations"][second]["keypoints"] = [1, 1, 2]
        content["annotations"][third]["bbox"] = [900, 900, 4, 4]

    changed(root, change, kind="person_keypoints")
    whole = registry.task(f"coco/{root}[type=keypoints,category=square]").load()["train"]
    names = [
        f"{coco('train')['annotations'][place]['image_id'] - 1:012d}.jpg"
        for place in (first, second, third)
    ]
    assert [flaw_facts(flaw)[:2] for flaw in whole.flaws] == [
        (names[0], "object-without-points 1"),
        (f"{names[1]} (annotation {second + 1})", "wrong-number-of-keypoints 3 4"),
        (f"{names[2]} (annotation {third + 1})", "no-box-in-the-image"),
    ]


# -- files --------------------------------------------------------------------------------------------------------


def test_each_type_reads_its_file_and_a_prefix_names_another(registry, root):
    write_coco(root, kind="person_keypoints")
    (root / "annotations/captions_train2017.json").write_text("{}")
    (root / "annotations/stuff_train2017.json").write_text("{}")

    def read_files(options):
        return {
            file.name
            for file in registry.task(f"coco/{root}[{options}]").files
            if file.suffix == ".json"
        }

    assert read_files("type=detection") == {"instances_train2017.json", "instances_val2017.json"}
    assert read_files("type=keypoints") == {
        "person_keypoints_train2017.json",
        "person_keypoints_val2017.json",
    }
    assert read_files("annotations=person") == {
        "person_keypoints_train2017.json",
        "person_keypoints_val2017.json",
    }
    (root / "annotations/instances_minitrain_train.json").write_text("{}")
    with pytest.raises(
        DataError,
        match=r"two .* for train: annotations/instances_minitrain_train.json and annotations/instances_",
    ) as raised:
        registry.task(f"coco/{root}")
    said = raised.value.hint.partition("annotations=")[2].rstrip(".")
    assert read_files(f"annotations={said}") == {
        "instances_minitrain_train.json",
        "instances_val2017.json",
    }
    with pytest.raises(DataError, match=r"no annotation file .* mine") as raised:
        registry.task(f"coco/{root}[annotations=mine]")
    assert raised.value.hint.startswith(
        "There are: annotations/instances_minitrain_train.json, annotations/instances_train2017.json, "
    )
    (root / "old").mkdir()
    (root / "old/instances_val2017.json").write_text("{}")
    with pytest.raises(DataError, match="two annotation files for validation") as raised:
        registry.task(f"coco/{root}[annotations=instances_train+instances_val]")
    assert missing_facts(raised.value.hint, "move one", root) == []  # no prefix tells them apart


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"images": [', "cannot be read: Expecting value"),
        ("[]", "no list of images"),
        ('{"images": [], "annotations": {}}', "no list of annotations"),
        ('{"images": [3], "annotations": [], "categories": []}', "images\\[0\\] is no object"),
        (
            '{"images": [{"id": 1}], "annotations": [], "categories": []}',
            "images\\[0\\] lacks id or file_name",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": [], "categories": []}',
            "two .*images have the id 1",
        ),
        (
            '{"images": [{"id": [1], "file_name": "a"}], "annotations": [], "categories": []}',
            "images\\[0\\] lacks id or file_name",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "two .*categories have the id 1",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 4}]}',
            "categories\\[0\\] lacks id or name",
        ),
    ],
)
def test_a_file_that_is_not_cocos_says_what_it_lacks(registry, root, text, problem):
    (root / "annotations/instances_train2017.json").write_text(text)
    with pytest.raises(DataError, match=problem) as raised:
        read(registry, root)
    assert raised.value.subject == str(root / "annotations/instances_train2017.json")


def test_wrong_folders_types_and_options_say_what_to_do(registry, root, tmp_path):
    with pytest.raises(UnknownName, match="there is no folder"):
        registry.task(f"coco/{tmp_path}/none")
    with pytest.raises(DataError, match="has no annotation file"):
        registry.task(f"coco/{root}/train2017")
    with pytest.raises(BadName, match="coco/ holds no depth"):
        registry.task(f"coco/{root}[type=depth]")
    with pytest.raises(BadName, match=r"option 'marign'.* margin\b"):
        registry.task(f"coco/{root}[type=keypoints,marign=0.2]")
    for file in (root / "train2017").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"none of the 24 images that instances_train2017.json"):
        registry.task(f"coco/{root}").load()


@pytest.mark.parametrize(
    ("options", "problem", "hint"),
    [
        (
            "type=segmentation,classes=cat+dog",
            "has no option 'classes' as segmentation",
            "type=detection",
        ),
        (
            "type=keypoints,classes=nose+ear",
            "has no option 'classes' as keypoints",
            "type=detection",
        ),
        (
            "background=false",
            "has no option 'background' as detection",
            "type=segmentation",
        ),
        (
            "type=detection,margin=0.2",
            "has no option 'margin' as detection",
            "type=keypoints",
        ),
        ("void=3", "has no option 'void'", "Its options: classes,"),  # of no type of COCO's
        ("type=keypoints,margin=-0.1", "margin=-0.1", "margin=0 nothing"),
        ("type=keypoints,margin=nan", "margin=nan", "margin=0 nothing"),
    ],
)
def test_options_of_another_type_and_out_of_range_are_refused(
    registry, root, options, problem, hint
):
    with pytest.raises(BadName) as raised:
        registry.task(f"coco/{root}[{options}]")
    assert problem in raised.value.message and hint in raised.value.hint


def test_an_option_that_is_none_is_not_said(registry, root):
    card = registry.task(
        f"coco/{root}[type=keypoints,category=disc,margin=none,domain=none,mirrored=none]"
    )
    assert "mirrored" not in card.conventions
    assert card.load.args[-1] == {"category": "disc"} and card.domain is None


def test_a_changed_image_is_another_task_wherever_it_lies(registry, root):
    (root / "images").mkdir()
    aside = (root / "train2017/000000000003.jpg").rename(root / "images/000000000003.jpg")
    assert len(registry.task(f"coco/{root}").load()["train"].images) == TRAIN
    before = registry.task(f"coco/{root}").identity()
    aside.write_bytes((root / "train2017/000000000004.jpg").read_bytes())
    assert registry.task(f"coco/{root}").identity() != before
