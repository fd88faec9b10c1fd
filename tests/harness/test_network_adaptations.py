"""fine_tune's options, lora, append_layers and progressive as cells of a run: recorded, tuned, kept, loaded again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import headwater as hw
from headwater.harness.measure import snapshot
from headwater.harness.measure.backbone import Backbone
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.running.run import Control
from headwater.harness.running.worker import Stopped, Worker
from headwater.leaderboard.store.records import State
from headwater.registry import Registry
from tests.harness.toy import PLUGIN, SIDE, keys

INLINE = Control(executor="inline", rerun="failed")
CHAIN = "chain[base=toy/fixed,on=toy/halves]"
ADAPTATIONS = [
    "fine_tune[layer_decay=0.5,l2_sp=0.1,l2_head=0.1,probe_first=true]",
    "lora[rank=2]",
    "append_layers[width=4]",
]
COLUMNS = f"progressive[columns={CHAIN}+toy/otherwise]"

OTHERWISE = """
import headwater as hw
from tests.harness.toy import small_network

@hw.source_model("toy/otherwise", architecture="toy", scratch="toy/random", mean=(0.2, 0.2, 0.2), std=(0.4, 0.4, 0.4))
def otherwise():
    import torch
    torch.manual_seed(7)
    return small_network()
"""


@pytest.fixture
def plugins(tmp_path):
    """The toys, and a source that wants its images normalised otherwise."""
    pytest.importorskip("peft")
    file = tmp_path / "otherwise.py"
    file.write_text(OTHERWISE, encoding="utf-8")
    return [str(PLUGIN), str(file)]


def test_all_are_measured_with_their_references_to_the_same_bits_each_time(tmp_path, plugins):
    rows = []
    for name in ("one", "two"):
        report = hw.run(
            keys(adaptations=[*ADAPTATIONS, COLUMNS], plugins=plugins),
            store=tmp_path / f"{name}.duckdb",
            control=INLINE,
        )
        assert report.count(State.FAILED) == report.count(State.SKIPPED) == 0
        rows.append(
            report.store.sql(
                "SELECT job, split, metric, value FROM metrics ORDER BY ALL", rows=None
            ).rows
        )
        gains = report.store.sql("SELECT DISTINCT adaptation FROM gains").rows
        assert {stem for (text,) in gains if (stem := text.partition("[")[0])} == {
            "fine_tune",
            "lora",
            "append_layers",
            "progressive",
        }
    assert rows[0] == rows[1]


def test_a_cell_waits_for_the_chains_among_its_columns(plugins):
    made = plan(Spec.of(keys(adaptations=[COLUMNS], plugins=plugins)), Registry.discover(plugins))
    cell = next(job for job in made.cells if job.record.adaptation.startswith("progressive"))
    assert list(cell.extra_checkpoints) == [CHAIN] and set(cell.extra_checkpoints.values()) <= set(
        cell.needs
    )


@pytest.mark.parametrize("adaptation", [*ADAPTATIONS, COLUMNS])
def test_a_saved_network_answers_as_the_trained_one_did(tmp_path, plugins, adaptation):
    recipe = {
        "image_size": SIDE,
        "training": {"epochs": 2, "batch_size": 4},
        "pretraining": {"epochs": 1, "batch_size": 8},
    }
    facts = {
        "store": tmp_path / "s.duckdb",
        "plugins": plugins,
        "control": INLINE,
        "size": 12,
    } | recipe
    saved = hw.adapt(
        "toy/shades", "toy/fixed", tmp_path / "m.safetensors", adaptation=adaptation, **facts
    )
    assert saved.facts.plain is adaptation.startswith(
        ("fine_tune", "lora")
    )  # merged, an adapted network is a plain one
    images = Registry.discover([PLUGIN]).task("toy/shades").load()["test"].images
    then = np.load(tmp_path / "s-files" / "predictions" / f"{saved.facts.job}.npy").astype(
        np.float32
    )
    np.testing.assert_allclose(
        hw.load_adapted(saved.path, plugins=plugins).outputs(images), then, rtol=2e-3, atol=2e-3
    )


@pytest.mark.parametrize("adaptation", ["lora[rank=2]", "append_layers[width=4]", COLUMNS])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    tmp_path, plugins, monkeypatch, adaptation
):
    monkeypatch.setattr(snapshot, "EVERY_SECONDS", 0.0)
    recipe = {"epochs": 4, "batch_size": 4}
    made = plan(
        Spec.of(keys(adaptations=[adaptation], references=[], training=recipe, plugins=plugins)),
        Registry.discover(plugins),
    )
    (cell,) = made.cells
    outcomes = []
    for folder, stops in (("whole", False), ("parts", True)):
        worker, epochs = Worker(tmp_path / folder, plugins, 1), []
        for need in cell.needs:
            worker.run(made.jobs[need])

        def heard(epoch, *_, epochs=epochs, **__):
            epochs.append(epoch)
            if epochs == [1, 2]:
                raise Stopped

        if stops:
            monkeypatch.setattr(worker, "report", heard)
            assert worker.run(cell).state is State.INTERRUPTED
        outcomes.append(worker.run(cell))
    assert epochs == [1, 2, 3, 4]
    whole, parts = (
        [(one.split, one.metric, one.value) for one in outcome.metrics] for outcome in outcomes
    )
    assert whole == parts and outcomes[0].state is State.DONE


def test_another_sources_network_sees_the_images_as_it_wants_them_and_draws_nothing(
    tmp_path, plugins
):
    (cell,) = plan(
        Spec.of(keys(adaptations=[COLUMNS], references=[], plugins=plugins)),
        Registry.discover(plugins),
    ).cells
    bench = Worker(tmp_path, plugins, 1).bench
    own, other = (bench.registry.source(name) for name in ("toy/fixed", "toy/otherwise"))
    images = torch.rand(2, 3, SIDE, SIDE)
    mine, theirs = (
        (images - torch.tensor(one.mean)[:, None, None]) / torch.tensor(one.std)[:, None, None]
        for one in (own, other)
    )
    torch.manual_seed(3)
    found = bench.load_source("toy/otherwise", cell).eval()
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    with torch.no_grad():
        assert torch.allclose(found(mine), Backbone(other.network(SIDE)).eval()(theirs), atol=1e-5)


def test_their_options_are_tuned(tmp_path, plugins):
    space = {
        "rank": [1, 2],
        "layer_decay": {"low": 0.3, "high": 1.0},
        "probe_first": [True, False],
        "width": [2, 4],
    }
    asked = keys(
        adaptations=["fine_tune", "lora", "append_layers"],
        references=[],
        tuning={"trials": 3, "space": space},
        plugins=plugins,
    )
    report = hw.run(asked, store=tmp_path / "s.duckdb", control=INLINE)
    assert report.count(State.FAILED) == 0
    chosen = report.store.sql(
        "SELECT adaptation, CAST(choice AS VARCHAR) FROM jobs WHERE kind = 'adapt'"
    ).rows
    keys_of = {
        adaptation: set(json.loads(choice)) - {"trial", "epoch", "epochs", "rising"}
        for adaptation, choice in chosen
    }
    assert keys_of == {
        "fine_tune": {"layer_decay", "probe_first"},
        "lora": {"rank"},
        "append_layers": {"width"},
    }
