"""Every command and every line of Python that README and the docs show can be typed as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from headwater.harness.cli import cli

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
