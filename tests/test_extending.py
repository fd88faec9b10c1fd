"""Extending from outside: each kind of thing is one file that no list of Headwater names."""

from __future__ import annotations

import json

import pytest

from tests.cli.headwater_command import run_headwater
from tests.harness.toy import PLUGIN

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


def test_an_analysis_from_outside_conforms(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(ANALYSIS.replace("images == 10", "images"))
    answer = run_headwater(capsys, "check", "mine.py")
    assert answer.status == 0, answer.out
