"""Columns: the target of every task type is found in a data set; a wrong type ends in a sentence with what to type."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
from PIL import Image

import headwater as hw
from headwater.harness.data.columns import choose_columns
from headwater.harness.data.prepared import prepare
from headwater.harness.data.splits import splits_of
from headwater.registry import Task
from headwater.registry.errors import BadName, DataError, UnknownName
from tests.facts import missing_facts
from tests.rendered import HEIGHT, KINDS, WIDTH, encoded, millimetres, scene, write_parquet

IMAGE, NUMBER, WHOLE, TEXT = (
    datasets.Image(),
    datasets.Value("float32"),
    datasets.Value("int64"),
    datasets.Value("string"),
)
KIND = datasets.ClassLabel(names=list(KINDS))
LISTS = datasets.List(datasets.List(NUMBER))
OBJECTS = {"bbox": datasets.List(datasets.List(NUMBER, length=4)), "category": datasets.List(KIND)}
LISTED_OBJECTS = datasets.List({"bbox": datasets.List(NUMBER), "label": KIND})


@pytest.fixture(scope="module")
def registry():
    return hw.Registry.discover()


def task(type, **facts):
    return Task(name="own/task", load=dict, type=type, **facts)


def found(type, features, **facts):
    return choose_columns(datasets.Features(features), task(type, **facts))


# -- found --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "features", "image", "target"),
    [
        ("segmentation", {"image": IMAGE, "annotation": IMAGE}, "image", "annotation"),
        ("segmentation", {"pixel_values": IMAGE, "label": IMAGE}, "pixel_values", "label"),
        (
            "segmentation",
            {"semantic_segmentation": IMAGE, "image": IMAGE},
            "image",
            "semantic_segmentation",
        ),
        ("segmentation", {"left": IMAGE, "left_mask": IMAGE}, "left", "left_mask"),
        ("segmentation", {"image": IMAGE, "second": IMAGE}, "image", "second"),
        (
            "segmentation",
            {"image": IMAGE, "depth_map": IMAGE, "mask": IMAGE, "scene": KIND},
            "image",
            "mask",
        ),
        (
            "depth",
            {"image": IMAGE, "depth_map": IMAGE, "mask": IMAGE, "scene": KIND},
            "image",
            "depth_map",
        ),
        ("depth", {"rgb": IMAGE, "depth": datasets.Array2D((4, 4), "float32")}, "rgb", "depth"),
        ("detection", {"image": IMAGE, "width": WHOLE, "objects": OBJECTS}, "image", "objects"),
        ("detection", {"image": IMAGE, "faces": LISTED_OBJECTS}, "image", "faces"),
        ("keypoints", {"image": IMAGE, "landmarks": LISTS}, "image", "landmarks"),
        ("keypoints", {"image": IMAGE, "corners": LISTS, "label": KIND}, "image", "corners"),
        ("multilabel", {"image": IMAGE, "labels": datasets.List(KIND)}, "image", "labels"),
        (
            "multilabel",
            {"image": IMAGE, "ids": datasets.List(WHOLE), "tags": datasets.List(TEXT)},
            "image",
            "tags",
        ),
        ("regression", {"image": IMAGE, "id": WHOLE, "yield": NUMBER}, "image", "yield"),
        ("regression", {"image": IMAGE, "width": NUMBER, "age": WHOLE}, "image", "age"),
        ("classification", {"image": IMAGE, "file": TEXT, "kind": KIND}, "image", "kind"),
        (
            "counting",
            {"image": IMAGE, "annotations": LISTS, "counting": WHOLE},
            "image",
            "counting",
        ),
        ("counting", {"image": IMAGE, "number": WHOLE}, "image", "number"),
    ],
)
def test_the_columns_of_a_type_are_found_by_feature_and_name(type, features, image, target):
    columns = found(type, features)
    assert (columns.image, columns.target) == (image, target)


@pytest.mark.parametrize("features", [OBJECTS, LISTED_OBJECTS])
def test_class_names_are_found_inside_the_target(features):
    assert found("detection", {"image": IMAGE, "objects": features}).classes == KINDS
    assert found("multilabel", {"image": IMAGE, "labels": datasets.List(KIND)}).classes == KINDS
    assert found("depth", {"image": IMAGE, "depth": IMAGE, "label": KIND}).classes == ()


def refused(type, features, **columns):
    """The error of a data set whose columns cannot be told."""
    with pytest.raises(DataError) as raised:
        found(type, features, **columns)
    assert raised.value.subject == "own/task"
    return raised.value


def test_columns_may_be_named_where_they_cannot_be_told():
    features = {"left": IMAGE, "right": IMAGE, "near": IMAGE}
    error = refused("depth", features)
    assert "left, right, near" in error.message
    assert "[image=COLUMN]" in error.hint
    assert "right, near" in refused("depth", features, image="left").message
    assert found("depth", features, image="left", label="near").target == "near"
    error = refused("depth", features, label="nearest")
    assert "'nearest'" in error.message
    assert all(f"{column} (Image)" in error.message for column in features)


# -- the wrong type -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read_as", "column", "feature", "is_one_of"),
    [
        ("classification", "annotation", IMAGE, "segmentation"),
        ("classification", "objects", OBJECTS, "detection"),
        ("classification", "depth_map", IMAGE, "depth"),
        ("classification", "keypoints", LISTS, "keypoints"),
        ("classification", "labels", datasets.List(KIND), "multilabel"),
        ("classification", "target", NUMBER, "regression"),
        ("segmentation", "objects", OBJECTS, "detection"),
        ("segmentation", "label", KIND, "classification"),
        ("regression", "label", KIND, "classification"),
        ("detection", "mask", IMAGE, "segmentation"),
    ],
)
def test_a_wrong_type_ends_in_what_to_type(read_as, column, feature, is_one_of):
    error = refused(read_as, {"image": IMAGE, column: feature})
    assert read_as in error.message and column in error.message
    assert column in error.hint and f"[type={is_one_of}]" in error.hint


def test_a_named_column_that_does_not_fit_the_type_says_which_type_it_fits():
    error = refused("depth", {"image": IMAGE, "depth": IMAGE, "kind": KIND}, label="kind")
    assert "kind (ClassLabel)" in error.message
    assert "[type=classification]" in error.hint
    with pytest.raises(DataError) as raised:
        found(
            "depth",
            {"image": IMAGE, "depth": IMAGE, "taken": datasets.Value("timestamp[s]")},
            label="taken",
        )
    assert raised.value.hint == "Its columns: image (Image), depth (Image), taken (timestamp[s])."
    with pytest.raises(DataError) as raised:
        found("classification", {"image": IMAGE, "mask": IMAGE, "kind": KIND}, label="mask")
    assert raised.value.hint.startswith("mask (Image) looks like segmentation")


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type", ["segmentation", "depth"])
def test_maps_stay_undecoded_and_keep_the_order_of_their_images(registry, tmp_path, type):
    splits, _ = splits_of(registry.task(f"parquet/{write_parquet(tmp_path, type)}[type={type}]"))
    target, image = splits["test"].targets[3], splits["test"].images[3]
    expected = scene(103).mask() if type == "segmentation" else millimetres(scene(103).depth())
    assert target["bytes"] == encoded(expected) and image["bytes"] == encoded(scene(103).image())
    assert splits["test"].names[3].endswith(": test image 3 (scene_103)")


def test_maps_follow_their_images_where_a_split_is_carved_or_joined(registry, tmp_path):
    write_parquet(tmp_path, "segmentation")
    (tmp_path / "test.parquet").rename(tmp_path / "train-2.parquet")
    splits, _ = splits_of(registry.task(f"parquet/{tmp_path}[type=segmentation]"))
    assert (len(splits["train"].targets), len(splits["test"].targets)) == (25, 11)
    for split in splits.values():
        for row, name in enumerate(split.names):
            number = int(name.rpartition("_")[2].rstrip(")"))
            assert split.targets[row]["bytes"] == encoded(scene(number).mask())
            assert split.images[row]["bytes"] == encoded(scene(number).image())
    (tmp_path / "train-2.parquet").rename(tmp_path / "validation.parquet")
    write_parquet(tmp_path, "segmentation")
    splits, _ = splits_of(registry.task(f"parquet/{tmp_path}[type=segmentation]"))
    assert len(splits["train"].images) == len(splits["train"].targets) == 24 + 12
    assert splits["train"].targets[25]["bytes"] == encoded(scene(101).mask())


def test_objects_come_as_boxes_and_categories_however_they_are_stored():
    rows = [[{"bbox": [1, 2, 3, 4], "label": 1}, {"bbox": [5, 6, 7, 8], "label": 0}], []]
    features = datasets.Features({"image": IMAGE, "objects": LISTED_OBJECTS})
    data = datasets.Dataset.from_dict(
        {"image": [Image.new("RGB", (9, 9))] * 2, "objects": rows}, features=features
    )
    splits, classes = splits_of(
        Task(name="own/task", load=lambda: {"train": data, "test": data}, type="detection")
    )
    assert list(splits["train"].targets) == [
        {"bbox": [[1, 2, 3, 4], [5, 6, 7, 8]], "category": [1, 0]},
        {"bbox": [], "category": []},
    ]
    assert classes == KINDS


@pytest.mark.parametrize("feature", [OBJECTS, LISTED_OBJECTS])
def test_an_image_whose_objects_are_not_known_is_not_one_without_objects(registry, feature):
    known = (
        [{"bbox": [1, 2, 3, 4], "label": 0}]
        if feature is LISTED_OBJECTS
        else {"bbox": [[1, 2, 3, 4]], "category": [0]}
    )
    empty = [] if feature is LISTED_OBJECTS else {"bbox": [], "category": []}
    features = datasets.Features({"image": IMAGE, "objects": feature})
    data = datasets.Dataset.from_dict(
        {"image": [Image.new("RGB", (9, 9))] * 3, "objects": [known, None, empty]},
        features=features,
    )
    prepared = prepare(
        Task(
            name="own/task",
            load=lambda: {"train": data, "test": data},
            type="detection",
            code=repr(feature),
        ),
        registry.task_type("detection"),
        32,
    )
    assert [flaw.name for flaw in prepared.flaws] == [
        "own/task: train image 1",
        "own/task: test image 1",
    ]
    assert (prepared.train.targets[:, 0, 4] == [0, -1]).all()


@pytest.mark.parametrize(
    "type", ["classification", "multilabel", "regression", "detection", "keypoints"]
)
def test_the_values_of_every_other_type(registry, tmp_path, type):
    splits, classes = splits_of(
        registry.task(f"parquet/{write_parquet(tmp_path, type)}[type={type}]")
    )
    one, found = scene(1), splits["train"].targets[1]
    if type == "classification":
        assert found == KINDS.index(one.kind())
    elif type == "multilabel":
        assert found == [KINDS.index(kind) for kind in one.kinds()]
    elif type == "regression":
        assert found == pytest.approx(one.covered())
    elif type == "keypoints":
        assert np.array_equal(found, one.points())
    else:
        assert found == {
            "bbox": one.objects()["bbox"],
            "category": [KINDS.index(kind) for kind in one.objects()["category"]],
        }
    assert classes == (() if type in ("regression", "keypoints") else KINDS)


# -- in brackets --------------------------------------------------------------------------------------------------


def test_conventions_of_the_type_are_options_of_its_tasks(registry, tmp_path):
    write_parquet(tmp_path, "segmentation")
    card = registry.task(
        f"parquet/{tmp_path}[type=segmentation,void=11,classes=ground+disc+square+triangle,mirror=false]"
    )
    assert (card.type, card.conventions, card.mirror) == ("segmentation", {"void": 11}, False)
    assert card.classes == ("ground", "disc", "square", "triangle")
    assert (
        card.identity()
        != registry.task(
            f"parquet/{tmp_path}[type=segmentation,classes=ground+disc+square+triangle]"
        ).identity()
    )
    with pytest.raises(BadName, match=r"option 'viod'.* void\b") as raised:
        registry.task(f"parquet/{tmp_path}[type=segmentation,viod=11]")
    assert "void" in raised.value.hint
    with pytest.raises(BadName, match=r"void .*type int, such as 255"):
        registry.task(f"parquet/{tmp_path}[type=segmentation,void=eleven]")
    with pytest.raises(UnknownName, match="Did you mean segmentation"):
        registry.task(f"parquet/{tmp_path}[type=segmentaton]")


def test_a_convention_of_another_type_says_which(registry, tmp_path):
    write_parquet(tmp_path, "segmentation")
    with pytest.raises(BadName, match="has no option 'void' as classification") as raised:
        registry.task(f"parquet/{tmp_path}[void=11]")
    named = ("type=segmentation", "classification: classes, domain")
    assert missing_facts(raised.value.hint, *named) == []
    with pytest.raises(BadName, match="has no option 'boxes' as depth") as raised:
        registry.task(f"parquet/{tmp_path}[type=depth,boxes=xyxy]")
    named = ("type=detection", "depth: classes, domain")
    assert missing_facts(raised.value.hint, *named) == []


def test_hub_data_sets_take_the_same_options(registry):
    card = registry.task(
        "hf/lab/roads@v1[type=segmentation,void=0,label=gt,test=held,classes=road+sky]"
    )
    assert (card.type, card.label, card.classes, card.conventions) == (
        "segmentation",
        "gt",
        ("road", "sky"),
        {"void": 0},
    )
    assert (card.load.keywords["test"], card.load.keywords["config"]) == ("held", "")


def test_named_columns_are_part_of_the_identity_each_in_its_place():
    as_image, as_label = (task("depth", **{role: "left"}).identity() for role in ("image", "label"))
    assert len({as_image, as_label, task("depth").identity()}) == 3
    assert (WIDTH, HEIGHT) == (64, 48)  # not square, so that a mistaken axis shows


def test_a_users_type_says_how_its_column_looks_as_bundled_types_do():
    from dataclasses import replace

    lengths = hw.TargetColumn(
        "a length for each image",
        fits=hw.columns.is_number,
        surely=hw.columns.is_number,
        names="length",
    )
    card = replace(
        hw.Registry.discover().task_type("regression"), name="length", target_column=lengths
    )
    features = datasets.Features({"image": IMAGE, "width": NUMBER, "body_length": NUMBER})
    assert choose_columns(features, task("length"), card).target == "body_length"
