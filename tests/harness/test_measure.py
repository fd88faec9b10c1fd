"""Measuring: reproducible to the bit, chosen on validation, paired on the same images."""

import errno
from dataclasses import replace

import numpy as np
import pytest
import torch

from headwater.harness.data.prepared import PreparedSplit
from headwater.harness.measure.augmentation import RandomAffine
from headwater.harness.measure.batches import Batches, steps_per_epoch
from headwater.harness.measure.device import Device
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import SOURCE_SEED, Spec
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import Worker
from headwater.leaderboard.store.records import State
from headwater.registry import Registry
from tests.facts import missing_facts
from tests.harness.toy import PLUGIN, keys

CPU = Device("cpu")
SPLITS = ("validation", "test", "floor")


def measured(tmp_path, **changes):
    """Run a spec's jobs in this process; yields each record with its outcome."""
    made = plan(Spec.of(keys(**changes)), Registry.discover([PLUGIN]))
    worker, schedule = Worker(tmp_path, [PLUGIN], 1), Schedule(made.jobs.values())
    while (job := schedule.take()) is not None:
        outcome = worker.run(job)
        for settled in (outcome, *schedule.settle(outcome)):
            yield made.jobs[settled.job].record, settled


def measure(tmp_path, **changes):
    """The outcomes by (kind, source, adaptation, size, seed)."""
    return {
        (r.kind, r.source, r.adaptation, r.size, r.seed): outcome
        for r, outcome in measured(tmp_path, **changes)
    }


def value(outcome, metric="accuracy", split="test"):
    return next(m.value for m in outcome.metrics if (m.split, m.metric) == (split, metric))


def test_a_full_disk_and_a_hint_read_as_sentences(tmp_path, monkeypatch):
    def full(path, array):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("headwater.harness.measure.adapting.save_array", full)
    reasons = {outcome.reason for outcome in measure(tmp_path).values()}
    assert all(
        reason.startswith("the disk is full") and "No space left on device" in reason
        for reason in reasons
    )
    assert all(". Free some space" in reason for reason in reasons), "the hint follows"
    broken = measure(tmp_path, tasks=["toy/broken"]).values()
    hints = {outcome.reason.partition("cannot be decoded")[2] for outcome in broken}
    assert all(". Repair or remove" in hint for hint in hints)


def test_the_same_spec_measures_the_same_bits_twice(tmp_path):
    changes = {
        "adaptations": ["fine_tune", "linear_probe"],
        "sources": ["toy/fixed", "chain[base=toy/random,on=toy/halves]"],
    }
    one, two = measure(tmp_path / "one", **changes), measure(tmp_path / "two", **changes)
    assert {outcome.state for outcome in one.values()} == {State.DONE}
    for place, outcome in one.items():
        assert [(m.split, m.metric, m.value) for m in outcome.metrics] == [
            (m.split, m.metric, m.value) for m in two[place].metrics
        ]
        stable = [c for c in outcome.curves if c.metric != "seconds"]
        assert stable == [c for c in two[place].curves if c.metric != "seconds"]
    predictions = sorted((tmp_path / "one" / "predictions").iterdir())
    assert len(predictions) == 2 * sum(
        place[0] == "adapt" for place in one
    )  # on test and on validation
    for file in predictions:
        assert file.read_bytes() == (tmp_path / "two" / "predictions" / file.name).read_bytes()


def test_a_learnable_task_is_learned(tmp_path):
    found = measure(
        tmp_path,
        sizes=["full"],
        adaptations=["fine_tune"],
        training={"epochs": 12, "batch_size": 8, "learning_rate": 0.05},
    )
    assert value(found[("adapt", "toy/fixed", "fine_tune", "full", 0)]) > 0.8


def test_the_epoch_reported_is_the_one_best_on_validation(tmp_path):
    found = measure(
        tmp_path, sizes=["full"], training={"epochs": 6, "batch_size": 8, "learning_rate": 0.05}
    )
    outcome = found[("adapt", "toy/fixed", "fine_tune", "full", 0)]
    curve = {
        c.epoch: c.value
        for c in outcome.curves
        if (c.split, c.metric) == ("validation", "accuracy")
    }
    assert (
        curve[outcome.choice["epoch"]] == max(curve.values()) == value(outcome, split="validation")
    )
    assert len(curve) == 6


def test_stored_predictions_give_the_stored_accuracy(tmp_path):
    found = measure(tmp_path, adaptations=["linear_probe"])
    outcome = found[("adapt", "toy/fixed", "linear_probe", "12", 0)]
    scores = np.load(tmp_path / outcome.artifacts["predictions"])
    targets = np.arange(30) % 3
    assert (scores.argmax(1) == targets).mean() == pytest.approx(value(outcome))


def test_a_joint_chain_trains_every_task_and_saves_a_backbone_alone(tmp_path):
    from safetensors.numpy import load_file

    chain = "chain[base=toy/random,on=toy/halves+toy/shades]"
    found = measure(
        tmp_path,
        sources=[chain],
        tasks=["toy/tones"],
        pretraining={"epochs": 8, "batch_size": 8, "learning_rate": 0.05},
    )
    outcome = found[("pretrain", "toy/random", "", "", SOURCE_SEED)]
    scores = {m.metric: m.value for m in outcome.metrics}
    assert set(scores) == {"mean", "toy/halves", "toy/shades"}
    assert scores["toy/halves"] > 0.6
    assert scores["toy/shades"] > 0.45
    assert set(load_file(tmp_path / outcome.artifacts["checkpoint"])) >= {
        "stem.weight",
        "norm.weight",
    }
    assert not any("head" in name for name in load_file(tmp_path / outcome.artifacts["checkpoint"]))


def test_a_loss_that_is_not_a_number_is_a_failure_with_a_reason_and_a_log(tmp_path):
    outcome = measure(tmp_path, adaptations=["toy/explodes"])[
        ("adapt", "toy/fixed", "toy/explodes", "12", 0)
    ]
    assert (outcome.state, outcome.error) == (State.FAILED, "TrainingError")
    assert missing_facts(outcome.reason, "nan", "epoch 1") == []
    assert "Traceback" in (tmp_path / outcome.log).read_text()


def test_too_few_images_skip_the_cell_and_say_so(tmp_path):
    outcome = measure(tmp_path, sizes=[500])[("adapt", "toy/fixed", "fine_tune", "500", 0)]
    assert outcome.state is State.SKIPPED
    assert outcome.reason == "toy/shades: only 60 training images, 500 asked for"


def test_a_source_without_its_contract_fails_by_name(tmp_path):
    outcome = measure(tmp_path, sources=["toy/deaf"])[("adapt", "toy/deaf", "fine_tune", "12", 0)]
    assert outcome.state is State.FAILED
    assert "toy/deaf builds a Linear without forward_features and forward_head" in outcome.reason


def test_a_corrupt_image_fails_its_cells_and_no_others(tmp_path):
    found = {
        (record.task, outcome.state)
        for record, outcome in measured(tmp_path, tasks=["toy/broken", "toy/shades"], sizes=[4])
    }
    assert found == {("toy/broken", State.FAILED), ("toy/shades", State.DONE)}


def test_images_are_normalised_by_the_sources_own_statistics():
    pixels = np.full((2, 4, 4, 3), 51, np.uint8)  # 0.2
    source = replace(
        Registry.discover([PLUGIN]).source("toy/fixed"), mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.1)
    )
    images = Batches(PreparedSplit(pixels, np.zeros(2, np.int64)), source, CPU).images(np.arange(2))
    assert images.shape == (2, 3, 4, 4)
    torch.testing.assert_close(images[0, :, 0, 0], torch.tensor([0.2, 0.0, -1.0]))


@pytest.mark.parametrize(
    ("count", "size", "steps"), [(8, 4, 2), (9, 4, 2), (10, 4, 3), (1, 4, 1), (3, 4, 1)]
)
def test_an_epoch_sees_every_image_once_and_no_batch_of_one(count, size, steps):
    source = Registry.discover([PLUGIN]).source("toy/fixed")
    split = PreparedSplit(np.zeros((count, 4, 4, 3), np.uint8), np.zeros(count, np.int64))
    batches = list(
        Batches(split, source, CPU).shuffled(
            np.arange(count), size, torch.Generator().manual_seed(0), None
        )
    )
    assert len(batches) == steps == steps_per_epoch(count, size)
    assert sorted(row for batch in batches for row in batch.rows.tolist()) == list(range(count))
    assert all(len(batch.rows) > 1 for batch in batches) or count == 1


def test_mirroring_happens_to_about_half_and_only_where_the_task_allows():
    images = torch.zeros(400, 3, 9, 9)
    images[:, :, :, :3] = 1.0
    for mirror, expected in ((True, 0.5), (False, 0.0)):
        out, _ = RandomAffine(mirror)(
            images, torch.zeros(len(images)), torch.Generator().manual_seed(0)
        )
        assert out.shape == images.shape
        flipped = (out[:, 0, 4, -2] > out[:, 0, 4, 1]).float().mean().item()
        assert flipped == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize("adaptation", ["fine_tune", "linear_probe"])
def test_a_cell_records_what_is_reached_without_a_look_at_an_image(tmp_path, adaptation):
    found = measure(tmp_path, adaptations=[adaptation], sizes=[12], references=[])
    cell = next(outcome for place, outcome in found.items() if place[0] == "adapt")
    names = {split: {m.metric for m in cell.metrics if m.split == split} for split in SPLITS}
    assert names["floor"] == names["test"] == names["validation"]
    # The toy's three shades are equally frequent.
    assert value(cell, split="floor") == pytest.approx(1 / 3)


def test_a_cells_record_says_in_what_its_metric_is_counted_and_between_what_it_lies(tmp_path):
    cells = [record for record, _ in measured(tmp_path, references=[]) if record.kind == "adapt"]
    assert {(cell.unit, cell.lowest, cell.highest) for cell in cells} == {("", 0, 1)}
