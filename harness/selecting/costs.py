"""What sources cost to fine-tune and to serve, as the store knows it."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.harness.planning.forecast import forecast
from headwater.harness.planning.job import Job
from headwater.harness.selecting.live import Live
from headwater.harness.selecting.rungs import Rung


@dataclass(frozen=True)
class Costs:
    """What the sources cost to fine-tune and to serve, from what was recorded."""

    live: Live

    def fine_tuning(self, source: str) -> tuple[float | None, bool]:
        """Seconds on all images, and whether they were measured; None where nothing like it was recorded."""
        live, full = self.live, Rung(self.live.images, self.live.spec.training.epochs)
        states = live.states()
        done = [
            live.cells[source, full, seed]
            for seed in live.spec.seeds
            if (source, full, seed) in live.cells
        ]
        if done and (seconds := states[done[0].id].seconds) is not None:
            return seconds, True
        cost = forecast(live.cells_of([source], full).cells[:1], live.history(), live.sources)
        return (cost.seconds, False) if cost.known else (None, False)

    def speed(self, source: str) -> float | None:
        jobs: list[Job] = [job for (name, *_), job in self.live.cells.items() if name == source]
        jobs += [self.live.extractions[source]] if source in self.live.extractions else []
        if not jobs:
            return None
        fastest = self.live.store.result("speed", jobs=[job.id for job in jobs]).rows[0][0]
        return None if fastest is None else float(fastest)
