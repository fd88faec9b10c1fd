"""Data: any image becomes the same square, any data set the same splits; what is broken is named."""

import io

import datasets
import numpy as np
import pytest
from PIL import Image

from headwater.harness.data.decoding import decode
from headwater.harness.data.prepared import prepare
from headwater.harness.data.splits import splits_of
from headwater.registry import Registry, Split, Task
from headwater.registry.errors import DataError
from tests.harness.toy import PLUGIN


@pytest.fixture(scope="module")
def registry():
    return Registry.discover([PLUGIN])


def made(load, **facts):
    return Task(name="own/task", load=load, type="classification", code=str(id(load)), **facts)


def squares(count, start=0):
    return [np.full((8, 8, 3), (start + i) % 256, np.uint8) for i in range(count)]


@pytest.mark.parametrize("form", ["array", "bytes", "path", "dict", "pil"])
def test_every_form_of_an_image_decodes_to_the_same_pixels(form, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    image, encoded = Image.fromarray(pixels), io.BytesIO()
    image.save(encoded, "PNG")
    image.save(tmp_path / "a.png")
    forms = {
        "array": pixels,
        "bytes": encoded.getvalue(),
        "path": tmp_path / "a.png",
        "dict": {"bytes": encoded.getvalue()},
        "pil": image,
    }
    assert (decode(forms[form], 8) == pixels).all()


def test_the_centre_of_a_wide_image_is_kept():
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200
    assert (decode(wide, 8) == 200).all()


def test_a_grey_image_becomes_three_equal_channels():
    out = decode(np.arange(64, dtype=np.uint8).reshape(8, 8), 8)
    assert out.shape == (8, 8, 3)
    assert (out[..., 0] == out[..., 2]).all()


def test_a_corrupt_image_is_named(registry):
    with pytest.raises(DataError, match="toy/broken: train image 3 cannot be decoded"):
        prepare(registry.task("toy/broken"), registry.task_type("classification"), 8)


def test_a_task_of_one_class_is_refused_before_it_is_decoded(registry):
    task = made(
        lambda: {
            "train": Split([b"never decoded"] * 2, ["only"] * 2),
            "test": Split([b"nor this"], ["only"]),
        }
    )
    with pytest.raises(DataError, match=r"own/task: .*only the class only; classification"):
        prepare(task, registry.task_type("classification"), 8)


def test_an_empty_class_is_named(registry):
    task = made(
        lambda: {"train": Split(squares(4), [0, 1, 0, 1]), "test": Split(squares(2), [0, 1])},
        classes=("a", "b", "unicorn"),
    )
    with pytest.raises(DataError, match="no training image of unicorn"):
        prepare(task, registry.task_type("classification"), 8)


def test_a_label_out_of_range_is_named(registry):
    task = made(
        lambda: {"train": Split(squares(3), [0, 1, 7]), "test": Split(squares(2), [0, 1])},
        classes=("a", "b"),
    )
    with pytest.raises(DataError, match="train image 2"):
        prepare(task, registry.task_type("classification"), 8)


def test_images_and_targets_of_different_number_are_refused():
    with pytest.raises(DataError, match="3 images and 2 targets"):
        splits_of(made(lambda: {"train": Split(squares(3), [0, 1])}))


def test_without_a_test_split_the_same_one_is_carved_every_time():
    task = made(lambda: Split(squares(10), list(range(10))))
    one, two = splits_of(task)[0], splits_of(task)[0]
    assert one["test"].targets == two["test"].targets
    assert len(one["test"].targets) == 3
    assert sorted([*one["train"].targets, *one["test"].targets]) == list(range(10))


def test_validation_tests_where_there_is_no_test_split_and_joins_train_where_there_is():
    three = {
        name: Split(squares(2, start), [start, start + 1])
        for start, name in ((0, "train"), (2, "validation"), (4, "test"))
    }
    splits, _ = splits_of(made(lambda: three))
    assert splits["train"].targets == [0, 1, 2, 3]
    assert splits["test"].targets == [4, 5]
    splits, _ = splits_of(made(lambda: {name: three[name] for name in ("train", "validation")}))
    assert splits["test"].targets == [2, 3]
    assert decode(splits["train"].images[1], 8)[0, 0, 0] == 1


def test_a_hub_style_data_set_gives_images_labels_and_class_names(registry):
    features = datasets.Features(
        {"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])}
    )
    rows = {"picture": [Image.fromarray(square) for square in squares(4)], "kind": [0, 1, 1, 0]}
    data = datasets.DatasetDict(
        {name: datasets.Dataset.from_dict(rows, features=features) for name in ("train", "test")}
    )
    prepared = prepare(made(lambda: data), registry.task_type("classification"), 8)
    assert prepared.classes == ("cat", "dog")
    assert prepared.outputs == 2
    assert prepared.train.targets.tolist() == [0, 1, 1, 0]
    assert prepared.train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_columns_that_cannot_be_told_are_listed():
    data = datasets.Dataset.from_dict({"a": [1], "b": ["x"]})
    with pytest.raises(
        DataError, match=r"own/task has no image column.* a \(int64\), b \(string\)"
    ):
        splits_of(made(lambda: {"train": data}))


def test_a_task_whose_load_fails_is_named_with_the_cause():
    def load():
        raise FileNotFoundError("no such disk")

    with pytest.raises(DataError, match=r"own/task .* FileNotFoundError: no such disk"):
        splits_of(made(load))


def test_a_task_is_decoded_once(registry):
    calls = []

    def load():
        calls.append(1)
        return {"train": Split(squares(4), [0, 1, 0, 1]), "test": Split(squares(2), [0, 1])}

    task = made(load)
    one, two = (prepare(task, registry.task_type("classification"), 8) for _ in range(2))
    assert len(calls) == 1
    assert (one.decoded, two.decoded) == (6, 0)
    assert isinstance(two.train.images, np.memmap)
    assert (one.train.images == two.train.images).all()
