"""Look up what sources cost to fine-tune and to serve, as the store knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from headwater.harness.planning.forecast import forecast
from headwater.harness.selecting.live import Live
from headwater.leaderboard import JobCost, JobState


@dataclass(frozen=True)
class Costs:
    """The costs of a question's sources, from what was recorded; the store is read once."""

    live: Live

    @cached_property
    def _states(self) -> Mapping[str, JobState]:
        return self.live.states()

    @cached_property
    def _history(self) -> Sequence[JobCost]:
        return self.live.history()

    def fine_tuning(self, source: str) -> tuple[float | None, bool]:
        """Return the seconds to fine-tune a source on all images, and True where they were
        measured.

        Where they were not, they are forecast; None where nothing like it was recorded.
        """
        live = self.live
        full = live.rung()
        for seed in live.spec.seeds:
            job = live.cells.get((source, full, seed))
            if job:
                seconds = self._states[job.id].seconds
                if seconds is not None:
                    return seconds, True
                break
        first_cell = live.cells_of([source], full).cells[:1]
        cost = forecast(first_cell, self._history, live.sources)
        return (cost.seconds if cost.known else None), False

    def speed(self, source: str) -> float | None:
        """Return the images a second that a source was seen to go through; None where it was not."""
        jobs = [job for (name, *_), job in self.live.cells.items() if name == source]
        if source in self.live.extractions:
            jobs.append(self.live.extractions[source])
        if not jobs:
            return None
        fastest = self.live.store.result("speed", jobs=[job.id for job in jobs]).rows[0][0]
        return None if fastest is None else float(fastest)
