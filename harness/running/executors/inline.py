"""Runs jobs one after another in this process, for debugging and profiling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from headwater.harness.running.executors.base import Event, Finished, Started
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import Worker
from headwater.registry.discovery import PluginLike


class InlineExecutor:
    """Runs jobs where it is called. A job in this process cannot be ended, so it has no time limit."""

    slots = 1

    def __init__(self, files: Path, plugins: Sequence[PluginLike], threads: int) -> None:
        self.worker = Worker(files, plugins, threads)

    def events(self, schedule: Schedule) -> Iterator[Event]:
        """Run the jobs of a schedule; see ``Executor``."""
        bundle = schedule.take_bundle()
        while bundle:
            yield Started(bundle, 0)
            yield Finished(bundle, 0, self.worker.run_bundle(bundle))
            bundle = schedule.take_bundle(near=bundle[-1])

    def close(self) -> None:
        self.worker.stopping.set()
