"""The actor that runs in a Ray worker process. Imported only once Ray is needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import ray

from headwater.harness.planning.bundle import Bundle
from headwater.harness.running.worker import JobProgress, Worker
from headwater.leaderboard.store.records import Outcome
from headwater.registry.discovery import PluginLike


class WorkerActor:
    """A warm worker. ``progress`` and ``stop`` have their own thread, so they answer during a job."""

    def __init__(
        self, folder: str, files: str, plugins: Sequence[PluginLike], threads: int
    ) -> None:
        # Paths in names are relative to the folder in which the user typed them. A node of a
        # cluster may not have that folder.
        with contextlib.suppress(FileNotFoundError):
            os.chdir(folder)
        self.worker = Worker(Path(files), plugins, threads)

    def run(self, bundle: Bundle) -> list[Outcome]:
        return self.worker.run_bundle(bundle)

    @ray.method(concurrency_group="watch")
    def progress(self) -> JobProgress:
        return self.worker.current

    @ray.method(concurrency_group="watch")
    def stop(self) -> None:
        self.worker.stopping.set()
