"""Adapting: the saved network predicts as the recorded one did, wherever its source came from, and says what it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import headwater as hw
from headwater.harness.planning.files import Files
from headwater.harness.results.predictions import predictions_of
from headwater.harness.running.run import Control
from headwater.registry import Registry
from headwater.registry.errors import (
    BadSpec,
    DataError,
    HeadwaterError,
    TrainingError,
    WeightsError,
)
from tests.harness.toy import PLUGIN, SIDE, coloured_squares

INLINE = Control(executor="inline", rerun="failed")
KEYS = {
    "image_size": SIDE,
    "training": {"epochs": 2, "batch_size": 4},
    "pretraining": {"epochs": 1, "batch_size": 8},
}


def adapt(tmp_path, source="toy/fixed", task="toy/shades", name="m.safetensors", **changes):
    changes = (
        {"control": INLINE, "plugins": [PLUGIN], "store": tmp_path / "s.duckdb"} | KEYS | changes
    )
    return hw.adapt(task, source, tmp_path / name, **changes)


def images_of(task="toy/shades"):
    return Registry.discover([PLUGIN]).task(task).load()["test"].images


def recorded(tmp_path, saved):
    return np.load(tmp_path / "s-files" / "predictions" / f"{saved.facts.job}.npy").astype(
        np.float32
    )


@pytest.mark.parametrize(
    "source",
    [
        "toy/fixed",
        "toy/random",
        "chain[base=toy/fixed,on=toy/halves]",
        "chain[base=toy/random,on=toy/halves]",
    ],
)
def test_the_loaded_network_gives_the_recorded_outputs(tmp_path, source):
    saved = adapt(tmp_path, source)
    model = hw.load_adapted(saved.path, plugins=[PLUGIN])
    np.testing.assert_allclose(
        model.outputs(images_of()), recorded(tmp_path, saved), rtol=2e-3, atol=2e-3
    )  # kept in half precision
    assert not model.training
    assert saved.facts.build == "toy/random"  # nothing else is needed to build it


def test_predict_takes_paths_arrays_and_pictures_one_or_many_and_names_classes(tmp_path):
    saved = adapt(tmp_path, training={"epochs": 20, "batch_size": 8})
    model, arrays = hw.load_adapted(saved.path, plugins=[PLUGIN]), images_of()
    assert (model.classes, model.image_size, model.mean) == (
        ("dark", "grey", "light"),
        SIDE,
        saved.facts.mean,
    )
    named = [model.classes[index] for index in recorded(tmp_path, saved).argmax(1)]
    assert len(set(named)) > 1
    files = [tmp_path / f"{row}.png" for row in range(len(arrays))]
    for file, array in zip(files, arrays, strict=True):
        Image.fromarray(array).save(file)
    assert (
        model.predict(arrays)
        == model.predict(files)
        == model.predict([Image.open(file) for file in files])
        == named
    )
    assert model.predict(str(files[0])) == model.predict(arrays[0]) == named[:1]
    np.testing.assert_allclose(model.probabilities(arrays).sum(1), 1, rtol=1e-5)
    assert model.predict([]) == []
    (tmp_path / "no.png").write_text("not an image")
    with pytest.raises(DataError, match=r"no\.png cannot be decoded"):
        model.predict([tmp_path / "no.png"])


def test_a_folder_of_ones_own_images_and_timm_networks_with_frozen_stages(tmp_path):
    split = coloured_squares(60, 2, 7)
    for row, (array, label) in enumerate(zip(split.images, split.targets, strict=True)):
        folder = tmp_path / "shades" / ("dark", "light")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).resize((40, 32)).save(folder / f"{row}.png")
    saved = adapt(
        tmp_path, "scratch/test_resnet", f"folder/{tmp_path / 'shades'}", image_size=32, plugins=[]
    )
    frozen = adapt(
        tmp_path, "chain[base=scratch/test_resnet,on=sklearn/digits]", f"folder/{tmp_path / 'shades'}", "f.safetensors",
        image_size=32, plugins=[], adaptation="freeze[stages=1]",
    )  # fmt: skip
    for one in (saved, frozen):
        model = hw.load_adapted(one.path)
        answers = predicted_on_test(tmp_path, one)
        files = sorted((tmp_path / "shades").rglob("*.png"))
        assert set(model.predict(files)) <= {"dark", "light"}
        assert {value.split: value.images for value in one.values} == {
            "validation": 8,
            "test": len(answers),
        }


def predicted_on_test(tmp_path, saved):
    return np.load(tmp_path / "s-files" / "predictions" / f"{saved.facts.job}.npy")


def test_values_and_intervals_are_those_of_the_recorded_answers(tmp_path):
    saved = adapt(tmp_path, size=12)
    validation, test = saved.values
    assert (validation.split, test.split, test.metric) == ("validation", "test", "accuracy")
    right = int((recorded(tmp_path, saved).argmax(1) == np.arange(30) % 3).sum())
    assert test.value == pytest.approx(right / 30)
    z, p = 1.959963984540054, right / 30  # Wilson, written out
    centre, half = (
        (p + z * z / 60) / (1 + z * z / 30),
        z * np.sqrt(p * (1 - p) / 30 + z * z / 3600) / (1 + z * z / 30),
    )
    assert (test.low, test.high) == pytest.approx((centre - half, centre + half))
    assert test.value == pytest.approx(saved.facts.metrics["test"]["accuracy"])


def test_other_metrics_get_a_bootstrap_over_the_images(tmp_path):
    from dataclasses import replace

    card = replace(
        Registry.discover([PLUGIN]).task("toy/shades"), name="own/shades", metric="log_loss"
    )
    saved = adapt(tmp_path, task="own/shades", plugins=[PLUGIN, card])
    test, outputs = saved.values[1], recorded(tmp_path, saved)
    losses = -torch.from_numpy(outputs).log_softmax(1).numpy()[np.arange(30), np.arange(30) % 3]
    assert (test.metric, test.value) == ("log_loss", pytest.approx(losses.mean(), rel=1e-3))
    width = 2 * 1.959963984540054 * losses.std() / np.sqrt(30)  # of a mean, by the central limit
    assert test.high - test.low == pytest.approx(width, rel=0.15)
    assert test.low < test.value < test.high


def test_the_same_command_again_trains_nothing_and_a_lost_network_is_trained_again(tmp_path):
    first = adapt(tmp_path)
    again = adapt(tmp_path)
    assert (first.new, again.new) == (True, False)
    weights = load_file(first.path)
    for file in (tmp_path / "s-files" / "checkpoints").iterdir():
        file.unlink()
    other = adapt(tmp_path, name="n.safetensors")
    assert other.new
    assert all(torch.equal(tensor, load_file(other.path)[name]) for name, tensor in weights.items())
    runs = hw.Store(tmp_path / "s.duckdb").sql("SELECT kind, count(*) FROM runs GROUP BY ALL").rows
    assert runs == [("adapt", 2)]


def test_another_file_is_never_overwritten_without_force(tmp_path):
    (tmp_path / "m.safetensors").write_text("my thesis")
    with pytest.raises(HeadwaterError, match=r"m\.safetensors") as caught:
        adapt(tmp_path)
    assert "--force" in caught.value.hint
    assert (tmp_path / "m.safetensors").read_text() == "my thesis"
    assert not (tmp_path / "s.duckdb").exists()  # said before anything was trained
    adapt(tmp_path, force=True)
    with pytest.raises(HeadwaterError, match=r"m\.safetensors"):
        adapt(tmp_path, seed=1)  # another network
    with pytest.raises(HeadwaterError, match="folder"):
        adapt(tmp_path, name=".")


def test_what_leaves_no_network_is_refused_and_what_fails_says_why(tmp_path):
    with pytest.raises(BadSpec, match="linear_probe"):
        adapt(tmp_path, adaptation="linear_probe")
    with pytest.raises(BadSpec, match="dann") as caught:
        adapt(tmp_path, adaptation="dann")
    assert "--adaptation NAME" in caught.value.hint
    with pytest.raises(BadSpec, match="toy/random"):
        adapt(tmp_path, "toy/fixed,toy/random")
    with pytest.raises(BadSpec, match="chain"):
        adapt(tmp_path, "chain[base=toy/random,on=toy/shades]")
    with pytest.raises(TrainingError, match="nan"):
        adapt(tmp_path, adaptation="toy/explodes")
    with pytest.raises(TrainingError, match=r"60 .*500"):
        adapt(tmp_path, size=500)
    assert not (tmp_path / "m.safetensors").exists()


def test_predictions_that_are_padded_with_no_numbers_are_read_back_as_they_were(tmp_path):
    from dataclasses import replace

    registry = Registry.discover([PLUGIN])
    card = registry.task_type("classification")

    class Padded(type(card.methods)):
        def head(self, features, outputs):
            class Head(torch.nn.Linear):
                def forward(self, rows):
                    scores = super().forward(rows)
                    return (
                        scores
                        if self.training
                        else torch.nn.functional.pad(scores, (0, 1), value=torch.nan)
                    )

            return Head(features, outputs)

        def constant(self, targets, outputs):
            return None

        def measure(self, predictions, targets):
            assert predictions[:, -1].isnan().all()
            return super().measure(predictions[:, :-1], targets)

    metrics = tuple(replace(metric, is_accuracy=False) for metric in card.metrics)
    cards = (
        replace(card, name="own/padded", methods=Padded(), metrics=metrics),
        replace(registry.task("toy/shades"), name="own/shades", type="own/padded"),
    )
    saved = adapt(tmp_path, task="own/shades", plugins=[PLUGIN, *cards])
    assert saved.new and saved.path.is_file()


def test_a_plugin_of_ones_own_must_be_named_and_the_file_says_so(tmp_path):
    path = adapt(tmp_path).path
    with pytest.raises(HeadwaterError) as caught:
        hw.load_adapted(path)
    assert f"plugins=['{PLUGIN}']" in caught.value.hint


def test_files_that_are_not_adapted_networks_are_refused(tmp_path):
    for name, content in (
        ("empty", b""),
        ("text", b"hello"),
        ("cut", adapt(tmp_path).path.read_bytes()[:-10]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=name):
            hw.load_adapted(tmp_path / name)
    save_file({"a": torch.zeros(2)}, tmp_path / "bare")
    with pytest.raises(WeightsError, match="bare"):
        hw.load_adapted(tmp_path / "bare")
    save_file({"a": torch.zeros(2)}, tmp_path / "new", {"headwater": json.dumps({"format": 99})})
    with pytest.raises(WeightsError, match="newer"):
        hw.load_adapted(tmp_path / "new")
    with pytest.raises(WeightsError, match="gone"):
        hw.load_adapted(tmp_path / "gone")


def test_answers_of_cells_that_kept_none_are_none(tmp_path):
    from headwater.harness.planning.planner import plan
    from headwater.harness.planning.spec import Spec
    from tests.harness.toy import keys

    registry = Registry.discover([PLUGIN])
    (job, *_) = plan(Spec.of(keys()), registry).cells
    assert predictions_of(job, Files(tmp_path), registry, "test") is None
