"""The command line in this process, as ``main`` runs it: status, stdout, stderr."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from unittest.mock import patch

import pytest

from headwater.harness.cli import main


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str


def run_headwater(capsys: pytest.CaptureFixture[str], *words: object) -> Answer:
    """Run ``headwater WORDS``."""
    capsys.readouterr()
    with (
        patch.object(sys, "argv", ["headwater", *map(str, words)]),
        pytest.raises(SystemExit) as left,
    ):
        main()
    captured = capsys.readouterr()
    return Answer(int(left.value.code or 0), captured.out, captured.err)
