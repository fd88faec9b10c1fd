"""Runs jobs on Ray: warm actors, one for each slot, on this machine or on a cluster."""

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

ROUNDING = 1e-9
"""Keeps three shares of a third of a GPU three slots."""

MAX_CAUSE_LENGTH = 200


@dataclass
class _Slot:
    """An actor and the jobs that it runs.

    Attributes:
        index: The number of the slot.
        actor: The Ray actor; None before the first job and after one was lost.
        bundle: The jobs under way; empty for a free slot.
        last: The last job that was assigned, whose weights and data are warm.
        result: The reference of the outcomes to come.
        birth: Pending until the actor is up: the time of a job does not begin before.
        began: When the jobs began, on the clock of ``time.monotonic``.
    """

    index: int
    actor: Any = None
    bundle: Bundle = ()
    last: Job | None = None
    result: Any = None
    birth: Any = None
    began: float = 0.0


class RayExecutor:
    """Runs jobs on actors.

    A Ray that was started here is shut down at the end; one that runs elsewhere is left.

    Args:
        files: The folder of the store's files.
        plugins: The user's own plugins.
        resources: What one cell may use.
        limits: Time and retries of a job.
        max_jobs: Open at most so many slots.
        address: The Ray cluster to connect to; None: one on this machine.
    """

    def __init__(
        self,
        files: Path,
        plugins: Sequence[PluginLike],
        *,
        resources: Resources,
        limits: Limits,
        max_jobs: int,
        address: str | None = None,
    ) -> None:
        self.files = files.absolute()
        self.plugins = tuple(plugins)
        self.resources = resources
        self.limits = limits
        self.started_ray = connect(address)
        self.slots = min(self._room(), max(1, max_jobs))
        self._times_lost: dict[str, int] = {}
        self._last_poll = 0.0
        self._slots = [_Slot(index) for index in range(self.slots)]

    # -- slots --------------------------------------------------------------------------------------------

    def _room(self) -> int:
        """Return how many cells fit: by GPUs and CPUs if there is a GPU, else by CPUs.

        Raises:
            HeadwaterError: Not one cell fits.
        """
        import ray

        cluster = ray.cluster_resources()
        room = int(cluster.get("CPU", 1) // self.resources.cpus_per_cell)
        gpus = cluster.get("GPU", 0.0)
        if gpus:
            room = min(room, int(gpus / self.resources.gpus_per_cell + ROUNDING))
        if room < 1:
            raise HeadwaterError(
                f"no slot fits: a cell takes {self.resources.cpus_per_cell} CPUs, "
                f"the cluster has {cluster.get('CPU', 0):g}",
                hint="Lower resources.cpus_per_cell or resources.gpus_per_cell.",
            )
        return min(room, self.resources.slots or room)

    def _start_actor(self) -> Any:
        import ray

        from headwater.harness.running.executors.ray_actor import WorkerActor

        has_gpu = ray.cluster_resources().get("GPU", 0)
        gpus = self.resources.gpus_per_cell if has_gpu else 0
        actor = ray.remote(concurrency_groups={"watch": 1})(WorkerActor)  # type: ignore[call-overload]
        actor = actor.options(num_cpus=self.resources.cpus_per_cell, num_gpus=gpus)
        return actor.remote(
            str(Path.cwd()), str(self.files), self.plugins, self.resources.cpus_per_cell
        )

    # -- the loop -----------------------------------------------------------------------------------------

    def events(self, schedule: Schedule) -> Iterator[Event]:
        """Run the jobs of a schedule; see ``Executor``."""
        while True:
            for slot in self._slots:
                if slot.bundle:
                    continue
                bundle = schedule.take_bundle(near=slot.last)
                if bundle:
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
            # Asking the actors costs milliseconds, as much as a trivial cell.
            if time.monotonic() - self._last_poll > POLL_SECONDS:
                self._last_poll = time.monotonic()
                busy = [slot for slot in self._slots if slot.bundle]
                yield Running({slot.index: (slot.bundle, self._progress(slot)) for slot in busy})

    def _assign(self, slot: _Slot, bundle: Bundle) -> None:
        if slot.actor is None:
            slot.actor = self._start_actor()
            slot.birth = slot.actor.progress.remote()
        slot.bundle = bundle
        slot.last = bundle[-1]
        slot.began = time.monotonic()
        slot.result = slot.actor.run.remote(bundle)

    def _ready(self, busy: list[_Slot]) -> list[_Slot]:
        """Wait a moment, and return the slots whose jobs are done, lost or late."""
        import ray

        ready, _ = ray.wait([slot.result for slot in busy], num_returns=1, timeout=POLL_SECONDS)
        for slot in busy:
            if slot.birth is not None and ray.wait([slot.birth], timeout=0)[0]:
                slot.birth = None
                slot.began = time.monotonic()
        late = [slot for slot in busy if self._is_late(slot)]
        return [slot for slot in busy if slot.result in ready or slot in late]

    def _is_late(self, slot: _Slot) -> bool:
        limit = self.limits.timeout
        if limit is None or slot.birth is not None:
            return False
        return time.monotonic() - slot.began > limit * len(slot.bundle)

    def _collect(self, slot: _Slot, bundle: Bundle) -> list[Outcome] | None:
        """Return the outcomes of a slot's jobs.

        None if the jobs were late or their worker was lost, and each may be tried again alone.
        """
        import ray

        seconds = time.monotonic() - slot.began
        try:
            return ray.get(slot.result, timeout=0)
        except ray.exceptions.GetTimeoutError:
            self._drop(slot)
            if len(bundle) > 1:
                return None
            reason = f"took more than {self.limits.timeout:g} s"
            return [_failed(bundle[0], reason, error="JobTimeout", seconds=seconds)]
        except ray.exceptions.RayError as error:
            self._drop(slot)
            return None if len(bundle) > 1 else self._lost(bundle[0], error, seconds)

    def _lost(self, job: Job, error: Exception, seconds: float) -> list[Outcome] | None:
        times = self._times_lost.get(job.id, 0) + 1
        self._times_lost[job.id] = times
        if times <= self.limits.retries:
            return None
        reason = f"its worker was lost {times} times (killed, or out of memory): {_cause(error)}"
        return [_failed(job, reason, error="JobLost", seconds=seconds)]

    def _progress(self, slot: _Slot) -> JobProgress:
        import ray

        try:
            return ray.get(slot.actor.progress.remote(), timeout=POLL_SECONDS)
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError):
            # Still importing torch, or just lost: the next round will tell.
            return JobProgress()

    def _drop(self, slot: _Slot) -> None:
        import ray

        if slot.actor is not None:
            ray.kill(slot.actor)
        slot.actor = slot.result = slot.birth = None

    def close(self) -> None:
        """End what is running, with a moment of grace, and give everything back."""
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
    """Connect to a Ray cluster, or to the Ray of this process, which is started if needed.

    Returns:
        True if this process was not connected before.

    Raises:
        HeadwaterError: There is no Ray at the address, or none can be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return False
    options: dict[str, Any] = {"address": address}
    if not address:
        # "local": otherwise Ray joins the cluster that RAY_ADDRESS names, or one that was started
        # here for something else, and refuses num_cpus.
        options = {"address": "local", "include_dashboard": False, "num_cpus": os.cpu_count()}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f" at {address}" if address else ""
        raise HeadwaterError(
            f"Ray cannot be reached{where}: {str(error).splitlines()[0]}",
            hint="Start a cluster with: ray start --head; or run here with --executor inline.",
        ) from error
    return True


def _failed(job: Job, reason: str, *, error: str, seconds: float) -> Outcome:
    return Outcome(job.id, State.FAILED, reason=reason, error=error, seconds=seconds)


def _cause(error: Exception) -> str:
    """Return the first line that Ray gives as the reason, without its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return f"{type(error).__name__}: {lines[0][:MAX_CAUSE_LENGTH]}"
