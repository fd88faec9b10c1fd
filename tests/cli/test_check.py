"""``headwater check``, on the examples that the documentation gives."""

from __future__ import annotations

import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

import headwater as hw
from tests.cli.headwater_command import run_headwater
from tests.facts import missing_facts

MODEL = """import headwater as hw

@hw.source_model("lab/resnet18-xray", architecture="test_resnet", pretrained_on=["chexpert"],
                 domain="medical", task_type="multilabel", images=224_316, licence="mit")
def build():
    return hw.timm_model("test_resnet", weights="xray18.safetensors")
"""

TASK = """import datasets
import headwater as hw

@hw.task("lab/bone-age", domain="medical", type="classification", metric="accuracy")
def load():
    return datasets.load_dataset("imagefolder", data_dir="bones/")
"""


@pytest.mark.slow
def test_a_model_in_seven_lines_passes(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file(timm.create_model("test_resnet", num_classes=14).state_dict(), "xray18.safetensors")
    (tmp_path / "my_models.py").write_text(MODEL)
    answer = run_headwater(capsys, "check", "my_models.py")
    assert answer.status == 0, answer.out
    assert answer.out.startswith("✓ lab/resnet18-xray ")
    figures = ("0.4 M", "224 px", "features (96,)")
    checks = ("builds", "deterministic", "trains", "picklable")
    forgotten = ("xray18.safetensors", "weights=PATH")
    assert missing_facts(answer.out, *figures, *checks, *forgotten) == []
    card = hw.Registry.discover(["my_models.py"]).source("lab/resnet18-xray")
    assert (card.pretrained_on, card.images, card.licence, card.scratch) == (
        ("chexpert",),
        224_316,
        "mit",
        "scratch/test_resnet",
    )


@pytest.mark.slow
def test_a_task_in_six_lines_passes(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for age in ("young", "old"):
        (tmp_path / "bones" / age).mkdir(parents=True)
        for row in range(10):
            Image.new("L", (12, 12), row * 10 + (100 if age == "old" else 0)).save(
                tmp_path / "bones" / age / f"{row}.png"
            )
    (tmp_path / "my_tasks.py").write_text(TASK)
    answer = run_headwater(capsys, "check", "my_tasks.py")
    assert answer.status == 0, answer.out
    line = answer.out.splitlines()[-1]
    assert line.startswith("✓ lab/bone-age ")
    facts = ("classification", "accuracy ↑", "medical", "14 + 6 images", "2 classes")
    checks = ("decodes", "splits disjoint", "same in another process")
    assert missing_facts(line, *facts, *checks) == []


def test_a_failure_says_what_is_wrong_and_what_to_do_and_exits_with_1(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_models.py").write_text(MODEL)
    answer = run_headwater(capsys, "check", "my_models.py")
    assert answer.status == 1
    assert answer.out.splitlines()[0].startswith("✗ lab/resnet18-xray   card complete")
    assert missing_facts(answer.out, "builds", tmp_path / "xray18.safetensors") == []
    assert "1 of 1 failed" in answer.err


def test_a_missing_weights_file_is_worded_alike_whoever_misses_it(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = MODEL.replace("images=224_316", "images=224_316, weights=WEIGHTS")
    (tmp_path / "my_models.py").write_text(f"WEIGHTS = 'xray18.safetensors'\n{named}")
    lines = run_headwater(capsys, "check", "my_models.py").out.splitlines()
    card, builds = (
        next(line for line in lines if f" {name}: " in line) for name in ("card", "builds")
    )
    assert card.partition(": ")[2] == builds.partition(": ")[2]
    assert str(tmp_path) in card


def test_anything_is_checked_by_its_name(capsys):
    answer = run_headwater(capsys, "check", "freeze", "indoor")
    assert answer.status == 0
    assert [line.split()[:2] for line in answer.out.splitlines()] == [
        ["✓", "freeze"],
        ["✓", "indoor"],
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("1 / 0", "ZeroDivisionError"), ("x = 1", "registers nothing")],
)
def test_a_file_that_cannot_be_used_is_an_error(capsys, tmp_path, text, problem):
    (tmp_path / "bad.py").write_text(text)
    answer = run_headwater(capsys, "check", tmp_path / "bad.py")
    assert answer.status == 2 and problem in answer.err


def test_a_file_or_name_that_is_not_there_is_an_error(capsys):
    assert "there is no plugin at none.py" in run_headwater(capsys, "check", "none.py").err
    assert "nothing is called 'linear_prob'" in run_headwater(capsys, "check", "linear_prob").err


BROKEN = """import headwater as hw

@hw.estimator("lab/broken", low=0.0)
def broken(features, labels):
    "Divides by nothing."
    return helper(features)

def helper(features):
    return 1 / (len(features) - len(features))

@hw.estimator("lab/sound", low=0.0, high=1.0)
def sound(features, labels):
    "Half of everything."
    return 0.5
"""


@pytest.mark.parametrize("options", [("--trace", "lab/broken"), ("--debug",)])
def test_the_whole_traceback_of_a_plugin_is_shown(capsys, tmp_path, options):
    path = tmp_path / "mine.py"
    path.write_text(BROKEN)
    answer = run_headwater(capsys, "check", path, *options)
    assert answer.status == 1
    assert "Traceback" in answer.err and "in helper" in answer.err
    assert "ZeroDivisionError" in answer.err
    assert ("lab/sound" in answer.out) == (options == ("--debug",))


def test_without_it_the_command_that_shows_it_is_named(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(BROKEN)
    answer = run_headwater(capsys, "check", path)
    assert (answer.status, "Traceback" in answer.err) == (1, False)
    assert "--trace lab/broken" in answer.out


def test_a_file_that_cannot_be_imported_is_traced_too(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def outer():\n    import not_there\n\nouter()\n")
    answer = run_headwater(capsys, "check", path, "--trace", "lab/any")
    assert answer.status == 1
    assert "in outer" in answer.err and "not_there" in answer.err


def test_a_name_to_trace_that_is_not_there_brings_the_nearest(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(BROKEN)
    answer = run_headwater(capsys, "check", path, "--trace", "lab/brokn")
    assert answer.status == 2 and "Did you mean lab/broken?" in answer.err
