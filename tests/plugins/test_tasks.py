"""The bundled tasks and the providers of tasks."""

from __future__ import annotations

import os
import string
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headwater as hw
from headwater.harness.data.decoding import decode
from headwater.harness.data.splits import splits_of
from headwater.registry.errors import BadName, DataError, UnknownName
from tests.facts import missing_facts
from tests.plugins.fake_hub import fake_hub

COLOURS = {"red": (200, 0, 0), "blue": (0, 0, 200)}


@pytest.fixture(scope="module")
def registry():
    return hw.Registry.discover()


def picture(colour, shade=0):
    return Image.new("RGB", (10, 8), tuple(channel + shade for channel in colour))


# -- the quickstart's ---------------------------------------------------------------------------------------------


def test_digits_are_scikit_learns_with_a_fixed_test_split(registry):
    card = registry.task("sklearn/digits")
    data = card.load()
    assert (len(data["train"].images), len(data["test"].images)) == (1200, 597)
    assert (card.domain, card.mirror, card.images, len(card.classes)) == (
        "characters",
        False,
        1200,
        10,
    )
    assert (
        data["train"].images[0].dtype == np.uint8
        and max(image.max() for image in data["train"].images) == 255
    )
    assert list(data["train"].targets[:5]) == [0, 1, 2, 3, 4]


def test_letters_are_the_same_every_time_and_all_different(registry):
    card = registry.task("quickstart/letters")
    one, two = card.load(), card.load()
    assert all(
        np.array_equal(a, b) for a, b in zip(one["train"].images, two["train"].images, strict=True)
    )
    assert sorted(set(one["train"].targets)) == list(string.ascii_uppercase) == list(card.classes)
    whole = [image.tobytes() for split in one.values() for image in split.images]
    assert len(set(whole)) == len(whole) == card.images + 650


def test_every_letter_is_legible(registry):
    images = registry.task("quickstart/letters").load()["test"].images
    assert min(int(image.max()) - int(np.median(image)) for image in images) > 60


def test_photographs_share_no_pixel_between_train_and_test(registry, monkeypatch):
    import sklearn.datasets

    def numbered(name):
        """Each pixel's own place instead of its colour, modulo what two bytes and the photograph tell apart."""
        rows, columns = np.meshgrid(np.arange(427), np.arange(640), indexing="ij")
        index = rows * 640 + columns + (name == "flower.jpg") * 427 * 640
        return np.stack([index >> 16, (index >> 8) & 255, index & 255], -1).astype(np.uint8)

    monkeypatch.setattr(sklearn.datasets, "load_sample_image", numbered)
    places = {name: set() for name in ("train", "test")}
    for name, split in registry.task("quickstart/photographs").load().items():
        for image in split.images:
            wide = image.astype(np.int64)
            places[name].update(
                (wide[..., 0] * 65536 + wide[..., 1] * 256 + wide[..., 2]).ravel().tolist()
            )
    assert places["train"] and places["test"] and not places["train"] & places["test"]


# -- Parquet ------------------------------------------------------------------------------------------------------


def parquet(folder, split, count=4, columns=("image", "label"), labels=None):
    import datasets

    folder.mkdir(parents=True, exist_ok=True)
    image, label = columns
    labels = [row % 2 for row in range(count)] if labels is None else labels
    features = {
        image: datasets.Image(),
        label: datasets.ClassLabel(names=["red", "blue"]) if isinstance(labels[0], int) else None,
    }
    features = datasets.Features(features) if features[label] else None
    pictures = [picture(list(COLOURS.values())[row % 2], row + len(split)) for row in range(count)]
    data = datasets.Dataset.from_dict({image: pictures, label: labels}, features=features)
    data.to_parquet(folder / f"{split}.parquet")


def test_parquet_splits_and_class_names_are_read(registry, tmp_path):
    parquet(tmp_path, "train", 6)
    parquet(tmp_path, "test", 2)
    card = registry.task(f"parquet/{tmp_path}[domain=synthetic,mirror=false]")
    assert (card.images, card.domain, card.mirror, len(card.files)) == (6, "synthetic", False, 2)
    splits, classes = splits_of(card)
    assert (classes, list(splits["train"].targets), len(splits["test"].images)) == (
        ("red", "blue"),
        [0, 1] * 3,
        2,
    )
    assert decode(splits["train"].images[0], 8)[0, 0].tolist() == [205, 5, 5]


def test_a_relative_parquet_path_starts_at_the_working_directory(registry, tmp_path, monkeypatch):
    parquet(tmp_path / "shapes", "train")
    monkeypatch.chdir(tmp_path)
    card = registry.task("parquet/shapes")
    assert card.name == "parquet/shapes" and card.files == (tmp_path / "shapes/train.parquet",)


def test_columns_of_other_names_are_found_by_type_or_named(registry, tmp_path):
    parquet(tmp_path, "train", columns=("photo", "kind"))
    assert splits_of(registry.task(f"parquet/{tmp_path}"))[1] == ("red", "blue")
    with pytest.raises(DataError, match=r"column 'picture'.* photo \(Image\), kind \(ClassLabel\)"):
        splits_of(registry.task(f"parquet/{tmp_path}[image=picture]"))


def test_text_labels_become_classes(registry, tmp_path):
    parquet(tmp_path, "train", labels=["red", "blue", "red", "blue"])
    splits, classes = splits_of(registry.task(f"parquet/{tmp_path}"))
    assert (
        set(splits["train"].targets) | set(splits["test"].targets) <= {"red", "blue"}
        and classes == ()
    )


def test_a_data_set_without_a_label_column_lists_its_columns(registry, tmp_path):
    parquet(tmp_path, "train", columns=("image", "caption"), labels=["a", "b", "c", "d"])
    with pytest.raises(DataError, match=r"no label column for classification.* image") as raised:
        splits_of(registry.task(f"parquet/{tmp_path}"))
    assert "label=COLUMN" in raised.value.hint


def test_a_changed_file_is_another_task(registry, tmp_path):
    parquet(tmp_path, "train")
    before = registry.task(f"parquet/{tmp_path}").identity()
    assert registry.task(f"parquet/{tmp_path}").identity() == before
    parquet(tmp_path, "train", count=5)
    assert registry.task(f"parquet/{tmp_path}").identity() != before


def test_a_folder_without_parquet_and_a_damaged_file_say_so(registry, tmp_path):
    with pytest.raises(UnknownName, match=r"holds no \.parquet"):
        registry.task(f"parquet/{tmp_path}")
    with pytest.raises(UnknownName, match="does not exist"):
        registry.task(f"parquet/{tmp_path}/none")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(DataError, match="cannot be read"):
        registry.task(f"parquet/{tmp_path}").load()
    with pytest.raises(BadName, match=r"option 'domian'.* domain\b"):
        registry.task(f"parquet/{tmp_path}[domian=aerial]")


def test_a_folder_of_several_data_sets_says_so(registry, tmp_path):
    parquet(tmp_path / "a", "train")
    parquet(tmp_path / "b", "train", columns=("photo", "kind"))
    with pytest.raises(DataError, match="its files have different columns") as raised:
        registry.task(f"parquet/{tmp_path}").load()
    assert f"such as parquet/{tmp_path / 'a'}." in raised.value.hint


# -- folders of images --------------------------------------------------------------------------------------------


def images(folder, count=3):
    folder.mkdir(parents=True)
    for row in range(count):
        picture(COLOURS["red" if "red" in folder.name else "blue"], row).save(folder / f"{row}.png")


def test_a_folder_per_class_is_a_task(registry, tmp_path):
    images(tmp_path / "red")
    images(tmp_path / "blue", 2)
    (tmp_path / "red" / "notes.txt").write_text("not an image")
    card = registry.task(f"folder/{tmp_path}[domain=synthetic]")
    assert (card.classes, card.images, card.domain) == (("blue", "red"), 5, "synthetic")
    split = card.load()["train"]
    assert split.names == ["blue/0.png", "blue/1.png", "red/0.png", "red/1.png", "red/2.png"]
    assert split.targets == ["blue"] * 2 + ["red"] * 3
    assert decode(split.images[2], 8)[0, 0].tolist() == [200, 0, 0]


def test_a_folder_of_splits_keeps_them(registry, tmp_path):
    for split in ("train", "val", "test"):
        images(tmp_path / split / "red")
        images(tmp_path / split / "blue")
    card = registry.task(f"folder/{tmp_path}")
    assert set(card.load()) == {"train", "validation", "test"} and card.images == 6
    assert card.load()["validation"].names[0] == "val/blue/0.png"


def test_a_class_called_train_beside_another_is_a_class(registry, tmp_path):
    images(tmp_path / "train")
    images(tmp_path / "bus")
    assert registry.task(f"folder/{tmp_path}").classes == ("bus", "train")


def test_an_empty_class_no_images_and_loose_images_are_errors(registry, tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        registry.task(f"folder/{tmp_path}")
    picture((0, 0, 0)).save(tmp_path / "loose.png")
    with pytest.raises(DataError, match="in a folder per class"):
        registry.task(f"folder/{tmp_path}")
    images(tmp_path / "red")
    (tmp_path / "blue").mkdir()
    with pytest.raises(DataError, match=r"class 'blue' in .* has no images"):
        registry.task(f"folder/{tmp_path}")
    with pytest.raises(UnknownName, match="there is no folder"):
        registry.task(f"folder/{tmp_path}/none")


# -- the Hub ------------------------------------------------------------------------------------------------------

HUB_PROGRAM = """
import headwater as hw
from headwater.registry.errors import DataError
from headwater.harness.data.splits import splits_of
def show(name):
    try:
        splits, classes = splits_of(hw.Registry.discover().task(name))
        print({split: len(value.images) for split, value in splits.items()}, classes)
    except DataError as error:
        print(error.message, "|", error.hint)
show("hf/lab/shapes@main")
show("hf/lab/shapes[train=test]")
show("hf/lab/shapes[test=held]")
show("hf/lab/nothing")
show("hf/lab/scripted")
"""


@pytest.mark.slow
def test_a_hub_data_set_is_loaded_without_code_and_its_errors_say_what_to_do(tmp_path):
    root = tmp_path / "datasets/lab/shapes"
    parquet(root / "data", "train-00000-of-00001", 6, columns=("photo", "kind"))
    parquet(root / "data", "test-00000-of-00001", 4, columns=("photo", "kind"))
    (tmp_path / "datasets/lab/scripted").mkdir()
    (tmp_path / "datasets/lab/scripted/scripted.py").write_text("raise SystemExit('a script ran')")
    environment = {
        key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")
    }
    with fake_hub(tmp_path) as endpoint:
        environment |= {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": endpoint}
        command = [sys.executable, "-c", HUB_PROGRAM]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    lines = done.stdout.splitlines()
    assert lines[0] == "{'train': 6, 'test': 4} ('red', 'blue')", done.stderr
    assert lines[1] == "{'train': 3, 'test': 1} ('red', 'blue')"
    named = ("lab/shapes", "split 'held'", "train, test", "hf/lab/shapes[test=SPLIT]")
    assert missing_facts(lines[2], *named) == []
    assert missing_facts(lines[3], "lab/nothing", "Hub", "parquet/FOLDER") == []
    assert "scripts are no longer supported" in lines[4]


def test_the_revision_is_part_of_a_hub_tasks_identity(registry):
    one, two = registry.task("hf/lab/shapes@v1"), registry.task("hf/lab/shapes@v2")
    assert one.revision == "v1" and one.identity() != two.identity()
    with pytest.raises(BadName, match="not a data set"):
        registry.task("hf/a/b/c")


def test_a_folder_of_the_same_name_does_not_stand_in_for_the_hub(registry, tmp_path, monkeypatch):
    (tmp_path / "lab/shapes").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="hides hf/lab/shapes"):
        registry.task("hf/lab/shapes").load()


# -- the page -----------------------------------------------------------------------------------------------------


def test_every_option_of_a_data_set_is_documented():
    from headwater.plugins.tasks import _task_options, coco, hub_datasets, voc

    page = (Path(__file__).resolve().parents[2] / "docs/tasks.md").read_text(encoding="utf-8")
    options = {
        *_task_options.FACTS,
        *_task_options.COLUMNS,
        *coco.OPTIONS,
        *voc.OPTIONS,
        *hub_datasets.OPTIONS,
    }
    assert {option for option in options if f"`{option}" not in page} == set()
    assert (
        f"| `margin` | {coco.OPTIONS['margin']} |" in page
        and f"| `background` | {str(coco.OPTIONS['background']).lower()} |" in page
    )


def test_the_names_and_types_that_the_page_lists_are_those_that_are_looked_for():
    from headwater.harness.data.column_values import NAMES
    from headwater.harness.data.columns import IMAGES
    from headwater.registry.columns import BOXES

    page = (Path(__file__).resolve().parents[2] / "docs/tasks.md").read_text(encoding="utf-8")
    types = hw.Registry.discover().cards[hw.Kind.TASK_TYPE]
    assert all(f"\n| {type} | " in page for type, card in types.items() if card.target_column)
    assert all(f"`{name}`" in page for name in (IMAGES[0], BOXES[0], *NAMES[:2]))
