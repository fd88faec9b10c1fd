"""The Ray executor: warm actors, one per slot, on this machine or on a cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headwater.harness.planning.bundle import Bundle
from headwater.harness.planning.job import Job
from headwater.harness.planning.spec import Resources
from headwater.harness.running.executors.base import Event, Finished, Limits, Running, Started
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import JobProgress
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import HeadwaterError

POLL_SECONDS = 0.25
GRACE_SECONDS = 3.0
"""How long a running job may take to notice that the run is being ended."""


@dataclass
class _Slot:
    """One actor and the jobs it is on."""

    index: int
    actor: Any = None
    bundle: Bundle = ()
    last: Job | None = None
    result: Any = None
    birth: Any = None
    """Pending until the actor is up: a job's time does not begin before."""
    began: float = 0.0


class RayExecutor:
    """Runs jobs on actors of the Ray at ``address``, or of one of its own; leaves only a Ray that it connected to."""

    def __init__(
        self,
        files: Path,
        plugins: Sequence[PluginLike],
        resources: Resources,
        limits: Limits,
        jobs: int,
        address: str | None = None,
    ) -> None:
        self.files, self.plugins, self.resources, self.limits = (
            files.absolute(),
            tuple(plugins),
            resources,
            limits,
        )
        self.started_ray = connect(address)
        self.slots = min(self._room(), max(1, jobs))
        self.lost: dict[str, int] = {}
        self.looked = 0.0
        self._slots = [_Slot(index) for index in range(self.slots)]

    # -- slots --------------------------------------------------------------------------------------------

    def _room(self) -> int:
        """How many cells fit: by GPU where there is one, else by CPU."""
        import ray

        there = ray.cluster_resources()
        cpus = int(there.get("CPU", 1) // self.resources.cpus_per_cell)
        gpus = there.get("GPU", 0.0)
        room = min(cpus, int(gpus / self.resources.gpus_per_cell + 1e-9)) if gpus else cpus
        if room < 1:
            raise HeadwaterError(
                f"no slot fits: a cell wants {self.resources.cpus_per_cell} CPUs, there are {there.get('CPU', 0):g}",
                hint="Lower resources.cpus_per_cell or resources.gpus_per_cell.",
            )
        return min(room, self.resources.slots or room)

    def _start_actor(self) -> Any:
        import ray

        from headwater.harness.running.executors.ray_actor import WorkerActor

        gpus = self.resources.gpus_per_cell if ray.cluster_resources().get("GPU", 0) else 0
        actor = ray.remote(concurrency_groups={"watch": 1})(WorkerActor)  # type: ignore[call-overload]
        actor = actor.options(num_cpus=self.resources.cpus_per_cell, num_gpus=gpus)
        return actor.remote(
            str(Path.cwd()), str(self.files), self.plugins, self.resources.cpus_per_cell
        )

    # -- the loop -----------------------------------------------------------------------------------------

    def events(self, schedule: Schedule) -> Iterator[Event]:
        while True:
            for slot in self._slots:
                if not slot.bundle and (bundle := schedule.take_bundle(near=slot.last)):
                    self._assign(slot, bundle)
                    yield Started(bundle, slot.index)
            busy = [slot for slot in self._slots if slot.bundle]
            if not busy:
                return
            for slot in self._ready(busy):
                bundle, slot.bundle = slot.bundle, ()
                outcomes = self._collect(slot, bundle)
                if outcomes is None:
                    schedule.put_back(bundle)
                else:
                    yield Finished(bundle, slot.index, outcomes)
            if (
                time.monotonic() - self.looked > POLL_SECONDS
            ):  # asking costs milliseconds, as much as a trivial cell
                self.looked = time.monotonic()
                yield Running(
                    {
                        slot.index: (slot.bundle, self._progress(slot))
                        for slot in self._slots
                        if slot.bundle
                    }
                )

    def _assign(self, slot: _Slot, bundle: Bundle) -> None:
        if slot.actor is None:
            slot.actor = self._start_actor()
            slot.birth = slot.actor.progress.remote()
        slot.bundle, slot.last, slot.began = bundle, bundle[-1], time.monotonic()
        slot.result = slot.actor.run.remote(bundle)

    def _ready(self, busy: list[_Slot]) -> list[_Slot]:
        import ray

        ready, _ = ray.wait([slot.result for slot in busy], num_returns=1, timeout=POLL_SECONDS)
        for slot in busy:
            if slot.birth is not None and ray.wait([slot.birth], timeout=0)[0]:
                slot.birth, slot.began = None, time.monotonic()
        late = [slot for slot in busy if self._is_late(slot)]
        return [slot for slot in busy if slot.result in ready or slot in late]

    def _is_late(self, slot: _Slot) -> bool:
        limit = self.limits.timeout
        return (
            limit is not None
            and slot.birth is None
            and time.monotonic() - slot.began > limit * len(slot.bundle)
        )

    def _collect(self, slot: _Slot, bundle: Bundle) -> list[Outcome] | None:
        """The jobs' outcomes, or None where they were lost to the machinery and may be tried again, each alone."""
        import ray

        seconds = time.monotonic() - slot.began
        try:
            return ray.get(slot.result, timeout=0)
        except ray.exceptions.GetTimeoutError:
            self._drop(slot)
            if len(bundle) > 1:
                return None
            return [
                Outcome(
                    bundle[0].id,
                    State.FAILED,
                    f"took more than {self.limits.timeout:g} s",
                    "JobTimeout",
                    seconds=seconds,
                )
            ]
        except ray.exceptions.RayError as error:
            self._drop(slot)
            return None if len(bundle) > 1 else self._lost(bundle[0], error, seconds)

    def _lost(self, job: Job, error: Exception, seconds: float) -> list[Outcome] | None:
        self.lost[job.id] = self.lost.get(job.id, 0) + 1
        if self.lost[job.id] <= self.limits.retries:
            return None
        reason = f"its worker was lost {self.lost[job.id]} times (killed, or out of memory): {_cause(error)}"
        return [Outcome(job.id, State.FAILED, reason, "JobLost", seconds=seconds)]

    def _progress(self, slot: _Slot) -> JobProgress:
        import ray

        try:
            return ray.get(slot.actor.progress.remote(), timeout=POLL_SECONDS)
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
            return JobProgress()  # still importing torch, or just lost: the next round will tell

    def _drop(self, slot: _Slot) -> None:
        import ray

        if slot.actor is not None:
            ray.kill(slot.actor)
        slot.actor = slot.result = slot.birth = None

    def close(self) -> None:
        import ray

        with contextlib.suppress(Exception):
            for slot in self._slots:
                if slot.bundle and slot.actor is not None:
                    slot.actor.stop.remote()
            running = [slot.result for slot in self._slots if slot.bundle]
            if running:
                ray.wait(running, num_returns=len(running), timeout=GRACE_SECONDS)
        for slot in self._slots:
            with contextlib.suppress(Exception):
                self._drop(slot)
        if self.started_ray:
            ray.shutdown()


def connect(address: str | None) -> bool:
    """Connect to the Ray of that address, or to this process's own, which is started if needed; True where it was not connected yet."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return False
    # "local": else Ray joins what RAY_ADDRESS names, or was started here for something else, and refuses the number of CPUs.
    own: dict[str, Any] = {
        "address": "local",
        "include_dashboard": False,
        "num_cpus": os.cpu_count(),
    }
    options = {"address": address} if address else own
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise HeadwaterError(
            f"Ray cannot be reached{f' at {address}' if address else ''}: {str(error).splitlines()[0]}",
            hint="Start a cluster with: ray start --head; or run here with --executor inline.",
        ) from error
    return True


def _cause(error: Exception) -> str:
    """The first line that Ray gives as the reason, without its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
