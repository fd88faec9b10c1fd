"""Every task type, end to end: trained, measured, kept; and what one type leaves to another, through chains."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import headwater as hw
from headwater.harness.conformance.templates import TEMPLATES
from headwater.harness.measure.adapting import build_objective
from headwater.harness.measure.backbone import build
from headwater.harness.measure.device import Device
from headwater.harness.measure.loaded_cell import load_cell
from headwater.harness.measure.workbench import Workbench
from headwater.harness.planning.files import Files
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import SOURCE_SEED, Spec
from headwater.harness.running.run import Control
from headwater.leaderboard.store.records import State
from tests import rendered
from tests.cli.headwater_command import run_headwater

TYPES = (
    "classification",
    "multilabel",
    "regression",
    "segmentation",
    "detection",
    "keypoints",
    "depth",
)
INLINE = Control(executor="inline")
BASE = "scratch/test_resnet"


def chain(*types: str) -> str:
    return f"chain[base={BASE},on={'+'.join(f'rendered/{name}' for name in types)}]"


CHAINS = {  # source: the types that it is adapted to
    chain("segmentation"): [name for name in TYPES if name != "segmentation"],
    chain("classification"): ["depth"],
    chain("detection"): ["keypoints"],
    chain("classification", "depth"): ["segmentation"],
}


def spec(source: str, types: list[str]) -> dict[str, object]:
    return {
        "sources": [source],
        "tasks": [f"rendered/{name}" for name in types],
        "adaptations": ["fine_tune"],
        "sizes": [12],
        "seeds": 1,
        "image_size": 32,
        "training": {"epochs": 1, "batch_size": 4},
        "pretraining": {"epochs": 1, "batch_size": 12},
        "references": ["scratch", "base"],
        "plugins": [str(rendered.PLUGIN)],
    }


@pytest.fixture(scope="module")
def registry():
    return hw.Registry.discover([rendered.PLUGIN])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """All chains on their targets, beside training from scratch."""
    path = tmp_path_factory.mktemp("types") / "s.duckdb"
    for source, types in CHAINS.items():
        report = hw.run(spec(source, types), store=path, control=INLINE)
        assert [
            (outcome.reason, outcome.error)
            for outcome in report.outcomes
            if outcome.state is not State.DONE
        ] == []
    return hw.Store(path)


@pytest.mark.parametrize("name", TYPES)
def test_a_cell_of_each_type_measures_all_its_metrics_and_keeps_its_predictions(
    store, registry, name
):
    task_type = registry.task_type(name)
    cells = store.sql(
        f"SELECT job, adaptation, metric FROM cells WHERE task = 'rendered/{name}'"
    ).rows
    assert {(how, metric) for _, how, metric in cells} == {
        ("fine_tune", task_type.metrics[0].name),
        ("from_scratch", task_type.metrics[0].name),
    }
    for job, *_ in cells:
        measured = store.sql(f"SELECT split, metric, value FROM metrics WHERE job = '{job}'").rows
        names = {metric.name for metric in task_type.metrics}
        assert {
            split: {metric for at, metric, _ in measured if at == split}
            for split in ("test", "validation")
        } == {
            "test": names,
            "validation": names,
        }
        assert np.isfinite([value for *_, value in measured]).all()
        assert len(np.load(Files(store.files).predictions(job))) == rendered.TEST


def test_gains_follow_each_types_own_direction(store, registry):
    rows = store.sql("SELECT task, metric, value, reference_value, gain_abs FROM gains").rows
    assert {task for task, *_ in rows} == {f"rendered/{name}" for name in TYPES}
    for task, metric, value, reference, gain in rows:
        sign = registry.task_type(task.removeprefix("rendered/")).metric(metric).sign
        assert gain == pytest.approx(sign * (value - reference))
    assert {
        sign for (sign,) in store.sql("SELECT DISTINCT sign FROM jobs WHERE kind = 'adapt'").rows
    } == {1, -1}


def test_scenarios_of_chains_across_types_come_from_cards(store):
    found = store.sql(
        "SELECT DISTINCT source, task, domain_relation, cross_task_type, multi_source FROM gains"
    ).rows
    assert {(source, task) for source, task, *_ in found} == {
        (s, f"rendered/{name}") for s, names in CHAINS.items() for name in names
    }
    assert {relation for _, _, relation, *_ in found} == {"within-domain"}
    assert all(
        crosses for *_, crosses, _ in found
    )  # the joint one too: neither of its tasks is a segmentation
    assert {source for source, *_, joint in found if joint} == {chain("classification", "depth")}


def test_the_epoch_of_a_joint_chain_is_chosen_by_metrics_without_their_units(store):
    rows = store.sql(
        "SELECT j.task, m.metric, m.value FROM metrics m JOIN jobs j USING (job) WHERE j.kind = 'pretrain'"
    ).rows
    found = {
        metric: value
        for task, metric, value in rows
        if task == "rendered/classification+rendered/depth"
    }
    assert found["mean"] == pytest.approx(
        (found["rendered/classification"] - math.log(-found["rendered/depth"])) / 2
    )


def test_f6_counts_the_targets_that_gain_from_another_type_as_a_hand_does(store):
    """From the raw table of metrics: those of single chains, against the cell from scratch of the same target."""
    raw = "SELECT j.source, j.task, j.sign * m.value FROM jobs j JOIN metrics m USING (job, metric) WHERE j.kind = 'adapt' AND split = 'test'"
    values = {(source, task): value for source, task, value in store.sql(raw).rows}
    gains: dict[str, list[float]] = {}
    for (source, task), value in values.items():
        if source not in (BASE, chain("classification", "depth")):
            gains.setdefault(task, []).append(value - values[BASE, task])
    assert sorted(map(len, gains.values())) == [1, 1, 1, 1, 2, 2]
    (answer,) = hw.findings.examine(store, ["F6"])
    assert answer.parts[0].by_target == pytest.approx(
        {task: float(np.mean(found)) for task, found in gains.items()}
    )
    families = dict(store.sql("SELECT name, family FROM tasks").rows)
    of_family: dict[str, list[float]] = {}
    for task, found in gains.items():
        of_family.setdefault(families[task], []).append(float(np.mean(found)))
    assert answer.parts[0].value == pytest.approx(
        np.mean([np.mean(found) > 0 for found in of_family.values()])
    )
    assert (answer.parts[0].targets, answer.parts[0].cells) == (6, 8)


@pytest.mark.parametrize(
    ("source", "target"),
    [(chain("segmentation"), "classification"), (chain("classification", "depth"), "segmentation")],
)
def test_the_target_begins_with_the_weights_that_the_other_type_left(
    store, registry, source, target
):
    made = plan(Spec.of(spec(source, [target]), store=str(store.path)), registry)
    (pretraining,) = (job for job in made.jobs.values() if job.kind == "pretrain")
    (cell,) = (job for job in made.cells if job.record.source == source)
    files = Files(store.files)
    left = load_file(files.checkpoint(pretraining.id))
    network = (
        build_objective(load_cell(cell, bench := Workbench(registry, files, Device("cpu"))), bench)
        .network[0]
        .network
    )
    assert network.state_dict().keys() == left.keys()
    assert all(torch.equal(tensor, left[name]) for name, tensor in network.state_dict().items())
    before = build(registry.source(BASE), 32, SOURCE_SEED).network.state_dict()
    moved = [
        name
        for name, tensor in left.items()
        if tensor.is_floating_point() and not torch.equal(tensor, before[name])
    ]
    assert len(moved) == sum(
        tensor.is_floating_point() for tensor in left.values()
    )  # weights and batch norm's statistics, all of them


def test_a_further_type_is_planned_trained_ranked_and_drawn_as_it_comes_from_a_plugin(
    tmp_path, capsys
):
    """What ``headwater new task-type`` writes: nothing of the harness knows of it."""
    file = tmp_path / "count.py"
    file.write_text(
        TEMPLATES["task-type"].replace("NAME", "lab/count").replace("FUNCTION", "count")
    )
    changes = {
        "tasks": ["lab/count-example"],
        "sizes": ["full"],
        "plugins": [str(rendered.PLUGIN), str(file)],
    }
    report = hw.run(
        spec(chain("classification"), []) | changes, store=tmp_path / "s.duckdb", control=INLINE
    )
    assert {outcome.state for outcome in report.outcomes} == {State.DONE}
    assert set(report.store.sql("SELECT task, metric, sign FROM cells").rows) == {
        ("lab/count-example", "error", -1)
    }
    ((value, reference, gain, job),) = report.store.sql(
        "SELECT value, reference_value, gain_abs, job FROM gains LIMIT 1"
    ).rows
    assert gain == pytest.approx(reference - value)
    rows = json.loads(
        run_headwater(capsys, "leaderboard", "--store", report.store.path, "--format", "json").out
    )
    assert {row["source"]: row["gain"] for row in rows}[chain("classification")] == pytest.approx(
        gain
    )
    picture = run_headwater(
        capsys, "info", job, "--picture", tmp_path / "p.png", "--store", report.store.path
    )
    assert (picture.out, (tmp_path / "p.png").is_file()) == (
        f"wrote {tmp_path / 'p.png'}: 8 of 30 test images\n",
        True,
    )


PAGE = Path(__file__).parents[2] / "docs" / "task-types" / "index.md"


@pytest.mark.parametrize("name", TYPES)
def test_the_page_of_task_types_has_each_with_its_metrics_and_their_directions(registry, name):
    card = registry.task_type(name)
    (row,) = (
        line
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| [{name}]({name}.md) |")
    )
    assert row.split(" | ")[4] == ", ".join(
        f"`{metric.name}` {'↑' if metric.higher_is_better else '↓'}" for metric in card.metrics
    )


def test_every_method_of_the_contract_is_on_the_page_of_task_types():
    text = PAGE.read_text(encoding="utf-8")
    for method in vars(hw.TaskTypeMethods):
        assert method.startswith("_") or f"`{method}" in text, (
            f"docs/task-types/index.md says nothing of {method}"
        )


def test_the_pages_own_type_keeps_its_word(tmp_path):
    """Angles: turned stripes, on which the example is checked, and measured against the definition written out."""
    (tmp_path / "angle.py").write_text(
        re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    )
    registry = hw.Registry.discover([tmp_path / "angle.py"])
    card = registry.task_type("lab/angle")
    degrees = [float(turn) for turn in range(0, 360, 30)]
    y, x = np.mgrid[-16:16, -16:16]
    images = [
        (127 + 100 * np.tanh(x * np.cos(a) + y * np.sin(a))).astype(np.uint8)
        for a in np.deg2rad(degrees)
    ]
    task = hw.Task(
        name="lab/turned",
        type="lab/angle",
        load=lambda: {"train": hw.Split(images, degrees), "test": hw.Split(images, degrees)},
    )
    made = hw.conformance.checks(card, registry, [task])
    assert {
        result.check.name: result.message
        for result in hw.conformance.examine(made)
        if not result.passed
    } == {}
    said, true = np.array([10.0, 350, 180]), np.array([350.0, 10, 90])
    predictions, targets = (
        torch.tensor([[np.cos(a), np.sin(a)] for a in np.deg2rad(turns)]) for turns in (said, true)
    )
    assert card.methods.measure(predictions, targets)["degrees"] == pytest.approx(
        (20 + 20 + 90) / 3
    )
