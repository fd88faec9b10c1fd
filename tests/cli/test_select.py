"""``headwater select`` as a user meets it: on a folder of their own images, with nothing else set up."""

from __future__ import annotations

import json
import re

import pytest
from PIL import Image

import headwater as hw
from tests.cli.headwater_command import run_headwater
from tests.facts import missing_facts
from tests.harness.toy import PLUGIN, coloured_squares

SOURCES = "scratch/test_resnet,scratch/test_vit,timm/test_resnet.r160_in1k"


@pytest.fixture
def words(tmp_path, monkeypatch):
    """``select`` on a folder of 40 images, 28 of them to train on."""
    split = coloured_squares(40, 2, 7)
    for row, (array, label) in enumerate(zip(split.images, split.targets, strict=True)):
        folder = tmp_path / "squares" / ("dark", "light")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).resize((40, 32)).save(folder / f"{row}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    training = ["--image-size", 32, "--epochs", 3, "--batch-size", 8, "--executor", "inline"]
    return [
        "select",
        "folder/squares",
        "--sources",
        SOURCES,
        "--sizes",
        "12,full",
        *training,
        "--budget",
        "2m",
    ]


def test_a_folder_of_ones_own_images_and_nothing_else_set_up(words, capsys):
    answer = run_headwater(capsys, *words)
    assert answer.status == 0, answer.err
    assert "which source for folder/squares, by search" in answer.out
    assert "scratch/test_resnet" in answer.out and "scratch/test_vit" in answer.out
    assert "headwater adapt folder/squares --source scratch/test_" in answer.out
    assert "--epochs 3 --batch-size 8 --save model.safetensors" in answer.out
    assert re.search(r"failed: timm/test_resnet\.r160_in1k: .*could not be fetched", answer.err)
    again = run_headwater(capsys, *words, "--format", "json")
    assert again.status == 0
    rows = json.loads(again.out)
    assert {row["source"] for row in rows} == {"scratch/test_resnet", "scratch/test_vit"}
    assert all(row["parameters"] > 0 and row["images_per_second"] > 0 for row in rows)
    assert "fine-tune the first" in again.err
    assert hw.Store("headwater.duckdb").sql("SELECT DISTINCT kind FROM runs").rows == [("select",)]


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(words, tmp_path, capsys):
    answer = run_headwater(capsys, *words, "--dry-run", "--max-params", "350k")
    assert answer.status == 0
    assert missing_facts(answer.err, "sources  1", "by search", "2 min") == []
    assert re.search("left out 2: .* 350,000 parameters", answer.err)
    assert missing_facts(answer.err, "12 images", "3 epochs", "no precedent") == []
    assert not (tmp_path / "headwater.duckdb").exists()


def test_mistakes_end_with_a_message(words, capsys):
    for more, said in (
        (["--selector", "serch"], "Did you mean search?"),
        (["--max-params", "few"], "not a number of parameters"),
        (["--metric", "acuracy"], "Its metrics: accuracy"),
        (["--budget", "soon"], "not a duration"),
        (["--licence", "mit"], "no source is left to choose from"),
        (["--sources", "scratch/test_resnett"], "Did you mean scratch/test_resnet"),
        (["--timeout", "5m"], "--timeout needs --executor ray"),
    ):
        answer = run_headwater(capsys, *words, *more)
        assert answer.status == 2, answer.err
        assert said in answer.err
        assert "Traceback" not in answer.err


def test_numbers_of_parameters_are_read_with_their_units():
    from headwater.harness.cli.select_verb import ParameterCount

    texts = ("5M", "300k", "30_000_000", "1.5m", "2B")
    counts = [ParameterCount().convert(text, None, None) for text in texts]
    assert counts == [5e6, 3e5, 3e7, 1.5e6, 2e9]


@pytest.mark.ray
@pytest.mark.slow
def test_one_executor_serves_all_rungs_and_ends_what_the_budget_does_not_reach(
    tmp_path, ray_session
):
    from headwater.harness.running.executors.ray import RayExecutor
    from headwater.harness.running.run import Control

    made = []
    original = RayExecutor.__init__

    def counted(self, *arguments, **more):
        made.append(self)
        original(self, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RayExecutor, "__init__", counted)
        keys = {
            "image_size": 8,
            "training": {"epochs": 2, "batch_size": 4},
            "plugins": [str(PLUGIN)],
            "store": tmp_path / "s.duckdb",
        }
        asked = {
            "selector": "search[estimators=]",
            "sizes": [12],
            "control": Control(),
            "budget": 600.0,
        }
        selection = hw.select("toy/shades", "toy/fixed,toy/random", **asked, **keys)
        assert len(selection.tested) >= 2
        assert len(made) == 1
        slow = {"adaptation": "toy/sleeps", "budget": 20.0}
        spent = hw.select("toy/shades", "toy/fixed,toy/random", **(asked | slow), **keys)
    assert spent.tested == {}
    states = (
        hw.Store(tmp_path / "s.duckdb")
        .sql("SELECT state, reason FROM jobs WHERE adaptation = 'toy/sleeps'")
        .rows
    )
    assert any(state == "interrupted" and "time budget" in reason for state, reason in states)
