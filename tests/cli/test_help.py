"""The help of the command line: groups, sections, defaults, examples; and completion in a shell."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from headwater.harness.cli import GROUPS, VERBS
from tests.cli.headwater_command import run_headwater


def headings(text: str) -> list[str]:
    return re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE)


def test_the_verbs_stand_in_groups(capsys):
    answer = run_headwater(capsys, "--help")
    assert headings(answer.out) == ["Options", *GROUPS]
    assert list(GROUPS) == ["Choose", "Measure", "Read", "Share", "Extend"]
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", answer.out, re.MULTILINE)


def test_the_help_imports_no_verb_and_nothing_heavy(tmp_path):
    code = (
        "import sys, headwater.harness.cli as cli; sys.argv[1:] = ['--help']\n"
        "try: cli.main()\n"
        "except SystemExit: print([m for m in sys.modules if m.endswith('_verb') "
        "or m in ('torch', 'ray', 'duckdb', 'pydantic', 'numpy', 'rich')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("verb", "sections"),
    [
        (
            "run",
            [
                *("What to measure", "Training", "Pretraining", "Tuning", "Chains"),
                *("Anatomy", "Resources", "Running", "Examples"),
            ],
        ),
        (
            "select",
            [
                *("Sources to choose from", "Choosing", "What to measure", "Training"),
                *("Pretraining", "Resources", "Running", "Output", "Examples"),
            ],
        ),
        (
            "leaderboard",
            ["Options", "Which cells", "Rows", "Judging selectors", "Output", "Examples"],
        ),
    ],
)
def test_long_helps_have_sections_and_examples(capsys, verb, sections):
    answer = run_headwater(capsys, verb, "--help")
    assert headings(answer.out) == sections
    assert re.search(rf"^  headwater {verb}", answer.out, re.MULTILINE)


def test_defaults_are_shown(capsys):
    out = " ".join(run_headwater(capsys, "run", "--help").out.split())
    for default in ("--epochs VALUE", "[default: 32]", "[default: 0,1]", "[default: missing]"):
        assert default in out


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "new"])
def test_every_help_ends_with_an_example_that_is_read(capsys, verb):
    out = run_headwater(capsys, verb, "--help").out
    examples = re.findall(rf"^  headwater {verb}.*$", out, re.MULTILINE)
    assert examples or verb == "analyse"


def test_verbs_and_options_are_completed_in_a_shell(tmp_path):
    def completions(words: str, position: int) -> list[str]:
        import os

        variables = {
            "_HEADWATER_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
        }
        done = subprocess.run(
            [sys.executable, "-m", "headwater"],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=100,
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completions("headwater lea", 1) == ["leaderboard"]
    assert completions("headwater query --st", 2) == ["--store"]
    assert completions("headwater new sel", 2) == ["selector"]
