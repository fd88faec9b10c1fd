"""Families of tasks: variants of one data set, or of one list of classes, count as one."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as Picture

from headwater.registry import Registry, Task, data_set_of, family_of_classes


@pytest.mark.parametrize(
    ("classes", "family"),
    [
        (("horse", "dog", "house"), "dog+horse+house"),
        (("no", "yes"), ""),  # unlike data sets share these
        (tuple("0123456789"), ""),  # numbers say nothing
        ((), ""),
    ],
)
def test_a_class_list_tells_a_family(classes, family):
    assert family_of_classes(classes) == family


def test_long_class_lists_are_told_apart_by_a_digest():
    one = [f"species {number}" for number in range(200)]
    assert family_of_classes(one) == family_of_classes(one[::-1])
    assert family_of_classes(one) != family_of_classes([*one[:-1], "another"])
    assert len(family_of_classes(one)) < 40


@pytest.mark.parametrize(
    "name", ["hf/lab/x", "hf/lab/x@v2", "hf/lab/x[config=a]", "hf/lab/x[config=b,domain=art]"]
)
def test_names_of_one_data_set_are_one_family(name):
    assert data_set_of(name) == "hf/lab/x"
    assert Task(name=name, load=dict).family_name == "hf/lab/x"


def test_the_cards_own_word_counts_first():
    card = Task(name="lab/sketch", load=dict, classes=("a", "b", "c"), family="pacs")
    assert card.family_name == card.facts()["family"] == "pacs"


def test_domains_of_one_class_list_in_parquet_are_one_family(tmp_path):
    """As PACS's four domains in four folders; the classes are read without loading an image."""
    stream = io.BytesIO()
    Picture.new("RGB", (8, 8)).save(stream, "PNG")
    picture = {"bytes": stream.getvalue(), "path": None}
    names = {"photo": ["dog", "guitar", "house"], "sketch": ["dog", "guitar", "house"]}
    names |= {"digits": ["0", "1", "2"]}
    for folder, classes in names.items():
        (tmp_path / folder).mkdir()
        features = Features({"image": Image(), "label": ClassLabel(names=classes)})
        rows = {"image": [picture] * 3, "label": [0, 1, 2]}
        Dataset.from_dict(rows, features).to_parquet(tmp_path / folder / "train.parquet")
    registry = Registry.discover()
    families = {
        folder: registry.task(f"parquet/{tmp_path / folder}[domain=sketches]").family_name
        for folder in names
    }
    assert families["photo"] == families["sketch"] == "dog+guitar+house"
    assert families["digits"] == f"parquet/{tmp_path / 'digits'}"
    told = registry.task(f"parquet/{tmp_path / 'digits'}[family=characters]")
    assert told.family_name == "characters"


def test_features_of_any_shape_are_read_past(tmp_path):
    """Older writers put a list where newer ones put a mapping."""
    features = {
        "boxes": [{"dtype": "float32", "_type": "Value"}],
        "label": {"names": ["a", "b", "c"]},
    }
    table = pa.table({"boxes": [[0.0]], "label": [0]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pq.write_table(table, tmp_path / "train.parquet")
    registry = Registry.discover()
    assert registry.task(f"parquet/{tmp_path}").family_name == "a+b+c"
    boxes = registry.task(f"parquet/{tmp_path}[label=boxes]")
    assert boxes.family_name == f"parquet/{tmp_path}"
