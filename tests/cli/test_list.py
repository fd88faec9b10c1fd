"""``headwater list``."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from tests.cli.headwater_command import run_headwater
from tests.facts import missing_facts
from tests.rendered import PLUGIN


@pytest.mark.parametrize(
    "kind", ["sources", "tasks", "adaptations", "estimators", "selectors", "task-types", "domains"]
)
def test_every_kind_is_listed_by_plural_and_singular(capsys, kind):
    many, one = (
        run_headwater(capsys, "list", word, "--format", "json") for word in (kind, kind[:-1])
    )
    assert many.status == 0 and many.out == one.out
    assert isinstance(json.loads(many.out), list)


def test_a_kind_that_is_none_names_the_nearest(capsys):
    answer = run_headwater(capsys, "list", "adaptions")
    assert answer.status == 2
    assert "Did you mean adaptations?" in answer.err and "task-types" in answer.err


def test_tasks_show_their_facts(capsys):
    rows = {
        row["name"]: row
        for row in json.loads(run_headwater(capsys, "list", "tasks", "--format", "json").out)
    }
    digits = rows["sklearn/digits"]
    assert (digits["domain"], digits["metric"], digits["classes"], digits["images"]) == (
        "characters",
        "accuracy",
        10,
        1200,
    )


def test_metrics_are_shown_with_their_direction_and_widths_by_their_name(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    out = run_headwater(capsys, "list", "tasks", "rendered/", "--plugin", PLUGIN).out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    for words in (
        "multilabel multilabel synthetic auroc ↑ 3 labels 24",
        "regression regression synthetic mae ↓ 24",
    ):
        assert any(row.startswith(f"rendered/{words}") for row in rows), out
    out = run_headwater(capsys, "list", "task-types", "keypoints").out
    assert "nme ↓, pck ↑, auc ↑" in out and out.split()[:2] == ["1", "task-type"]
    (row,) = json.loads(
        run_headwater(capsys, "list", "tasks", "sklearn/digits", "--format", "json").out
    )
    assert (row["metric"], row["classes"]) == ("accuracy", 10)


def test_adaptations_show_the_taxonomy(capsys):
    rows = {
        row["name"]: row
        for row in json.loads(run_headwater(capsys, "list", "adaptations", "--format", "json").out)
    }
    assert list(rows["lora"]) == ["name", "approach", "setting", "on", "options", "summary"]
    assert [rows["progressive"][key] for key in ("approach", "setting", "on", "options")] == [
        "network",
        "inductive",
        "images",
        "columns=, head_scale=1.0",
    ]
    assert rows["linear_probe"]["on"] == "features"


def test_a_table_shows_some_sources_and_says_how_to_see_the_rest(capsys):
    answer = run_headwater(capsys, "list", "sources")
    assert sum("timm/" in line for line in answer.out.splitlines()) == 40
    assert "40 of 1," in answer.err and "--limit 0" in answer.err
    assert "scratch/ARCHITECTURE" in answer.err


def test_other_formats_hold_all_sources(capsys):
    rows = list(
        csv.DictReader(io.StringIO(run_headwater(capsys, "list", "sources", "--format", "csv").out))
    )
    assert len(rows) > 1500 and rows[0].keys() >= {
        "name",
        "domain",
        "pretrained_on",
        "images",
        "licence",
    }


def test_globs_parts_and_lists_narrow(capsys):
    def names(*patterns):
        return [
            row["name"]
            for row in json.loads(
                run_headwater(capsys, "list", "sources", *patterns, "--format", "json").out
            )
        ]

    assert names("timm/test_vit.*") == ["timm/test_vit.r160_in1k"] == names("test_vit.r160")
    assert names("timm/test_vit.*,timm/test_nfnet.*") == [
        "timm/test_vit.r160_in1k",
        "timm/test_nfnet.r160_in1k",
    ]
    assert names("scratch/test_vit") == ["scratch/test_vit"]
    assert len(names("timm/test_*", "--limit", "2")) == 2


def test_a_pattern_that_matches_nothing_is_an_error(capsys):
    answer = run_headwater(capsys, "list", "sources", "timm/nothing*")
    assert (answer.status, answer.out) == (
        2,
        "",
    ) and "No source matches 'timm/nothing*'" in answer.err


def test_plugins_are_listed_and_broken_ones_reported_on_stderr(capsys, tmp_path):
    (tmp_path / "bad.py").write_text("import not_there")
    (tmp_path / "good.py").write_text(
        "import headwater as hw\nlunar = hw.Domain(name='lunar', within=('aerial',))\n"
    )
    answer = run_headwater(
        capsys, "list", "domains", "lunar", "--plugin", tmp_path, "--format", "json"
    )
    assert [(row["name"], row["within"]) for row in json.loads(answer.out)] == [("lunar", "aerial")]
    assert answer.status == 0
    named = (f"plugin {tmp_path / 'bad.py'}", "ModuleNotFoundError", "'not_there'")
    assert missing_facts(answer.err, *named) == []


HEAVY = ("torch", "timm", "ray", "datasets", "sklearn", "pandas", "duckdb", "numpy", "pyarrow")

PROGRAM = f"""
import sys, headwater.harness.cli
sys.argv = ["headwater", "list", sys.argv[1], "--limit", "3"]
try:
    headwater.harness.cli.main()
except SystemExit as left:
    assert not left.code
print([name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize("kind", ["sources", "tasks", "adaptations"])
def test_listing_imports_nothing_heavy(kind):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "[]"
