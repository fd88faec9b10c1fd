"""How long one waits for the command: help, listings, and a benchmark that is already done."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from perf.figures import Figure, interleaved, ratio

COMMANDS = {
    "--help": ["--help"],
    "list sources": ["list", "sources"],
    "list tasks": ["list", "tasks"],
}
ROUNDS = 11
MOST_SECONDS = 0.3
MOST_AGAIN = 2.0
PLUGIN = Path(__file__).with_name("plugin.py")

SPEC = f"""
sources = ["perf/tiny"]
tasks = ["perf/dots"]
adaptations = ["perf/nothing"]
sizes = [12]
seeds = 100
image_size = 8
references = []
plugins = ["{PLUGIN}"]
store = "store.duckdb"
"""

PROBE = """
import sys, headwater.harness.cli
try:
    headwater.harness.cli.main()
finally:
    print("imported:", *(name for name in ("ray", "torch", "timm", "datasets") if name in sys.modules), file=sys.stderr)
"""


def measure() -> list[Figure]:
    return _commands() + _again()


def _command(*words: str, folder: Path | None = None) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} failed: {done.stderr[-500:]}")
        return seconds

    return run


def _commands() -> list[Figure]:
    ways = {"python": _command("-c", "pass")}
    for name, words in COMMANDS.items():
        way = _command("-m", "headwater", *words)
        try:
            way()  # the first call fills caches of listings and byte code
        except RuntimeError as error:
            print(f"  headwater {name} is left out: {str(error).strip().splitlines()[-1]}")
            continue
        ways[name] = way
    seconds = interleaved(ways, ROUNDS)
    figures = [Figure("python -c pass, median", statistics.median(seconds["python"]), "s")]
    for name in list(ways)[1:]:
        figures.append(
            Figure(f"headwater {name}, median", statistics.median(seconds[name]), "s", MOST_SECONDS)
        )
        figures.append(
            Figure(
                f"headwater {name} / python -c pass", ratio(seconds[name], seconds["python"]), "×"
            )
        )
    return figures


def _again() -> list[Figure]:
    """A benchmark of 100 cells, run to its end and then asked for again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "spec.toml").write_text(SPEC)
        _command("-m", "headwater", "run", "spec.toml", "--executor", "inline", folder=folder)()
        again = _command("-m", "headwater", "run", "spec.toml", folder=folder)
        seconds = [again() for _ in range(ROUNDS)]
        imported = _imported(folder)
    assert "ray" not in imported, "Ray was imported although nothing was left to do"
    print(f"  second run: heavy packages imported: {', '.join(imported) or 'none'}")
    return [
        Figure(
            "second run of a finished benchmark of 100 cells, median",
            statistics.median(seconds),
            "s",
            MOST_AGAIN,
        ),
        Figure("packages it imports of ray, torch, timm, datasets", len(imported), "", 0),
    ]


def _imported(folder: Path) -> list[str]:
    words = [sys.executable, "-c", PROBE, "run", "spec.toml"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    line = next(line for line in done.stderr.splitlines() if line.startswith("imported:"))
    return line.split()[1:]
