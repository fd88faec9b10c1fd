"""Names the files beside a store: what is too large for a row, by the job that made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """The folder of a store's files. On a cluster it must be one that every node sees."""

    root: Path

    # Each method returns the path of one file of a job, whether or not it exists.

    def checkpoint(self, job: str) -> Path:
        return self.root / "checkpoints" / f"{job}.safetensors"

    def heads(self, job: str) -> Path:
        """Return the file of the heads that the training of a chain leaves, one for each task."""
        return self.root / "checkpoints" / f"{job}.heads.safetensors"

    def features(self, job: str, split: str) -> Path:
        """Return the array with one row for each image of a split.

        The split ``probabilities`` has the source's own classes on the train split.
        """
        return self.root / "features" / job / f"{split}.npy"

    def predictions(self, job: str, split: str = "test") -> Path:
        name = f"{job}.npy" if split == "test" else f"{job}.{split}.npy"
        return self.root / "predictions" / name

    def snapshot(self, job: str) -> Path:
        return self.root / "snapshots" / f"{job}.pt"

    def log(self, job: str) -> Path:
        return self.root / "logs" / f"{job}.log"

    def relative(self, path: Path) -> str:
        """Return a path as the store has it: relative to the folder of files."""
        return path.relative_to(self.root).as_posix()
