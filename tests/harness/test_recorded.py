"""Stored jobs: what a store has of them, and when their predictions can be looked at again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import headwater as hw
from headwater.harness.results.stored_job import metric_signs, stored_job, stored_predictions
from headwater.harness.running.run import Control
from headwater.registry.errors import DataError, NotApplicable, UnknownName
from tests.harness.toy import PLUGIN, keys


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "s.duckdb"
    sources = ["toy/fixed", "chain[base=toy/fixed,on=toy/halves]"]
    changes = {"adaptations": ["fine_tune", "linear_probe", "toy/explodes"], "references": []}
    return hw.run(
        keys(sources=sources, **changes), store=path, control=Control(executor="inline")
    ).store


def job(store, kind="adapt", adaptation="fine_tune", source="toy/fixed"):
    found = store.sql(
        f"SELECT job FROM jobs WHERE kind = '{kind}' AND adaptation LIKE '{adaptation}' AND source = '{source}'"
    )
    return found.rows[0][0]


@pytest.mark.parametrize("adaptation", ["fine_tune", "linear_probe"])
def test_predictions_lie_beside_what_they_are_of(store, adaptation):
    found = stored_predictions(stored_job(store, job(store, adaptation=adaptation)[:8]))
    measured = {row.metric: row.test for row in found.job.metrics}
    right = found.predictions.argmax(1) == found.prepared.test.targets
    assert (found.task.name, len(right), found.predictions.dtype) == ("toy/shades", 30, np.float32)
    assert right.mean() == pytest.approx(measured["accuracy"])
    recall = found.by_class()["recall"]
    assert list(recall) == ["dark", "grey", "light"]
    assert np.mean(list(recall.values())) == pytest.approx(measured["balanced_accuracy"])


def test_the_cells_own_metric_comes_first_and_in_its_title(store):
    found = stored_job(store, job(store))
    assert [row.metric for row in found.metrics] == [
        "accuracy",
        "auroc",
        "balanced_accuracy",
        "f1",
        "log_loss",
    ]
    assert (
        found.title
        == f"toy/fixed → shades · fine_tune · 12 images · seed 0 · accuracy ↑ {found.metrics[0].test:.3f}"
    )


def test_which_way_a_metric_points_is_known_without_the_plugins_of_its_run(store):
    found = stored_job(store, job(store))
    known = metric_signs(replace(found, spec={**found.spec, "plugins": ["/nowhere/mine.py"]}))
    assert (known["accuracy"], known["log_loss"]) == (1, -1)


@pytest.mark.parametrize(
    ("kind", "adaptation", "word"),
    [
        ("pretrain", "%", "pretrain"),
        ("features", "%", "features"),
        ("adapt", "toy/explodes", "failed"),
    ],
)
def test_a_job_without_predictions_says_why(store, kind, adaptation, word):
    with pytest.raises(NotApplicable, match=word):
        stored_predictions(stored_job(store, job(store, kind, adaptation)))


def test_an_unknown_or_ambiguous_identity_is_told(store):
    with pytest.raises(UnknownName, match="0000000000"):
        stored_job(store, "0000000000")
    with pytest.raises(UnknownName, match="more than one"):
        stored_job(store, "")


def test_neither_a_metric_that_comes_out_otherwise_nor_a_plugin_that_moved_makes_them_other_data(
    store, tmp_path
):
    moved = tmp_path / "toy.py"
    moved.write_text(f"# A comment.\n{PLUGIN.read_text()}")
    found = stored_job(store, job(store))
    off = tuple(row._replace(test=row.test - 0.3) for row in found.metrics)
    assert (
        len(
            stored_predictions(
                replace(found, metrics=off, spec={**found.spec, "plugins": [str(moved)]})
            ).predictions
        )
        == 30
    )


@pytest.mark.parametrize(
    "change",
    [
        ("coloured_squares(30, 3, 1)", "coloured_squares(30, 3, 9)"),
        ('"grey", "light"', '"gray", "light"'),
    ],
)
def test_predictions_of_other_data_are_not_taken_for_those_of_what_the_task_has_now(
    store, tmp_path, change
):
    """The other test images, of as many, may well come to the same accuracy; classes of other names do."""
    other = tmp_path / "toy.py"
    other.write_text(PLUGIN.read_text().replace(*change))
    found = stored_job(store, job(store))
    with pytest.raises(DataError, match="toy/shades") as caught:
        stored_predictions(replace(found, spec={**found.spec, "plugins": [str(other)]}))
    assert (
        f"--store {store.path}" in caught.value.hint and "task = 'toy/shades'" in caught.value.hint
    )


def test_predictions_that_are_gone_or_of_fewer_images_are_told(store):
    found = stored_job(store, job(store))
    kept = found.predictions.read_bytes()
    try:
        np.save(found.predictions, np.zeros((7, 3), np.float16))
        with pytest.raises(DataError, match="toy/shades"):
            stored_predictions(found)
        found.predictions.unlink()
        with pytest.raises(NotApplicable, match=found.predictions.name):
            stored_predictions(found)
    finally:
        found.predictions.write_bytes(kept)
