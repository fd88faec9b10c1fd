"""Every command and every line of Python that README and the docs show can be typed as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import click
import numpy as np
import pytest
from PIL import Image

from headwater.harness.cli import cli, main
from tests import rendered

HOME = Path(__file__).resolve().parents[1]
PAGES = [HOME / "README.md", HOME / "CONTRIBUTING.md", *sorted((HOME / "docs").rglob("*.md"))]
SYNOPSIS = re.compile(r"\[OPTIONS\]|\bSPEC\b|\bJOB\b|\bFILE\b")


def blocks(page: Path) -> Iterator[str]:
    """Yield the text of a page's code blocks, fenced or indented, less those in a language."""
    fenced = False
    language = ""
    block: list[str] = []
    for line in [*page.read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("```"):
            if fenced and language in ("", "sh", "console", "bash"):
                yield "\n".join(block)
            fenced, language, block = not fenced, line[3:].strip(), []
        elif fenced or line.startswith("    "):
            block.append(line.removeprefix("    ") if not fenced else line)
        elif block:
            yield "\n".join(block)
            block = []


def commands(page: Path) -> list[str]:
    """Return the ``headwater …`` commands of a page, in its order, without prompts and comments."""
    found = []
    for block in blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
            if command.startswith("headwater ") and not SYNOPSIS.search(command):
                found.append(command)
    return found


def words_of(command: str) -> list[str]:
    """Split a command as a shell does, comments dropped, less its first word."""
    return shlex.split(command, comments=True)[1:]


COMMANDS = {
    f"{page.relative_to(HOME)}: {command}": command for page in PAGES for command in commands(page)
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_every_command_that_is_shown_can_be_parsed(command: str) -> None:
    verb, *words = words_of(command)
    context = click.Context(cli, info_name="headwater")
    found = cli.get_command(context, verb)
    assert found is not None, f"there is no verb {verb}"
    found.make_context(verb, words, parent=context)


def test_pages_show_commands() -> None:
    assert len(COMMANDS) > 50


# -- README in its own order -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as README supposes it: images of bones, birds, fish and reefs, roads with masks, and weights."""
    import timm
    from safetensors.torch import save_file

    here = tmp_path_factory.mktemp("readme")
    random = np.random.default_rng(0)
    for task in ("bones", "birds", "fish", "reef"):
        for label in ("left", "right"):
            (here / task / label).mkdir(parents=True)
            for number in range(20):
                pixels = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(here / task / label / f"{number}.png")
    rendered.write_parquet(here / "roads", "segmentation")
    save_file(timm.create_model("resnet18").state_dict(), here / "xray18.safetensors")
    (here / "my_models.py").write_text(source_of_the_readme())
    return here


def python_blocks(page: Path) -> list[str]:
    """Return the Python that a page shows."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def source_of_the_readme() -> str:
    """Return README's ``my_models.py``."""
    return next(block for block in python_blocks(HOME / "README.md") if "source_model" in block)


CHEAPER = {
    "run": ["--dry-run"],
    "select": [
        "--sources",
        "lab/*",
        "--budget",
        "5s",
        "--image-size",
        "32",
        "--executor",
        "inline",
    ],
}
"""What is added to README's commands, so that they take seconds: later options win."""


@pytest.mark.slow
def test_the_readme_runs_in_its_own_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    demo = ["run", "quickstart", "--sizes", "50", "--epochs", "1", "--pretraining-epochs", "1"]
    assert run([*demo, "--estimators", "knn", "--executor", "inline"]) == 0
    shown = commands(HOME / "README.md")
    assert len(shown) > 10
    query = next(command for command in shown if command.startswith("headwater query"))
    assert run(words_of(query)) == 0, "one store in the folder is found without being named"
    for command in shown:
        words = words_of(command)
        if "domains.duckdb" in words:
            shutil.copy("quickstart.duckdb", "domains.duckdb")
        elif words[0] in ("leaderboard", "query"):
            Path("domains.duckdb").unlink(missing_ok=True)
            words += ["--store", "quickstart.duckdb"]
        assert run([*words, *CHEAPER.get(words[0], [])]) == 0, command
    for block in python_blocks(HOME / "README.md"):
        if "Store(" in block:
            exec(block, names := {})
            assert len(names["gains"]) > 0


def run(words: list[str]) -> int:
    """Run ``headwater WORDS`` in this process; return its exit status."""
    with mock.patch.object(sys, "argv", ["headwater", *words]), pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)
