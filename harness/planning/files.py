"""Files beside the store: what is too large for a row, named by the job that made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """The folder of a store's files. On a cluster it must be one that every node sees."""

    root: Path

    def checkpoint(self, job: str) -> Path:
        return self.root / "checkpoints" / f"{job}.safetensors"

    def heads(self, job: str) -> Path:
        """The classifiers that a chain's own training leaves, one a task."""
        return self.root / "checkpoints" / f"{job}.heads.safetensors"

    def features(self, job: str, split: str) -> Path:
        """An array of one row an image; ``probabilities`` for the source's own classes on the train split."""
        return self.root / "features" / job / f"{split}.npy"

    def predictions(self, job: str, split: str = "test") -> Path:
        return (
            self.root / "predictions" / (f"{job}.npy" if split == "test" else f"{job}.{split}.npy")
        )

    def snapshot(self, job: str) -> Path:
        return self.root / "snapshots" / f"{job}.pt"

    def log(self, job: str) -> Path:
        return self.root / "logs" / f"{job}.log"

    def relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
