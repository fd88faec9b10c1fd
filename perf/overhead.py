"""What a cell costs that does nothing: a grid of 1,000 through Ray.

A cell's overhead is the time it holds its slot without being in the adaptation: slots × wall time / cells, less
the adaptation's own seconds. The clock runs from when every slot has done its first cell (Ray up, torch imported) to
the last cell's end, recording included. Part of it is the worker's (the subset, metrics, predictions on disk), part is
the machinery's (dispatch, transport, recording); both are given.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import headwater as hw
from headwater.harness.planning.job import Job
from headwater.harness.running.executors.base import Event, Finished
from headwater.harness.running.run import Control, Report
from headwater.leaderboard.store.records import Outcome, State
from perf.figures import Figure

CELLS = 1000
MOST_MS = 30.0
PLUGIN = Path(__file__).with_name("plugin.py")


@dataclass
class Stopwatch:
    """Watches a run: when each cell ended, and on which slot."""

    slots: int = 0
    ends: list[tuple[float, int, Outcome]] = field(default_factory=list)
    spent: dict[int, float] = field(default_factory=dict)
    """Processor seconds of the whole run so far, at the first cell of each slot and at the last cell."""

    def begin(self, jobs: Sequence[Job], slots: int) -> None:
        self.slots = slots

    def see(self, event: Event) -> None:
        if isinstance(event, Finished) and event.bundle[0].kind == "adapt":
            (outcome,) = (
                event.outcomes
            )  # each cell under options of its own, so that none is done together with another
            fresh = all(event.slot != slot for _, slot, _ in self.ends)
            self.ends.append((time.perf_counter(), event.slot, outcome))
            if fresh or len(self.ends) == CELLS:
                self.spent[len(self.ends) - 1] = _processor_seconds()

    def end(self) -> None:
        return None

    def warm(self) -> int:
        """The place of the cell with which the last slot came up."""
        first = {slot: place for place, (_, slot, _) in reversed(list(enumerate(self.ends)))}
        return max(first.values())


def _processor_seconds() -> float:
    """What this process and all below it (Ray's daemons and workers) have used; nan where there is no /proc."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = place.read_text().rpartition(")")[2].split()
        except OSError:  # it ended in between
            continue
        children.setdefault(int(values[1]), []).append(int(place.parent.name))
        ticks[int(place.parent.name)] = int(values[11]) + int(values[12])
    family = [os.getpid()]
    for process in family:
        family += children.get(process, [])
    return (
        sum(ticks.get(process, 0) for process in family) / os.sysconf("SC_CLK_TCK")
        if ticks
        else float("nan")
    )


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        watch = Stopwatch()
        began = time.perf_counter()
        report = _run(Path(folder), watch)
        total = time.perf_counter() - began
    assert report.count(State.DONE) == CELLS + 1, f"{len(report.failures)} cells failed"
    return _figures(watch, began, total)


def _run(folder: Path, watch: Stopwatch) -> Report:
    turns = [f"perf/nothing[turn={turn}]" for turn in range(1, CELLS + 1)]
    keys = {
        "sources": ["perf/tiny"],
        "tasks": ["perf/dots"],
        "adaptations": turns,
        "sizes": [12],
        "references": [],
    }
    keys |= {"seeds": 1, "image_size": 8, "plugins": [PLUGIN], "store": folder / "store.duckdb"}
    return hw.run(keys, control=Control(executor="ray"), watcher=watch)


def _figures(watch: Stopwatch, began: float, total: float) -> list[Figure]:
    warm = watch.warm()
    counted = watch.ends[warm + 1 :]
    wall = watch.ends[-1][0] - watch.ends[warm][0]
    held = watch.slots * wall / len(counted) * 1e3
    inside = sum(float(outcome.choice["seconds"]) for _, _, outcome in counted) / len(counted) * 1e3
    worker = sum(outcome.seconds for _, _, outcome in counted) / len(counted) * 1e3
    print(
        f"  {len(counted)} of {CELLS} cells counted, on {watch.slots} slots; {inside:.3f} ms inside the adaptation"
    )
    return [
        Figure("overhead of a trivial cell", held - inside, "ms", MOST_MS),
        Figure("of it the worker: subset, metrics, predictions", worker - inside, "ms"),
        Figure("of it the machinery: dispatch, transport, recording", held - worker, "ms"),
        Figure(
            "processor time a cell, of the driver, Ray and the workers together",
            _spent(watch, warm) / len(counted) * 1e3,
            "ms",
        ),
        Figure("wall time a cell, all slots together", wall / len(counted) * 1e3, "ms"),
        Figure(
            "until every slot had done a cell (Ray and torch started)",
            watch.ends[warm][0] - began,
            "s",
        ),
        Figure("the whole run, start and end included", total, "s"),
    ]


def _spent(watch: Stopwatch, warm: int) -> float:
    return watch.spent[len(watch.ends) - 1] - watch.spent[warm]
