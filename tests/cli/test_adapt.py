"""``headwater adapt`` as a user meets it."""

from __future__ import annotations

import json

import pytest

import headwater as hw
from tests.cli.headwater_command import run_headwater
from tests.harness.toy import PLUGIN


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training = ["--image-size", 8, "--epochs", 2, "--batch-size", 4, "--executor", "inline"]
    return [
        "adapt",
        "toy/shades",
        "--source",
        "toy/fixed",
        "--plugin",
        PLUGIN,
        *training,
        "--save",
        "m.safetensors",
    ]


def test_it_saves_the_network_and_says_what_it_is_worth_and_how_to_use_it(words, tmp_path, capsys):
    answer = run_headwater(capsys, *words)
    assert answer.status == 0
    assert "fine_tune · 60 images · seed 0" in answer.out
    assert "saved m.safetensors (3 classes, 8 px" in answer.err
    assert 'headwater.load_adapted("m.safetensors")' in answer.err
    again = run_headwater(capsys, *words, "--format", "json")
    assert "was there already" in again.err
    rows = {row["split"]: row for row in json.loads(again.out)}
    assert set(rows) == {"validation", "test"}
    assert rows["test"]["low"] < rows["test"]["value"] < rows["test"]["high"]
    assert (rows["validation"]["images"], rows["test"]["images"]) == (12, 30)
    facts = hw.load_adapted("m.safetensors", plugins=[PLUGIN]).facts
    assert facts.command == f"headwater {' '.join(map(str, words))}"
    assert facts.training["epochs"] == 2


def test_mistakes_end_with_a_message(words, tmp_path, capsys):
    (tmp_path / "m.safetensors").write_text("my thesis")
    answer = run_headwater(capsys, *words)
    assert (answer.status, answer.out) == (1, "")
    assert "m.safetensors is there already" in answer.err and "--force" in answer.err
    for more, said in (
        (["--source", "toy/fixd"], "Did you mean toy/fixed?"),
        (["--size", "many"], "sizes[0] = 'many'"),
        (["--adaptation", "linear_probe"], "leaves no network"),
        (["--timeout", "5m"], "--timeout needs --executor ray"),
    ):
        answer = run_headwater(capsys, *words, *more)
        assert answer.status == 2, answer.err
        assert said in answer.err
