"""``headwater new``."""

from __future__ import annotations

import errno
import os

import pytest

from tests.cli.headwater_command import run_headwater
from tests.facts import missing_facts


def test_the_file_is_called_after_the_name_and_says_what_is_next(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = run_headwater(capsys, "new", "task", "lab/bone-age")
    assert answer.status == 0
    assert (
        answer.out.splitlines()[0] == "wrote bone_age.py"
        and "headwater check bone_age.py" in answer.out
    )
    assert '@hw.task("lab/bone-age"' in (tmp_path / "bone_age.py").read_text()


@pytest.mark.parametrize(
    "kind", ["source", "task", "adaptation", "estimator", "selector", "task-type", "analysis"]
)
def test_what_is_written_is_registered_under_its_name(capsys, tmp_path, kind):
    path = tmp_path / "mine.py"
    assert run_headwater(capsys, "new", kind, "lab/mine", "--out", path).status == 0
    listed = run_headwater(capsys, "list", kind, "lab/*", "--plugin", path, "--format", "csv")
    assert listed.status == 0 and "lab/mine" in listed.out
    assert len(path.read_text().splitlines()) < (90 if kind == "task-type" else 25)


def test_a_file_is_never_overwritten(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("precious")
    answer = run_headwater(capsys, "new", "source", "lab/mine", "--out", path)
    assert answer.status == 2 and "exists already" in answer.err
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("sklearn/digits", "is taken by headwater.plugins.tasks.digits"),
        ("folder/mine", "is taken by headwater.plugins.tasks.image_folder"),
        ("lab/bone age", "cannot be a name"),
        ("lab/net[a=1]", "cannot be a name"),
        ("../evil", "cannot be a name"),
    ],
)
def test_a_name_that_cannot_be_used_writes_nothing(capsys, tmp_path, monkeypatch, name, problem):
    monkeypatch.chdir(tmp_path)
    answer = run_headwater(capsys, "new", "task", name)
    assert answer.status == 2 and problem in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_clear_error(capsys, tmp_path):
    answer = run_headwater(
        capsys, "new", "task", "lab/mine", "--out", tmp_path / "none" / "mine.py"
    )
    assert (
        answer.status == 2
        and missing_facts(answer.err, "cannot be written", os.strerror(errno.ENOENT)) == []
    )


def test_a_name_that_starts_with_a_digit_still_makes_a_function(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_headwater(capsys, "new", "estimator", "lab/2nn").status == 0
    assert "def my_2nn(" in (tmp_path / "my_2nn.py").read_text()
