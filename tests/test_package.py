"""The package as people install it: the wheel in an environment of its own, its types, its layers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from headwater.registry.layers import RUN_MODULES
from tests.harness.toy import keys
from tests.leaderboard.synthetic import grid_store

ROOT = Path(__file__).parents[1]
DEPENDENCIES = sysconfig.get_paths()["purelib"]
GENERIC = ("registry", "plugins", "harness", "leaderboard", "benchmarks", "tests", "perf")
MEASURING = ("torch", "torchvision", "timm", "ray", "datasets", "torchmetrics", "sklearn", "PIL")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds the wheel, beside the dependencies of the one that tests run in."""

    python: Path
    wheel: Path

    @property
    def site(self) -> Path:
        """The folder that the wheel was installed into."""
        query = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
        return Path(self.run("-c", query).stdout.strip())

    def run(
        self, *words: object, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run its Python, without the checkout on its path."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.run(
            [str(self.python), *map(str, words)],
            cwd=cwd or self.python.parent,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=230,
        )


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel, built from the files that a clone has and installed into an empty environment."""
    folder = tmp_path_factory.mktemp("package")
    clone = folder / "clone"
    leftovers = shutil.ignore_patterns(
        ".git", ".venv", "build", "*.egg-info", "*-files", "*.duckdb", ".*_cache", "__pycache__"
    )
    shutil.copytree(ROOT, clone, symlinks=True, ignore=leftovers)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, str(clone)], check=True, capture_output=True, timeout=200)
    (wheel,) = folder.glob("*.whl")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    environment = Environment(venv / "bin" / "python", wheel)
    pip = [sys.executable, "-m", "pip", "--python", str(environment.python), "install", "--no-deps"]
    subprocess.run([*pip, "--no-index", str(wheel)], check=True, capture_output=True)
    (environment.site / "dependencies.pth").write_text(f"{DEPENDENCIES}\n")
    return environment


# -- what is installed -----------------------------------------------------------------------------


def test_the_wheel_holds_one_name_and_all_that_messages_name(installed: Environment) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"headwater"}
    assert {"headwater/py.typed", "headwater/__init__.pyi"} <= set(names)
    for file in (ROOT / "benchmarks").rglob("*.toml"):
        assert f"headwater/{file.relative_to(ROOT)}" in names
    for file in (ROOT / "leaderboard").rglob("*.sql"):
        assert f"headwater/{file.relative_to(ROOT)}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_nothing_generic_can_be_imported(installed: Environment, tmp_path: Path) -> None:
    query = (
        "import headwater, importlib.util as util\n"
        f"print(headwater.__file__, [n for n in {GENERIC!r} if util.find_spec(n)])"
    )
    done = installed.run("-c", query, cwd=tmp_path)
    assert done.stdout.split(" ", 1) == [str(installed.site / "headwater/__init__.py"), "[]\n"]


PROJECT = {
    "plugins/__init__.py": "OWN = 'plugins'\n",
    "harness/__init__.py": "OWN = 'harness'\n",
    "registry.py": "OWN = 'registry'\n",
    "leaderboard.py": "OWN = 'leaderboard'\n",
}
ORDERS = {
    "first": "import headwater as hw\nimport harness, leaderboard, plugins, registry\n",
    "last": "import harness, leaderboard, plugins, registry\nimport headwater as hw\n",
}


@pytest.mark.ray
@pytest.mark.parametrize("order", ORDERS)
def test_a_project_with_folders_of_the_same_names_runs_a_benchmark_on_ray(
    installed: Environment, tmp_path: Path, order: str
) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "mine.py").write_text(
        f"{ORDERS[order]}"
        "import json\n"
        f"report = hw.run({keys()!r}, store='mine.duckdb')\n"
        "own = [module.OWN for module in (harness, leaderboard, plugins, registry)]\n"
        "print(json.dumps([hw.__file__, own, len(report.outcomes), len(report.failures)]))\n"
    )
    done = installed.run("mine.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    home, own, outcomes, failures = json.loads(done.stdout.splitlines()[-1])
    assert Path(home).is_relative_to(installed.site)
    assert own == ["harness", "leaderboard", "plugins", "registry"]
    assert (outcomes, failures) == (2, 0)


def test_the_wheel_runs_benchmarks_by_name(installed: Environment, tmp_path: Path) -> None:
    listed = installed.run("-m", "headwater", "list", "benchmarks", cwd=tmp_path)
    assert "quickstart" in listed.stdout, listed.stderr
    planned = installed.run("-m", "headwater", "run", "quickstart", "--dry-run", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr


# -- layers ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def without_measuring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH in which the libraries that measure are as if not installed."""
    folder = tmp_path_factory.mktemp("blocked")
    for name in MEASURING:
        text = f"raise ModuleNotFoundError('No module named {name}', name={name!r})\n"
        (folder / f"{name}.py").write_text(text)
    return folder


def test_the_measuring_layer_is_what_its_extra_installs() -> None:
    names = {"PIL": "pillow", "sklearn": "scikit-learn"}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = declared["project"]["optional-dependencies"]["run"]
    packages = {re.split(r"[\[<>=!~]", requirement)[0] for requirement in extra}
    assert {names.get(module, module) for module in RUN_MODULES} == packages - {"huggingface_hub"}


READING: Sequence[Sequence[str]] = (
    ("leaderboard",),
    ("leaderboard", "--selectors"),
    ("findings",),
    ("query", "FROM gains LIMIT 1"),
    ("status",),
    ("export", "out"),
    ("list", "adaptations"),
    ("list", "tasks"),
    ("list", "sources"),
    ("--help",),
)


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_what_reads_needs_no_library_that_measures(
    installed: Environment, without_measuring: Path, tmp_path: Path, words: Sequence[str]
) -> None:
    grid_store(tmp_path / "s.duckdb")
    done = installed.run(
        *("-m", "headwater", *words),
        cwd=tmp_path,
        PYTHONPATH=str(without_measuring),
        HEADWATER_STORE="s.duckdb",
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [("run", "quickstart"), ("select", "sklearn/digits", "--sources", "scratch/test_resnet")],
    ids=" ".join,
)
def test_a_missing_layer_is_one_sentence_with_the_command(
    installed: Environment, without_measuring: Path, tmp_path: Path, words: Sequence[str]
) -> None:
    done = installed.run(
        *("-m", "headwater", *words), cwd=tmp_path, PYTHONPATH=str(without_measuring)
    )
    assert done.returncode == 2
    assert "headwater[run]" in done.stderr
    assert "Traceback" not in done.stderr


# -- types -----------------------------------------------------------------------------------------

WELL_TYPED = """
import torch

import headwater as hw

store: hw.Store = hw.Store("s.duckdb")
report = hw.run("spec.toml", store="s.duckdb")
outcomes: int = len(report.outcomes)


@hw.source_model("lab/x", architecture="resnet18", domain="medical")
def build() -> torch.nn.Module:
    return hw.timm_model("resnet18")


card: hw.SourceModel = build
"""

ILL_TYPED = {
    "a name that does not exist": "import headwater as hw\nhw.Storr\n",
    "a keyword that a card does not have": (
        "import headwater as hw\nimport torch\n\n\n"
        "@hw.source_model('lab/x', doman='medical')\n"
        "def build() -> torch.nn.Module:\n    return torch.nn.Identity()\n"
    ),
    "an argument of the wrong type": "import headwater as hw\nhw.Store(3)\n",
    "an argument that a function does not have": "import headwater as hw\nhw.run(1, 2, 3)\n",
}


def checkers(python: Path, cache: Path) -> dict[str, list[str]]:
    """The commands of both type checkers, for the packages that ``python`` sees."""
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", str(cache)]
    return {
        "mypy": [*mypy, "--python-executable", str(python)],
        "pyright": [sys.executable, "-m", "pyright", "--pythonpath", str(python)],
    }


@pytest.mark.parametrize("home", ["checkout", "wheel"])
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_see_the_signatures(
    installed: Environment, tmp_path: Path, checker: str, home: str
) -> None:
    python = installed.python if home == "wheel" else Path(sys.executable)
    cache = installed.wheel.with_name("mypy-cache")  # reading torch takes most of mypy's time
    command = checkers(python, cache)[checker]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    (tmp_path / "pyrightconfig.json").write_text("{}")
    (tmp_path / "well.py").write_text(WELL_TYPED)
    for number, text in enumerate(ILL_TYPED.values()):
        (tmp_path / f"ill{number}.py").write_text(text)
    files = ["well.py", *(f"ill{number}.py" for number in range(len(ILL_TYPED)))]
    done = subprocess.run(
        [*command, *files], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    errors = [line for line in done.stdout.splitlines() if "error" in line]
    wrong = {
        claim
        for number, claim in enumerate(ILL_TYPED)
        if any(f"ill{number}.py" in line for line in errors)
    }
    assert wrong == set(ILL_TYPED), done.stdout
    assert not any("well.py" in line for line in errors), done.stdout
