"""What networks of dense tasks answer: the same once saved, in the terms of the image, with intervals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import headwater as hw
from headwater.harness.measure.adapting import compress_outputs
from headwater.harness.results.adapt import outputs_agree
from headwater.harness.results.predictions import Predictions
from headwater.harness.running.run import Control
from headwater.registry import Registry
from tests.harness.dense_toy import PLUGIN, VOID, Dense, squares

# -- answers ----------------------------------------------------------------------------------------------


def adapted(tmp_path, task="toy/where", **changes):
    given = {
        "control": Control(executor="inline", rerun="failed"),
        "plugins": [PLUGIN],
        "store": tmp_path / "s.duckdb",
        "image_size": 64,
    }
    recipe = {"epochs": 6, "batch_size": 8, "learning_rate": 0.02}
    return hw.adapt(
        task, "toy/maps", tmp_path / "m.safetensors", **({"training": recipe} | given | changes)
    )


def recorded(tmp_path, saved):
    return np.load(tmp_path / "s-files" / "predictions" / f"{saved.facts.job}.npy").astype(
        np.float32
    )


@pytest.mark.parametrize(
    "adaptation", ["fine_tune[layer_decay=0.5,l2_sp=0.01]", "freeze[stages=0]", "lora[rank=2]"]
)
def test_a_saved_dense_network_gives_the_recorded_predictions(tmp_path, adaptation):
    saved = adapted(tmp_path, adaptation=adaptation)
    model = hw.load_adapted(saved.path, plugins=[PLUGIN])
    images, masks, _ = squares(12, 1)
    found = model.outputs(images)
    assert found.shape == (12, 2, 16, 16)
    np.testing.assert_allclose(found, recorded(tmp_path, saved), rtol=2e-3, atol=2e-3)
    there = masks[:, 3::4, 3::4] != VOID
    hit = (found.argmax(1) == masks[:, 3::4, 3::4])[there].mean()
    assert saved.values[1].value == pytest.approx(hit, abs=1e-3)


def test_predict_gives_what_the_type_answers_of_the_image_as_it_was_given(tmp_path):
    model = hw.load_adapted(adapted(tmp_path).path, plugins=[PLUGIN])
    image = Image.fromarray(squares(12, 1)[0][0])
    image.resize((128, 96)).save(tmp_path / "wide.png")
    (names, own), (_, wide) = model.predict([image, tmp_path / "wide.png"])
    assert own == (64, 64) and wide == (128, 96)
    assert set(names) <= {"ground", "square"} and names == [
        model.classes[index] for index in np.unique(model.outputs(image)[0].argmax(0))
    ]
    with pytest.raises(
        hw.NotApplicable,
        match="toy/regions",
    ):
        model.probabilities(image)


def test_a_type_that_says_no_more_is_answered_with_its_predictions(tmp_path):
    model = hw.load_adapted(adapted(tmp_path, "toy/far").path, plugins=[PLUGIN])
    images = squares(3, 1)[0]
    assert np.array_equal(np.stack(model.predict(images)), model.outputs(images))


def test_a_network_of_places_may_be_saved_if_rounding_moves_few_of_its_choices(tmp_path):
    saved = adapted(tmp_path)
    task_type = Registry.discover([PLUGIN]).task_type(saved.facts.task_type)
    outputs = recorded(tmp_path, saved)
    _, masks, _ = squares(12, 1)

    def agree(share):
        is_moved = np.random.default_rng(0).random(outputs.shape) < share
        moved = np.where(is_moved, -outputs - 3 * np.sign(outputs), outputs)
        return outputs_agree(outputs, moved, torch.from_numpy(masks), task_type)

    assert agree(0.0) and agree(0.005)
    assert not agree(0.5)


# -- intervals --------------------------------------------------------------------------------------------


class Counted(Dense):
    """The share of the pixels of ones that are found: a ratio of sums over images."""

    def loss(self, outputs, targets):
        raise AssertionError

    def measure(self, predictions, targets):
        return {
            "found": float((predictions * targets).sum() / targets.sum()),
            "accuracy": float((predictions == targets).float().mean()),
        }


class Tallied(Counted):
    def tally(self, predictions, targets):
        right = predictions == targets
        return torch.stack(
            [
                (predictions * targets).sum(1),
                targets.sum(1),
                right.sum(1),
                right.sum(1) + (~right).sum(1),
            ],
            1,
        ).double()

    def tallied(self, sums):
        return {"found": float(sums[0] / sums[1]), "accuracy": float(sums[2] / sums[3])}


def answers(methods, metric="found", count=30):
    random = np.random.default_rng(2)
    outputs, targets = (random.integers(2, size=(count, 7)).astype(np.float32) for _ in range(2))
    card = hw.task_type("own/counted", metrics=[hw.Metric("found"), hw.Metric("accuracy")])(methods)
    return Predictions(outputs, targets, metric, card, np.arange(count))


@pytest.mark.parametrize("metric", ["found", "accuracy"])
def test_a_tally_gives_the_bootstrap_of_measuring_every_draw(metric):
    one, other = answers(Tallied, metric), answers(Counted, metric)
    assert one.drawn == pytest.approx(other.drawn, rel=1e-6) and len(set(one.drawn)) > 20
    assert one.interval == pytest.approx(other.interval, rel=1e-6)
    low, high = one.interval
    assert low < one.value() < high
    assert not one.is_accuracy  # another type's accuracy is not that of one class an image


def test_one_image_has_no_interval_and_what_has_no_value_no_bounds():
    assert answers(Counted, count=1).interval is None
    nothing = answers(Counted)
    assert (
        replace(nothing, targets=np.zeros_like(nothing.targets)).interval is None
    )  # 0/0 in every draw


def test_what_half_precision_cannot_hold_is_kept_in_single():
    prices = torch.tensor([[125_000.0], [80_500.0]])
    years = torch.tensor([[2017.0], [2018.5], [2016.25]])
    logits = torch.tensor([[3.25, -1.0], [-math.inf, 2.0]])
    assert (
        compress_outputs(prices).tolist() == prices.tolist()
        and compress_outputs(years).tolist() == years.tolist()
    )
    assert compress_outputs(logits).dtype == np.float16
    assert compress_outputs(logits).tolist() == [[3.25, -1.0], [-1e4, 2.0]]


def test_bounds_are_those_of_a_quality():
    assert hw.Metric("hit", low=0, high=1).bounds == (0, 1)
    assert hw.Metric("error", higher_is_better=False, low=0).bounds == (-math.inf, 0)
    assert hw.Metric("any").bounds == (-math.inf, math.inf)
