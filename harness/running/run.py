"""Runs a plan: see what is done, run the rest, record every outcome."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from headwater.harness.planning.files import Files
from headwater.harness.planning.forecast import Forecast, forecast
from headwater.harness.planning.job import Job
from headwater.harness.planning.plan import Plan
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.running.executors.base import Event, Executor, Finished, Limits, Started
from headwater.harness.running.provenance import new_run
from headwater.harness.running.schedule import Schedule
from headwater.leaderboard import Recorder, Store
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry import Registry
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import StoreError, StoreMissing
from headwater.registry.layers import require_run_layer

NO_LIMIT = 2**20
"""More jobs at once than any machine has room for: an executor opens as many slots as fit."""

Rerun = Literal["missing", "failed", "all", "none"]


class Watcher(Protocol):
    """Shows a run to somebody: ``begin`` once, ``see`` for each event, ``end`` always."""

    def begin(self, jobs: Sequence[Job], slots: int) -> None: ...

    def see(self, event: Event) -> None: ...

    def end(self) -> None: ...


class NullWatcher:
    """Watcher that shows nothing (the default)."""

    def begin(self, jobs: Sequence[Job], slots: int) -> None: ...

    def see(self, event: Event) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class Control:
    """How a run goes about its jobs; none of it decides a result.

    Attributes:
        rerun: Which jobs run again, by their state in the store.
        executor: Where jobs run: on Ray, or one after another in this process.
        address: The Ray cluster to connect to; None: one on this machine.
        fail_fast: End at the first failure.
        max_failures: End after more failures: a count from 1, or a share of the cells below 1.
        timeout: Seconds that one job may take; on Ray only.
        retries: How often a job is tried again after its worker was lost.
        limit: Run at most so many of the jobs that were asked for.
        kind: The verb that the run is part of.
        networks: Run a done cell again if its network was to be kept and is gone.
        deadline: When to end, on the clock of ``time.monotonic``.
    """

    rerun: Rerun = "missing"
    executor: Literal["ray", "inline"] = "ray"
    address: str | None = None
    fail_fast: bool = False
    max_failures: float | None = None
    timeout: float | None = None
    retries: int = 1
    limit: int | None = None
    kind: Literal["run", "select", "adapt"] = "run"
    networks: bool = False
    deadline: float | None = None


@dataclass(frozen=True)
class PlanStatus:
    """A plan compared with the store.

    Attributes:
        plan: The plan.
        before: The states of those of its jobs that the store has.
        todo: The jobs to run, in the order of the plan.
        cost: A forecast of what they take.
    """

    plan: Plan
    before: Mapping[str, State]
    todo: tuple[Job, ...]
    cost: Forecast

    @property
    def cells(self) -> Counter[str]:
        """Count the cells that are new, done, failed, ...; the plan says which are skipped."""
        counts: Counter[str] = Counter()
        for job in self.plan.cells:
            state = self.before.get(job.id, State.PLANNED)
            if job.id in self.plan.skipped:
                counts["skipped"] += 1
            elif state in (State.PLANNED, State.RUNNING):
                counts["new"] += 1
            else:
                counts[state.value] += 1
        return counts


@dataclass
class Report:
    """The result of a run.

    Attributes:
        store: Where its outcomes are.
        run: The identity of the run.
        outcomes: The outcome of each job, in the order of their ends.
        stopped: Why the run ended early; "" if it did not.
    """

    store: Store
    run: str
    outcomes: list[Outcome] = field(default_factory=list)
    stopped: str = ""

    def count(self, state: State) -> int:
        """Count the outcomes of a state."""
        return sum(outcome.state is state for outcome in self.outcomes)

    @property
    def flaws(self) -> list[str]:
        """Return one sentence for each task whose annotations have flaws."""
        return list(dict.fromkeys(flaw for outcome in self.outcomes for flaw in outcome.flaws))

    @property
    def failures(self) -> list[Outcome]:
        """Return the outcomes of the jobs that failed."""
        return [outcome for outcome in self.outcomes if outcome.state is State.FAILED]


def run(
    spec: Spec | Mapping[str, Any] | str | Path,
    *,
    store: str | Path | None = None,
    plugins: Sequence[PluginLike] = (),
    control: Control | None = None,
    watcher: Watcher | None = None,
    **overrides: Any,
) -> Report:
    """Run a benchmark, or what is left of it.

    Args:
        spec: A Spec, its keys, or the path of a TOML file.
        store: The DuckDB file of outcomes; default: the spec's.
        plugins: Files, folders, modules or cards, besides those of the spec.
        control: How to go about it.
        watcher: Shows the run to somebody.
        **overrides: Keys that win over the spec's.

    Returns:
        What came of each job. A job that fails raises nothing.

    Raises:
        HeadwaterError: The spec cannot be planned, or the store cannot be opened.
        MissingLayer: The measuring layer, ``headwater[run]``, is not installed.
    """
    require_run_layer("headwater.run")
    if store is not None:
        overrides["store"] = store
    control = control or Control()
    spec = _read_spec(spec, overrides)
    registry = Registry.discover((*spec.plugins, *plugins))
    status = compare_with_store(plan(spec, registry), control)
    return execute(status, control, watcher or NullWatcher())


def _read_spec(spec: Spec | Mapping[str, Any] | str | Path, overrides: Mapping[str, Any]) -> Spec:
    if isinstance(spec, str | Path):
        return Spec.read(spec, **overrides)
    keys = spec.model_dump() if isinstance(spec, Spec) else spec
    return Spec.of(keys, **overrides)


# -- before -----------------------------------------------------------------------------------------------


def compare_with_store(plan: Plan, control: Control) -> PlanStatus:
    """Compare a plan with its store: what is done, what is left. Nothing is written."""
    store = Store(plan.spec.store)
    try:
        states = {job: stored.state for job, stored in store.states().items()}
        history = store.history()
    except StoreMissing:
        states = {}
        history = []
    before = {job: states[job] for job in plan.jobs if job in states}
    todo = _todo(plan, before, control, _has_files(plan, store))
    return PlanStatus(plan, before, todo, forecast(todo, history, plan.sources))


def _has_files(plan: Plan, store: Store) -> Callable[[Job], bool]:
    """Return a function that checks that what a done job left for others is still there."""
    files = Files(store.files)

    def has_files(job: Job) -> bool:
        kind = plan.registry.job_kind(job.kind)
        return all(path.is_file() for path in kind.files(job, files))

    return has_files


_UNFINISHED = frozenset({State.PLANNED, State.RUNNING, State.INTERRUPTED, State.SKIPPED})

STATES_TO_RUN: Mapping[Rerun, frozenset[State]] = {
    "none": frozenset(),
    "missing": _UNFINISHED,
    "failed": _UNFINISHED | {State.FAILED},
    "all": frozenset(State),
}
"""The states of a job that ``--rerun`` runs."""


def _todo(
    plan: Plan, before: Mapping[str, State], control: Control, has_files: Callable[[Job], bool]
) -> tuple[Job, ...]:
    """Return the jobs to run in the order of the plan.

    These are the goals to run, limited as asked, and of the other jobs only those that they need.
    """

    def is_wanted(job: Job) -> bool:
        if job.id in plan.skipped:
            return False
        state = before.get(job.id, State.PLANNED)
        network_is_gone = (
            control.networks and job.keep and state is State.DONE and not has_files(job)
        )
        if state not in STATES_TO_RUN[control.rerun] and not network_is_gone:
            return False
        return control.rerun != "missing" or not _is_blocked(job, plan, before)

    wanted = [job for job in plan.goals if is_wanted(job)]
    to_run: set[str] = set()

    def add(job: Job) -> None:
        to_run.add(job.id)
        for needed in job.needs:
            if needed in to_run:
                continue
            dependency = plan.jobs[needed]
            is_done = before.get(needed) is State.DONE and control.rerun != "all"
            if not is_done or not has_files(dependency):
                add(dependency)

    for job in wanted[: control.limit]:
        add(job)
    return tuple(job for job in plan.jobs.values() if job.id in to_run)


def _is_blocked(job: Job, plan: Plan, before: Mapping[str, State]) -> bool:
    """Tell that a dependency of the job failed: with ``--rerun missing`` it is not tried again."""
    return any(
        before.get(needed) is State.FAILED or _is_blocked(plan.jobs[needed], plan, before)
        for needed in job.needs
    )


# -- during -----------------------------------------------------------------------------------------------


class Session:
    """An executor for several runs on one store: Ray and its workers are started once."""

    def __init__(self) -> None:
        self._executor: Executor | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def executor(self, status: PlanStatus, control: Control, max_jobs: int = NO_LIMIT) -> Executor:
        """Return the warm executor, or a new one.

        Args:
            status: Its plan says which plugins and resources a new executor has.
            control: Where jobs run.
            max_jobs: A new executor opens at most so many slots.
        """
        if self._executor is None:
            self._executor = _new_executor(status.plan, control, max_jobs)
        return self._executor

    def close(self) -> None:
        """End what is running; the next run starts a new executor."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.close()


def _new_executor(plan: Plan, control: Control, max_jobs: int) -> Executor:
    spec = plan.spec
    plugins = plan.registry.plugins
    files = Store(spec.store).files
    if control.executor == "inline":
        from headwater.harness.running.executors.inline import InlineExecutor

        return InlineExecutor(files, plugins, spec.resources.cpus_per_cell)
    from headwater.harness.running.executors.ray import RayExecutor

    return RayExecutor(
        files,
        plugins,
        resources=spec.resources,
        limits=Limits(control.timeout, control.retries),
        max_jobs=max_jobs,
        address=control.address,
    )


def execute(
    status: PlanStatus, control: Control, watcher: Watcher, session: Session | None = None
) -> Report:
    """Run what is left of a plan and record it.

    Args:
        status: The plan, and which of its jobs to run.
        control: How to go about it.
        watcher: Shows the run to somebody.
        session: Its executor is used, and kept for the runs to come; None: an executor of its own.

    Raises:
        KeyboardInterrupt: The run was interrupted; that is recorded first.
    """
    plan = status.plan
    store = Store(plan.spec.store)
    run = new_run(plan.spec, control.kind)
    report = Report(store, run.run)
    is_known = all(job in status.before for job in plan.jobs)
    if not status.todo and is_known:
        return report
    store.begin_run(run)
    store.put_cards(plan.sources.values(), plan.tasks.values(), plan.registry.domain_parents())
    records = [job.record for job in plan.jobs.values()]
    store.plan(run.run, records, reset={job.id for job in status.todo})
    recorder = Recorder(store)
    execution = _Execution(status, control, report, recorder)
    for job, reason in plan.skipped.items():
        execution.record(Outcome(job, State.SKIPPED, reason, "NotApplicable"))
    state = State.INTERRUPTED
    try:
        if status.todo:
            execution.drive(watcher, session)
        if not report.stopped:
            state = State.DONE
    finally:
        # What close raises of the same disk tells where the outcomes are.
        with contextlib.suppress(StoreError):
            store.end_run(run.run, state)
        recorder.close()
    return report


class _Execution:
    """A run: passes the events of an executor on to the schedule, the store and the watcher."""

    def __init__(
        self, status: PlanStatus, control: Control, report: Report, recorder: Recorder
    ) -> None:
        self.status = status
        self.control = control
        self.report = report
        self.recorder = recorder
        self.failures = 0
        self.cells = len(status.plan.cells)
        self.running: dict[str, Job] = {}

    def record(self, outcome: Outcome) -> None:
        """Put an outcome into the report and the store."""
        self.failures += outcome.state is State.FAILED
        self.report.outcomes.append(outcome)
        self.recorder.add(outcome)

    def drive(self, watcher: Watcher, session: Session | None) -> None:
        """Run the jobs until all are settled, or a reason to stop comes up."""
        todo = self.status.todo
        to_run = {job.id for job in todo}
        schedule = Schedule(todo, done=(job for job in self.status.plan.jobs if job not in to_run))
        warm = session or Session()
        max_jobs = NO_LIMIT if session else len(todo)
        executor = warm.executor(self.status, self.control, max_jobs)
        watcher.begin(todo, executor.slots)
        report = self.report
        try:
            _end_on_termination()
            for event in executor.events(schedule):
                self._settle(event, schedule)
                self.recorder.tick()
                watcher.see(event)
                report.stopped = self._why_stop()
                if report.stopped:
                    break
        except KeyboardInterrupt:
            report.stopped = "interrupted"
            raise
        finally:
            watcher.end()
            if session is None or self.running:
                # A second Ctrl-C must not cost the bookkeeping.
                with contextlib.suppress(KeyboardInterrupt):
                    warm.close()
            reason = report.stopped or "the run was ended"
            for job in self.running.values():
                self.record(Outcome(job.id, State.INTERRUPTED, reason))

    def _settle(self, event: Event, schedule: Schedule) -> None:
        if isinstance(event, Started):
            self.running |= {job.id: job for job in event.bundle}
        elif isinstance(event, Finished):
            for outcome in event.outcomes:
                self.record(outcome)
                for lost in schedule.settle(outcome):
                    self.record(lost)
                self.running.pop(outcome.job, None)

    def _why_stop(self) -> str:
        """Return why the run is to end now; "" if it is not."""
        control = self.control
        if self.failures and control.fail_fast:
            return "a job failed (--fail-fast)"
        if control.deadline is not None and time.monotonic() > control.deadline:
            return "the time budget is used up"
        if control.max_failures is not None:
            allowed = control.max_failures
            if allowed < 1:
                allowed *= self.cells
            if self.failures > allowed:
                return f"{self.failures} jobs failed (--max-failures {control.max_failures:g})"
        return ""


def _end_on_termination() -> None:
    """Let SIGTERM end a run as Ctrl-C does.

    Called after Ray has set its own handler, and only where signals can be set.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
