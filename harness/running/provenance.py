"""Records which code, packages and machine a run used."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from headwater.harness.planning.spec import Spec
from headwater.leaderboard.store.records import RunRecord, new_run_id

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "datasets",
    "ray",
    "duckdb",
    "numpy",
    "scikit-learn",
    "torchmetrics",
)


def new_run(spec: Spec, kind: str = "run") -> RunRecord:
    """Return the record of a run that begins now; ``kind`` is the verb that it is part of."""
    now = datetime.now(UTC).replace(tzinfo=None)
    commit, dirty = _git()
    return RunRecord(
        run=new_run_id(now),
        name=spec.name,
        spec=spec.model_dump(mode="json"),
        started=now,
        version=importlib.metadata.version("headwater"),
        git_commit=commit,
        git_dirty=dirty,
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        machine={
            "node": platform.node(),
            "system": platform.platform(),
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        },
        gpu=_gpu(),
        kind=kind,
    )


def _git() -> tuple[str | None, bool | None]:
    """Return Headwater's commit and whether files differ from it; None, None outside a checkout."""
    home = Path(__file__).resolve().parents[2]
    if not (home / ".git").exists():
        return None, None
    try:
        commit, changes = (
            subprocess.run(
                ["git", *words], cwd=home, capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit, bool(changes)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor()


def _gpu() -> str | None:
    """Return the names of the GPUs, from nvidia-smi: this process imports no torch; None without."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ", ".join(listed.stdout.split("\n")).strip(", ") or None
