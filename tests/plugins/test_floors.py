"""What no network reaches: the constant prediction of every task type, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import headwater as hw
from headwater.plugins.task_types import _points
from headwater.registry import Registry

VOID = 255


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover([])


def measured(registry: Registry, name: str, train, test, outputs: int) -> dict[str, float]:
    """Return what a type's constant prediction reaches on test."""
    methods = registry.task_type(name).methods
    constant = methods.constant(train, outputs)
    predictions = constant.expand(len(test), *constant.shape)
    return dict(methods.measure(predictions, torch.from_numpy(test)))


def test_the_largest_class_is_predicted_and_its_share_is_the_floor(registry):
    train = np.array([0] * 2 + [1] * 6 + [2] * 2)
    test = np.array([0, 1, 1, 1, 2])
    floor = measured(registry, "classification", train, test, 3)
    assert floor["accuracy"] == pytest.approx(3 / 5)
    assert floor["balanced_accuracy"] == pytest.approx(1 / 3)
    assert floor["auroc"] == pytest.approx(0.5)
    shares = np.array([0.2, 0.6, 0.2])
    assert floor["log_loss"] == pytest.approx(-np.log(shares[test]).mean())


def test_a_class_without_a_training_image_costs_a_finite_loss(registry):
    floor = measured(registry, "classification", np.array([0, 0, 1]), np.array([2, 0]), 3)
    assert np.isfinite(list(floor.values())).all()


def test_the_mean_of_each_number_is_the_floor_of_regression(registry):
    random = np.random.default_rng(0)
    train = random.normal(100, 20, (50, 2)).astype(np.float32)
    test = random.normal(110, 20, (30, 2)).astype(np.float32)
    floor = measured(registry, "regression", train, test, 2)
    errors = test - train.mean(0)
    assert floor["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert floor["rmse"] == pytest.approx(np.sqrt((errors**2).mean(0)).mean(), rel=1e-5)
    assert floor["r2"] <= 0
    assert floor["spearman"] == 0


def test_label_frequencies_rank_nothing(registry):
    random = np.random.default_rng(1)
    train, test = ((random.random((40, 3)) < (0.1, 0.5, 0.8)).astype(np.int64) for _ in range(2))
    floor = measured(registry, "multilabel", train, test, 3)
    assert floor["auroc"] == pytest.approx(0.5)
    assert floor["map"] == pytest.approx(test.mean())


def test_each_pixels_most_frequent_class_is_the_floor_of_segmentation(registry):
    random = np.random.default_rng(2)
    train = random.integers(0, 3, (9, 4, 5)).astype(np.uint8)
    train[random.random(train.shape) < 0.3] = VOID
    train[:, 0, 0] = VOID
    constant = registry.task_type("segmentation").methods.constant(train, 3)
    overall = np.bincount(train[train != VOID]).argmax()
    for row in range(4):
        for column in range(5):
            pixel = train[:, row, column]
            labelled = pixel[pixel != VOID]
            expected = np.bincount(labelled).argmax() if len(labelled) else overall
            assert constant[row, column] == expected


def test_each_pixels_mean_log_depth_is_the_floor_of_depth(registry):
    random = np.random.default_rng(3)
    train = random.uniform(1, 9, (7, 3, 4)).astype(np.float32)
    train[random.random(train.shape) < 0.3] = 0
    train[:, 1, 1] = 0
    constant = registry.task_type("depth").methods.constant(train, 1)
    for row in range(3):
        for column in range(4):
            pixel = train[:, row, column]
            readings = pixel[pixel > 0] if (pixel > 0).any() else train[train > 0]
            assert constant[row, column] == pytest.approx(np.exp(np.log(readings).mean()), rel=1e-5)


def test_the_mean_shape_is_the_floor_of_keypoints(registry):
    random = np.random.default_rng(4)
    train = np.zeros((6, 3, 5), dtype=np.float32)
    train[..., :2] = random.random((6, 3, 2))
    train[..., _points.VISIBLE] = random.random((6, 3)) < 0.6
    train[:, 2, _points.VISIBLE] = 0
    constant = registry.task_type("keypoints").methods.constant(train, 3)
    for point in range(2):
        seen = train[train[:, point, _points.VISIBLE] > 0, point, :2]
        assert constant[point, :2].tolist() == pytest.approx(seen.mean(0).tolist(), rel=1e-5)
    assert constant[2, :2].tolist() == [0.5, 0.5]
    assert constant[:, 2].tolist() == [1, 1, 1]


def test_nothing_is_detected_without_a_look(registry):
    methods = registry.task_type("detection").methods
    assert methods.constant(np.zeros((4, 2, 5), dtype=np.float32), 3) is None


def test_an_error_in_a_unit_is_another_metric_than_one_in_another(registry):
    mae = registry.task_type("regression").metric("mae")
    years, dollars, unnamed = (
        hw.Task(name=name, load=dict, type="regression", unit=unit)
        for name, unit in (("ages", "years"), ("prices", "dollars"), ("lab/x", ""))
    )
    units = [mae.unit_on(task) for task in (years, dollars, unnamed)]
    assert units[:2] == ["years", "dollars"]
    assert "lab/x" in units[2]
    assert registry.task_type("regression").metric("r2").unit_on(years) == ""
    assert registry.task_type("depth").metric("rmse").unit_on(unnamed) == "m"


def test_an_option_names_the_unit_of_a_data_set_and_that_of_depth_maps_stays(registry, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image": [b"x"], "label": [1.0]}), tmp_path / "train.parquet")
    ages = registry.task(f"parquet/{tmp_path}[type=regression,unit=years]")
    maps = registry.task(f"parquet/{tmp_path}[type=depth,unit=0.01]")
    assert (ages.unit, dict(ages.conventions)) == ("years", {})
    assert (maps.unit, dict(maps.conventions)) == ("", {"unit": 0.01})
