"""Without the measuring layer: what measures says what to install, what reads works."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headwater.registry.layers import RUN_MODULES
from tests.leaderboard.synthetic import IMAGENET, SCRATCH, done, job, store_of, task

WITHOUT_LAYER = f"""
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {RUN_MODULES!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""

MAIN = """
from headwater.harness.cli import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    jobs = [job("r", SCRATCH, adaptation="from_scratch"), job("a", IMAGENET)]
    outcomes = [done("r", 0.25), done("a", 0.5)]
    store_of(folder / "s.duckdb", jobs, outcomes, tasks=(task("t"),))
    (folder / "table.csv").write_text("model,dataset,acc\na,t,0.5\nb,t,0.6\n")
    return folder


def headwater(folder, *words):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_LAYER + MAIN, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("run", "quickstart"),
        ("select", "sklearn/digits", "--sources", "timm/*"),
        ("adapt", "sklearn/digits", "--source", "scratch/test_resnet", "--save", "n.safetensors"),
        ("check", "sklearn/digits"),
    ],
    ids=lambda words: words[0],
)
def test_what_measures_says_what_to_install(folder, words):
    answer = headwater(folder, *words)
    assert answer.returncode == 2
    assert f"headwater {words[0]}" in answer.stderr
    assert 'pip install "headwater[run]"' in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("leaderboard",),
        ("findings",),
        ("status",),
        ("query", "FROM gains"),
        ("export", "out"),
        (
            "import",
            "table.csv",
            "--source=model",
            "--task=dataset",
            "--metric=accuracy=acc",
            "--store=s.duckdb",
        ),
        ("list", "tasks"),
        ("list", "adaptations"),
        ("list", "estimators"),
        ("list", "benchmarks"),
    ],
    ids=" ".join,
)
def test_what_reads_works(folder, words):
    answer = headwater(folder, *words)
    assert (answer.returncode, "is left out" in answer.stderr) == (0, False), answer.stderr
    assert answer.stdout


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("run", 'hw.run("quickstart")'),
        ("select", 'hw.select("sklearn/digits", sources=["timm/*"])'),
        ("adapt", 'hw.adapt("sklearn/digits", "scratch/test_resnet")'),
        ("load_adapted", 'hw.load_adapted("n.safetensors")'),
    ],
)
def test_from_python_what_measures_says_what_to_install(folder, name, call):
    script = f"""
import headwater as hw
try:
    {call}
except hw.HeadwaterError as error:
    print(type(error).__name__, error)
"""
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT_LAYER + script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert answer.stderr == ""
    assert answer.stdout.startswith(f"MissingLayer headwater.{name} ")
    assert 'pip install "headwater[run]"' in answer.stdout
    assert len(answer.stdout.splitlines()) == 1
