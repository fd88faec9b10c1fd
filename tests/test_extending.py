"""Extending from outside: each kind of thing is one file that no list of Headwater names."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

import headwater as hw
from headwater.harness.planning.spec import Spec
from headwater.harness.running.run import Control
from headwater.leaderboard.store.records import State
from tests.cli.headwater_command import run_headwater
from tests.harness.toy import PLUGIN, keys

ANALYSIS = '''
import headwater as hw


class SizeView(hw.AnalysisView):
    title = "Size of the weights"
    how_to_read = "A long bar: large weights."
    formula = "sum of |w|"
    tables = (hw.SummaryTable("size", "size of the weights", rows=""),)

    def draw(self, readings):
        figure, (axes,) = hw.plotting.panels()
        hw.plotting.bars(axes, readings.of("size").set_index("subject"), readings.values("size"))
        return figure


@hw.analysis("lab/size", view=SizeView)
def size(networks: hw.Networks, *, scale: float = 1.0, images: int = 512):
    """The sum of a network's absolute weights."""
    assert images == 10, "an option called as a key of [anatomy] is set by the spec"
    readings = []
    for role in ("P-T", "RI-T"):
        state = networks.trained(role).network.parameters()
        total = sum(float(parameter.detach().abs().sum()) for parameter in state)
        readings.append(hw.Reading(role, "size", scale * total))
        readings.append(hw.Reading(role, "scale", scale))
    return readings
'''

SPEC = f"""
sources = ["toy/fixed"]
tasks = ["toy/shades"]
sizes = [12]
seeds = 1
image_size = 8
store = "bench.duckdb"
plugins = ["{PLUGIN}", "mine.py"]
[training]
epochs = 1
batch_size = 4
[anatomy]
analyses = ["lab/size[scale=2.0]"]
images = 10
"""


def test_an_analysis_from_outside_is_run_stored_printed_and_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(ANALYSIS)
    (tmp_path / "spec.toml").write_text(SPEC)
    answer = run_headwater(capsys, "analyse", "spec.toml", "--executor", "inline")
    assert answer.status == 0, answer.err
    assert "size of the weights" in answer.out

    page = tmp_path / "bench-anatomy" / "index.html"
    figure = next(page.parent.rglob("*.svg"))
    assert "Size of the weights" in page.read_text()
    assert "P-T (pre-trained, then trained)" in figure.read_text()
    assert figure.with_suffix(".png").relative_to(page.parent).as_posix() in page.read_text()

    stored = run_headwater(
        capsys, "analyse", "--store", "bench.duckdb", "--plugin", "mine.py", "--format", "json"
    )
    rows = {
        (row["subject"], row["quantity"]): row["mean"]
        for row in json.loads(stored.out)
        if row["analysis"] == "lab/size[scale=2.0]"
    }
    assert set(rows) == {(role, name) for role in ("P-T", "RI-T") for name in ("size", "scale")}
    assert rows["P-T", "scale"] == pytest.approx(2)
    assert rows["P-T", "size"] > 0

    listed = run_headwater(capsys, "list", "analyses", "--plugin", "mine.py", "--format", "json")
    assert "lab/size" in {row["name"] for row in json.loads(listed.out)}


def test_how_an_analysis_is_shown_does_not_count_in_its_identity(tmp_path):
    def code_with(old: str, new: str) -> str:
        file = tmp_path / str(abs(hash(new))) / "mine.py"
        file.parent.mkdir()
        file.write_text(ANALYSIS.replace(old, new))
        card, _ = hw.Registry.discover([file]).analysis("lab/size")
        return card.code

    code = code_with("hw", "hw")
    assert code_with("A long bar: large weights.", "Look at the bars.") == code
    assert code_with("hw.plotting.panels()", "hw.plotting.panels(2)") == code
    assert code_with(".abs().sum()", ".square().sum()") != code


def test_an_analysis_from_outside_conforms(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(ANALYSIS.replace("images == 10", "images"))
    answer = run_headwater(capsys, "check", "mine.py")
    assert answer.status == 0, answer.out


FILE = '''
import time

import numpy as np

import headwater as hw


def _plan(planning):
    for source, task in planning.pairs:
        planning.add(source, task, seed=0, options={"batch": 8})


@hw.job_kind("outside/throughput", plan=_plan, plural="throughputs")
def throughput(job, bench, report):
    """Images a second that a source looks at."""
    import torch

    source = bench.registry.source(job.record.source)
    task = bench.registry.task(job.record.task)
    images = bench.prepared(task, job.image_size).test.images
    network, width = bench.backbone(source, job)
    network = bench.device.place(network).eval()
    batch = job.record.options["batch"]
    began = time.perf_counter()
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            pixels = torch.from_numpy(np.array(images[start : start + batch]))
            network(pixels.permute(0, 3, 1, 2).float() / 255)
            report(1, 1, float("nan"), min(start + batch, len(images)))
    seconds = time.perf_counter() - began
    return hw.JobResult(
        metrics=(
            hw.Measurement("test", "images_per_second", len(images) / seconds),
            hw.Measurement("test", "features", float(width)),
        ),
        images=len(images),
    )


@hw.adaptation("outside/frozen")
def frozen(context):
    """Train the head alone, on features of the frozen source."""
    import torch

    network = torch.nn.Sequential(context.backbone, context.head)
    context.backbone.requires_grad_(False)
    return hw.Objective(network, [hw.ParameterGroup(list(context.head.parameters()))])


def _shades(name, registry):
    count = int(name.stem.removeprefix("outside/shades/"))
    random = np.random.default_rng(count)

    def split(images):
        labels = np.arange(images) % count
        levels = (labels + 1) * (220 // (count + 1))
        noise = random.integers(-9, 9, (images, 8, 8, 3))
        pixels = (levels[:, None, None, None] + noise).clip(0, 255)
        return hw.Split(list(pixels.astype(np.uint8)), labels.tolist())

    @hw.task(str(name), domain="synthetic", classes=tuple("abcdefgh"[:count]))
    def made():
        """Shades of grey, as many as asked for."""
        return {"train": split(24), "test": split(12)}

    return made


@hw.task_type("outside/levels", metrics=(hw.Metric("error", higher_is_better=False, low=0),))
class levels(hw.TaskTypeMethods):
    """One level of brightness an image, from 0 to 1."""

    def encode(self, given):
        return hw.Encoded(np.array(given.targets, dtype=np.float32)[:, None])

    def outputs(self, targets, classes):
        return 1

    def head(self, features, outputs):
        from torch import nn

        return nn.Linear(features, outputs)

    def loss(self, outputs, targets):
        return ((outputs - targets) ** 2).mean()

    def measure(self, predictions, targets):
        return {"error": float((predictions - targets).abs().mean())}

    def picture(self, image, target, prediction, classes):
        return [(f"{target[0]:.2f}: {prediction[0]:.2f}", image)]


@hw.task("outside/skies", domain="synthetic", type="outside/levels")
def skies():
    """How bright a plain image is."""

    def split(count, seed):
        brightness = np.random.default_rng(seed).uniform(0, 1, count)
        images = [np.full((8, 8, 3), value * 255, np.uint8) for value in brightness]
        return hw.Split(images, brightness.tolist())

    return {"train": split(24, 0), "test": split(12, 1)}


shades = hw.Provider(
    prefix="outside/shades",
    kind=hw.Kind.TASK,
    form="outside/shades/COUNT",
    summary="Shades of grey.",
    resolve=_shades,
)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "outside.py"
    file.write_text(textwrap.dedent(FILE))
    return file


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "outside.duckdb"


def run(plugin: Path, store: Path, **changes: object):
    return hw.run(
        keys(**changes),
        plugins=[plugin],
        store=store,
        control=Control(executor="inline"),
    )


def test_a_job_kind_is_planned_run_and_stored(plugin: Path, store: Path) -> None:
    report = run(plugin, store, adaptations=[], jobs=["outside/throughput"])
    assert [outcome.state for outcome in report.outcomes] == [State.DONE]
    sql = (
        "SELECT kind, source, task, state, metric.metric AS metric, metric.value "
        "FROM jobs JOIN metrics AS metric USING (job) ORDER BY metric.metric"
    )
    rows = hw.Store(store).sql(sql).rows
    assert {row[:4] for row in rows} == {("outside/throughput", "toy/fixed", "toy/shades", "done")}
    values = {metric: value for *_, metric, value in rows}
    assert values["features"] == 6 and values["images_per_second"] > 0
    assert not run(plugin, store, adaptations=[], jobs=["outside/throughput"]).outcomes


def test_a_job_kind_stands_beside_cells_and_chains(plugin: Path, store: Path) -> None:
    chain = "chain[base=toy/fixed,on=toy/halves]"
    report = run(plugin, store, sources=[chain], jobs="outside/*", references=[])
    assert not report.failures
    made = hw.plan(
        Spec.of(keys(sources=[chain], jobs=["outside/throughput"], plugins=[PLUGIN, plugin]))
    )
    throughput = next(job for job in made.jobs.values() if job.kind == "outside/throughput")
    assert [made.jobs[need].kind for need in throughput.needs] == ["pretrain"]
    assert throughput in made.goals and throughput not in made.cells


def test_a_bundled_kind_is_not_asked_for_by_name(plugin: Path, store: Path) -> None:
    with pytest.raises(hw.HeadwaterError, match="features"):
        run(plugin, store, jobs=["features"])


def test_a_job_kind_that_returns_something_else_fails_with_its_name(
    tmp_path: Path, store: Path
) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(
        "import headwater as hw\n\n\n"
        "def _plan(planning):\n"
        "    for source, task in planning.pairs:\n"
        "        planning.add(source, task)\n\n\n"
        '@hw.job_kind("outside/wrong", plan=_plan)\n'
        "def wrong(job, bench, report):\n"
        "    return 3\n"
    )
    report = run(file, store, adaptations=[], jobs=["outside/wrong"])
    assert [outcome.error for outcome in report.failures] == ["BadPlugin"]
    assert "outside/wrong" in report.failures[0].reason


def test_an_adaptation_and_a_provider_from_outside(plugin: Path, store: Path) -> None:
    report = run(plugin, store, tasks=["outside/shades/4"], adaptations=["outside/frozen"])
    assert not report.failures
    sql = "SELECT task, adaptation FROM cells WHERE source = 'toy/fixed'"
    assert hw.Store(store).sql(sql).rows == [("outside/shades/4", "outside/frozen")]


def test_a_task_type_from_outside(plugin: Path, store: Path) -> None:
    report = run(plugin, store, tasks=["outside/skies"])
    assert not report.failures
    sql = "SELECT metric, sign, value FROM cells WHERE source = 'toy/fixed'"
    [(metric, sign, value)] = hw.Store(store).sql(sql).rows
    assert (metric, sign) == ("error", -1) and 0 <= value < 1


def test_job_kinds_are_listed_and_checked(plugin: Path) -> None:
    registry = hw.Registry.discover([plugin])
    assert registry.problems == []
    kind = registry.job_kind("outside/throughput")
    assert (kind.role, kind.plural) == ("goal", "throughputs")
    names = [check.name for check in hw.conformance.checks(kind, registry)]
    assert names == ["runs"]
    for check in hw.conformance.checks(kind, registry):
        check()
