"""Folders in the form of Pascal VOC."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import headwater as hw
from headwater.harness.data.prepared import prepare
from headwater.harness.data.splits import splits_of
from headwater.registry.errors import BadName, DataError, UnknownName
from tests.facts import flaw_facts
from tests.rendered import TEST, TRAIN, scene, write_voc


@pytest.fixture(scope="module")
def registry():
    return hw.Registry.discover()


@pytest.fixture
def root(tmp_path):
    return write_voc(tmp_path / "VOCdevkit/VOC2012")


def read(registry, root, options="type=detection"):
    return splits_of(registry.task(f"voc/{root}[{options}]"))


def test_boxes_are_those_of_the_scenes_counted_from_0(registry, root):
    splits, _ = read(registry, root)
    assert (len(splits["train"].images), len(splits["test"].images)) == (TRAIN, TEST)
    assert [dict(target) for target in splits["test"].targets] == [
        scene(100 + row).objects() for row in range(TEST)
    ]
    assert (
        splits["train"].names[5] == f"voc/{root}[type=detection]: 000005"
        and splits["train"].images[5].name == "000005.jpg"
    )


def test_masks_are_palette_indices_and_255_is_void(registry, root):
    card = registry.task(f"voc/{root}[type=segmentation,classes=ground+disc+square+triangle]")
    prepared = prepare(card, registry.task_type("segmentation"), 64)
    assert (prepared.classes, prepared.flaws, len(prepared.train)) == (
        ("ground", "disc", "square", "triangle"),
        (),
        TRAIN,
    )
    # 64 columns stay as they are; 48 rows become 64, each taken from the row at its centre.
    rows = ((np.arange(64) + 0.5) * 48 / 64).astype(int)
    assert all(
        (prepared.test.targets[row] == scene(100 + row).mask()[rows]).all() for row in range(TEST)
    )


def test_the_challenges_own_folders_have_its_class_names(registry, root):
    classes = registry.task(f"voc/{root}[type=segmentation]").classes
    assert (len(classes), classes[0], classes[15], classes[20]) == (
        21,
        "background",
        "person",
        "tvmonitor",
    )
    assert registry.task(f"voc/{root}").classes == ()
    renamed = root.rename(root.with_name("roads"))
    assert registry.task(f"voc/{renamed}[type=segmentation]").classes == ()


def test_the_folder_around_one_year_will_do_and_of_two_one_must_be_named(registry, root):
    card = registry.task(f"voc/{root.parent}")
    assert (card.type, card.images, len(card.files)) == ("detection", TRAIN, 2 + 2 * (TRAIN + TEST))
    write_voc(root.parent / "VOC2007")
    with pytest.raises(DataError, match=r"holds 2 years \(VOC2007, VOC2012\)") as raised:
        registry.task(f"voc/{root.parent}")
    assert raised.value.hint == f"Name one: voc/{root.parent}/VOC2007"


def test_image_sets_decide_the_splits(registry, root):
    sets = root / "ImageSets/Main"
    (sets / "train.txt").write_text("000001\n000002\n\n")
    (sets / "val.txt").write_text("000003 1\n000004 -1\n")
    (sets / "trainval.txt").write_text("000001\n000002\n000003\n000004\n")
    splits, _ = read(registry, root)
    assert [name.rpartition(" ")[2] for name in splits["train"].names] == [
        "000001",
        "000002",
        "000003",
        "000004",
    ]
    assert len(splits["test"].images) == TEST
    (sets / "train.txt").unlink()
    (sets / "test.txt").unlink()
    assert set(registry.task(f"voc/{root}").load()) == {"train"}
    assert registry.task(f"voc/{root}").images == 4
    assert registry.task(f"voc/{root}[type=segmentation]").images == TRAIN  # has sets of its own


def test_without_image_sets_all_images_are_train(registry, tmp_path):
    root = write_voc(tmp_path / "shapes", sets=False)
    assert {
        split: len(value.images) for split, value in registry.task(f"voc/{root}").load().items()
    } == {"train": TRAIN + TEST}
    splits, _ = read(registry, root)
    assert (len(splits["train"].images), len(splits["test"].images)) == (25, 11)


# -- what is wrong ------------------------------------------------------------------------------------------------


def change(root, number, old, new):
    file = root / f"Annotations/{number:06d}.xml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def flaws(card, registry):
    found = prepare(card, registry.task_type(card.type), 32)
    return [
        flaw_facts(replace(flaw, name=flaw.name.removeprefix(f"{card.name}: ")))
        for flaw in found.flaws
    ], len(found.train)


def test_difficult_objects_are_left_out_and_counted_or_kept_where_asked_for(registry, root):
    for number in (0, 1):
        change(root, number, "<difficult>0", "<difficult>1")
    assert len(scene(0).shapes) == 1 and len(scene(1).shapes) == 2
    found, kept = flaws(registry.task(f"voc/{root}"), registry)
    assert found == [
        ("000000", "difficult-object 1", "left out + image"),
        ("000001", "difficult-object 1", "left out"),
    ]
    assert kept == TRAIN - 1
    splits, _ = read(registry, root)
    assert splits["train"].targets[0] == {
        key: values[1:] for key, values in scene(1).objects().items()
    }
    assert flaws(registry.task(f"voc/{root}[difficult=true]"), registry) == ([], TRAIN)


def test_missing_images_annotations_and_masks_are_flaws(registry, root):
    (root / "JPEGImages/000001.jpg").unlink()
    (root / "Annotations/000002.xml").unlink()
    (root / "SegmentationClass/000003.png").unlink()
    assert flaws(registry.task(f"voc/{root}"), registry) == (
        [
            ("000001", "no-image-file", "left out"),
            ("000002", "has no annotation file", "left out"),
        ],
        TRAIN - 2,
    )
    assert flaws(
        registry.task(f"voc/{root}[type=segmentation,classes=ground+disc+square+triangle]"),
        registry,
    ) == (
        [
            ("000001", "no-image-file", "left out"),
            ("000003", "has no mask", "left out"),
        ],
        TRAIN - 2,
    )


def test_an_image_of_another_size_than_listed_is_left_out(registry, root):
    change(root, 1, "<width>64", "<width>640")
    change(root, 2, "<width>64", "<width>?")  # says nothing
    assert flaws(registry.task(f"voc/{root}"), registry) == (
        [("000001", "is 64×48, listed as 640×48", "left out")],
        TRAIN - 1,
    )


def test_boxes_out_of_the_image_go_all_the_way(registry, root):
    change(root, 1, "<xmin>25", "<xmin>-9")
    change(root, 3, "<xmin>", "<xmin>9")
    found, kept = flaws(registry.task(f"voc/{root}"), registry)
    assert [(name, handled) for name, _, handled in found] == [
        ("000001", "clipped"),
        ("000003", "left out + image"),
    ]
    assert kept == TRAIN - 1


def test_an_image_without_objects_stays(registry, root):
    file = root / "Annotations/000004.xml"
    file.write_text("<annotation><filename>000004.jpg</filename></annotation>")
    assert flaws(registry.task(f"voc/{root}"), registry) == ([], TRAIN)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<annotation><object>", "no element found"),
        ("", "no element found"),
        (
            '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>',
            "declares a document type",
        ),
        (
            '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>',
            "declares a document type",
        ),
        ("<annotation>&undefined;</annotation>", "undefined entity"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "unknown encoding"),
        (
            "<annotation><object><name>disc</name><bndbox><xmin>1</xmin></bndbox></object></annotation>",
            "disc is not four numbers",
        ),
    ],
)
def test_an_annotation_file_that_cannot_be_read_is_named_and_no_entity_is_expanded(
    registry, root, text, problem
):
    (root / "Annotations/000002.xml").write_text(text)
    with pytest.raises(DataError, match=problem) as raised:
        read(registry, root)
    assert raised.value.subject == str(root / "Annotations/000002.xml")


def test_wrong_folders_and_options_say_what_to_do(registry, root, tmp_path):
    with pytest.raises(UnknownName, match="there is no folder"):
        registry.task(f"voc/{tmp_path}/none")
    with pytest.raises(DataError, match="has no folder JPEGImages"):
        registry.task(f"voc/{root / 'Annotations'}")
    with pytest.raises(BadName, match="voc/ holds no depth") as raised:
        registry.task(f"voc/{root}[type=depth]")
    assert raised.value.hint == "Its types: detection, segmentation."
    with pytest.raises(
        BadName, match="has no option 'boxes'"
    ):  # the form decides how boxes are written
        registry.task(f"voc/{root}[boxes=xyxy]")
    with pytest.raises(BadName, match="has no option 'difficult' as segmentation"):
        registry.task(f"voc/{root}[type=segmentation,difficult=true]")
    (root / "Annotations").rename(root / "Labels")
    with pytest.raises(DataError, match="has no folder Annotations") as raised:
        registry.task(f"voc/{root}")
    assert raised.value.hint == "It has SegmentationClass, which is of type=segmentation."
    (root / "SegmentationClass").rename(root / "Masks")
    with pytest.raises(DataError, match="has no folder SegmentationClass") as raised:
        registry.task(f"voc/{root}[type=segmentation]")
    assert (
        "VOC has PATH/JPEGImages" in raised.value.hint
    )  # not the other type, which is not there either
    (root / "Masks").rename(root / "SegmentationClass")
    for file in (root / "JPEGImages").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="none of the 24 images that ImageSets"):
        registry.task(f"voc/{root}[type=segmentation]").load()


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_changed_mask_is_another_task_whatever_its_format(registry, root, suffix):
    mask = (root / "SegmentationClass/000001.png").rename(
        root / f"SegmentationClass/000001{suffix}"
    )
    before = registry.task(f"voc/{root}[type=segmentation]").identity()
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(mask)
    assert registry.task(f"voc/{root}[type=segmentation]").identity() != before
