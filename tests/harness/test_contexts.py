"""Contexts: hidden labels are hidden, classes are matched by name, and what cannot apply says why."""

import math

import numpy as np
import pytest
import torch

import headwater as hw
from headwater.harness.measure.adaptation_context import make_context
from headwater.harness.measure.loaded_cell import LoadedCell, load_cell
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import Worker
from headwater.leaderboard.store.records import State
from headwater.registry import Registry
from headwater.registry.cards.adaptation import HIDDEN
from tests.facts import missing_facts
from tests.harness.toy import PLUGIN, coloured_squares, keys

SEEN: list[tuple[str, torch.Tensor]] = []


@hw.task("toy/turned", domain="drawings", classes=("light", "grey", "dark"))
def turned():
    """The shades again in other images, their classes listed the other way round."""
    splits = {"train": coloured_squares(45, 3, 6), "test": coloured_squares(30, 3, 7)}
    return {
        name: hw.Split(split.images, [2 - target for target in split.targets])
        for name, split in splits.items()
    }


@hw.adaptation("toy/watches", control="from_scratch", source_labelled=True, needs_source=True)
def watches(context: hw.Context, *, labelled: bool = True) -> hw.Objective:
    """Notes every target that it is shown, and trains the source's head on the source."""
    data = context.source_data
    network = torch.nn.Sequential(context.backbone, data.head)
    SEEN.extend(("look", batch.targets) for batch in context.images())

    def loss(batch, step):
        SEEN.append(("step", batch.targets))
        source = next(data.batches)
        return data.loss(network(source.images), source.targets)

    return hw.Objective(network, [hw.ParameterGroup(list(network.parameters()))], loss=loss)


PLUGINS = [PLUGIN, turned, watches]
CHAIN = "chain[base=toy/random,on=toy/shades]"
BUDGET = {"epochs": 12, "batch_size": 8, "learning_rate": 0.05}


def measured(folder, adaptation, source=CHAIN, task="toy/turned", **changes):
    """(plan, worker, adapt job, its outcome) of one cell; the outcome is None where the planner skipped it."""
    training = {"epochs": 4, "batch_size": 8, "choose": "best"}
    given = {"size": 30, "training": training} | changes
    spec = keys(
        sources=[source],
        tasks=[task],
        adaptations=[adaptation],
        sizes=[given.pop("size")],
        references=[],
        **given,
    )
    made = plan(Spec.of(spec), Registry.discover(PLUGINS))
    (job,) = (
        job for job in made.cells if job.record.adaptation.startswith(adaptation.partition("[")[0])
    )
    worker, outcome = Worker(folder, PLUGINS, 1), None
    if job.id not in made.skipped:
        schedule = Schedule(made.jobs.values())
        while (due := schedule.take()) is not None:
            found = worker.run(due)
            for settled in (found, *schedule.settle(found)):
                outcome = settled if settled.job == job.id else outcome
    return made, worker, job, outcome


def accuracy(outcome, split):
    return next(m.value for m in outcome.metrics if (m.split, m.metric) == (split, "accuracy"))


@pytest.mark.parametrize("labelled", [False, True])
def test_labels_reach_the_method_only_where_it_is_to_see_them(tmp_path, labelled):
    SEEN.clear()
    _, _, _, outcome = measured(tmp_path, f"toy/watches[labelled={str(labelled).lower()}]")
    assert outcome.state is State.DONE
    assert {kind for kind, _ in SEEN} == {"look", "step"}
    shown = {int(target) for _, targets in SEEN for target in targets}
    assert shown == ({0, 1, 2} if labelled else {HIDDEN})


def test_without_labels_the_last_epoch_is_taken_however_poor(tmp_path, monkeypatch):
    kind = type(Registry.discover().task_type("classification").methods)
    original, chosen = kind.measure, {}
    for labelled in ("true", "false"):
        falling = [0.9, 0.2, 0.3, 0.1]

        def measure(self, outputs, targets, falling=falling):
            on_target = len(targets) == 6  # the source's validation images are more
            return {
                **original(self, outputs, targets),
                **({"accuracy": falling.pop(0)} if on_target and falling else {}),
            }

        with monkeypatch.context() as patch:
            patch.setattr(kind, "measure", measure)
            chosen[labelled] = measured(tmp_path / labelled, f"toy/watches[labelled={labelled}]")[
                3
            ].choice["epoch"]
    assert chosen == {"true": 1, "false": 4}


def context(folder, adaptation="source_only", **changes):
    _, worker, job, outcome = measured(folder, adaptation, **changes)
    assert outcome.state is State.DONE, outcome.reason
    cell: LoadedCell = load_cell(job, worker.bench)
    backbone, width = worker.bench.backbone(cell.source, job)
    return (
        cell,
        backbone,
        make_context(
            cell, worker.bench, backbone=backbone, head=torch.nn.Linear(width, 3), steps=12
        ),
    )


def test_classes_listed_in_another_order_are_matched_by_name(tmp_path):
    cell, backbone, given = context(tmp_path, pretraining=BUDGET)
    data = given.source_data
    assert data.shares_classes and data.images == 48
    for _ in range(6):
        batch = next(data.batches)
        bright = batch.images.mean((1, 2, 3))
        order = bright.argsort()
        assert (
            batch.targets[order[0]] == 2 and batch.targets[order[-1]] == 0
        )  # light, grey, dark: the target's order
    backbone.eval()
    with torch.no_grad():
        found = torch.cat(
            [data.head(backbone(batch.images)).argmax(1) for batch in given.images()]
        ).numpy()
    right = (found == cell.prepared.train.targets[cell.chosen.train]).mean()
    assert right > 0.9


def test_source_only_is_right_on_a_target_with_its_classes_turned(tmp_path):
    _, _, _, outcome = measured(tmp_path, "source_only", pretraining=BUDGET, training=BUDGET)
    assert accuracy(outcome, "test") > 0.9
    assert outcome.choice["epoch"] == 12


@pytest.mark.parametrize("name", ["dann", "mmd", "coral"])
def test_other_classes_leave_the_source_its_own_head(tmp_path, name):
    _, _, given = context(tmp_path, name, task="toy/halves", size=20)
    assert not given.source_data.shares_classes
    assert given.source_data.head.out_features == 3
    assert {int(target) for target in next(given.source_data.batches).targets} <= {0, 1, 2}


@pytest.mark.parametrize(
    ("adaptation", "changes", "reason"),
    [
        (
            "mmd[labelled=false]",
            {"task": "toy/halves", "size": 20},
            "mmd on an unlabelled target",
        ),
        (
            "source_only",
            {"task": "toy/halves", "size": 20},
            "source_only on an unlabelled target",
        ),
        (
            "instance_weighting",
            {"task": "toy/halves", "size": 20},
            "instance_weighting needs a target",
        ),
        (
            "coral",
            {"source": "chain[base=toy/random,on=toy/halves+toy/tones]"},
            "coral learns from one source",
        ),
    ],
)
def test_what_cannot_apply_is_skipped_with_the_reason(tmp_path, adaptation, changes, reason):
    _, _, _, outcome = measured(tmp_path, adaptation, **changes)
    assert outcome.state is State.SKIPPED
    assert outcome.reason.startswith(reason)


def test_a_source_without_registered_data_is_skipped_by_the_plan(tmp_path):
    made, _, job, outcome = measured(tmp_path, "dann", source="toy/fixed")
    assert outcome is None
    assert missing_facts(made.skipped[job.id], "dann", "chain", "toy/fixed") == []
    assert not any(needed.kind == "pretrain" for needed in made.jobs.values())


@pytest.mark.parametrize(
    "name",
    ["source_only", "dann[labelled=false]", "mmd", "coral[labelled=false]", "instance_weighting"],
)
def test_the_same_cell_is_the_same_bits_twice(tmp_path, name):
    found = [measured(tmp_path / place, name)[3] for place in ("one", "two")]
    assert all(outcome.state is State.DONE for outcome in found)
    one, two = (
        [(c.epoch, c.metric, c.value) for c in outcome.curves if c.metric != "seconds"]
        for outcome in found
    )
    assert one == two and all(math.isfinite(value) for _, _, value in one)
    assert np.isfinite(accuracy(found[0], "test"))
