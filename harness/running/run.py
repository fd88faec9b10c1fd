"""Running: plan, see what is done, run the rest, record every outcome."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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

ANY = 2**20
"""Jobs at once that no machine has room for: as many as fit."""

Rerun = Literal["missing", "failed", "all", "none"]


class Watcher(Protocol):
    """Shows a run to somebody: ``begin`` once, ``see`` for each event, ``end`` always."""

    def begin(self, jobs: Sequence[Job], slots: int) -> None: ...

    def see(self, event: Event) -> None: ...

    def end(self) -> None: ...


class NullWatcher:
    """Nobody looks."""

    def begin(self, jobs: Sequence[Job], slots: int) -> None: ...

    def see(self, event: Event) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class Control:
    """How a run goes about its jobs; none of it decides a result."""

    rerun: Rerun = "missing"
    executor: Literal["ray", "inline"] = "ray"
    address: str | None = None
    fail_fast: bool = False
    max_failures: float | None = None
    """A count from 1, or a share of the planned cells below 1."""
    timeout: float | None = None
    retries: int = 1
    limit: int | None = None
    kind: Literal["run", "select", "adapt"] = "run"
    """Which verb it is part of."""
    networks: bool = False
    """A done cell whose network was to be kept, and is not there, runs again."""
    deadline: float | None = None
    """When to end, on ``time.monotonic``'s clock."""


@dataclass(frozen=True)
class PlanStatus:
    """A plan held against the store: what is done, what is left, and what it may cost."""

    plan: Plan
    before: Mapping[str, State]
    todo: tuple[Job, ...]
    cost: Forecast

    @property
    def cells(self) -> Counter[str]:
        """How many cells are new, done, failed, ...; skipped ones as the planner sees them."""
        count: Counter[str] = Counter()
        for job in self.plan.cells:
            state = self.before.get(job.id, State.PLANNED)
            left = state in (State.PLANNED, State.RUNNING)
            count["skipped" if job.id in self.plan.skipped else "new" if left else state.value] += 1
        return count


@dataclass
class Report:
    """What a run came to."""

    store: Store
    run: str
    outcomes: list[Outcome] = field(default_factory=list)
    stopped: str = ""
    """Why it ended early, if it did."""

    def count(self, state: State) -> int:
        return sum(outcome.state is state for outcome in self.outcomes)

    @property
    def flaws(self) -> list[str]:
        """Of each task whose annotations have some, how many."""
        return list(dict.fromkeys(flaw for outcome in self.outcomes for flaw in outcome.flaws))

    @property
    def failures(self) -> list[Outcome]:
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
    """Run a benchmark, or what is left of it, and return what came of each job.

    ``spec`` is a Spec, its keys, or the path of a TOML file; ``overrides`` win over it. Raises HeadwaterError
    for a spec that cannot be planned and for a store that cannot be opened; a job that fails raises nothing.
    """
    if store is not None:
        overrides["store"] = store
    spec = _spec(spec, overrides)
    everything = (*spec.plugins, *plugins)
    standing = compare_with_store(plan(spec, Registry.discover(everything)), control or Control())
    return execute(standing, control or Control(), watcher or NullWatcher())


def _spec(spec: Spec | Mapping[str, Any] | str | Path, overrides: Mapping[str, Any]) -> Spec:
    if isinstance(spec, str | Path):
        return Spec.read(spec, **overrides)
    return Spec.of(spec.model_dump() if isinstance(spec, Spec) else spec, **overrides)


# -- before -----------------------------------------------------------------------------------------------


def compare_with_store(plan: Plan, control: Control) -> PlanStatus:
    """Hold a plan against its store; nothing is written."""
    store = Store(plan.spec.store)
    try:
        states = {job: found.state for job, found in store.states().items()}
        history = store.history()
    except StoreMissing:
        states, history = {}, []
    before = {job: states[job] for job in plan.jobs if job in states}
    todo = tuple(_todo(plan, before, control, _has_files(plan, store)))
    return PlanStatus(plan, before, todo, forecast(todo, history, plan.sources))


def _has_files(plan: Plan, store: Store) -> Callable[[Job], bool]:
    """Return a function that checks that what a done job left for others is still there."""
    files = Files(store.files)

    def has_files(job: Job) -> bool:
        kind = plan.registry.job_kind(job.kind)
        return all(path.is_file() for path in kind.files(job, files))

    return has_files


_AGAIN: dict[Rerun, frozenset[State]] = {
    "none": frozenset(),
    "missing": frozenset({State.PLANNED, State.RUNNING, State.INTERRUPTED, State.SKIPPED}),
    "failed": frozenset(
        {State.PLANNED, State.RUNNING, State.INTERRUPTED, State.SKIPPED, State.FAILED}
    ),
    "all": frozenset(State),
}


def _todo(
    plan: Plan, before: Mapping[str, State], control: Control, present: Callable[[Job], bool]
) -> Iterator[Job]:
    """The cells and analyses to run, limited as asked, and of the other jobs only those that these need."""
    again = _AGAIN[control.rerun]

    def lost(job: Job) -> bool:
        return (
            control.networks and job.keep and before.get(job.id) is State.DONE and not present(job)
        )

    goals = [job for job in plan.goals if job.id not in plan.skipped]
    wanted = [job for job in goals if before.get(job.id, State.PLANNED) in again or lost(job)]
    if control.rerun == "missing":
        wanted = [job for job in wanted if not _blocked(job, plan, before)]
    wanted = wanted[: control.limit]
    needed: set[str] = set()

    def add(job: Job) -> None:
        needed.add(job.id)
        for need in job.needs:
            other = plan.jobs[need]
            stale = (
                before.get(need) is not State.DONE or control.rerun == "all" or not present(other)
            )
            if need not in needed and stale:
                add(other)

    for job in wanted:
        add(job)
    return (job for job in plan.jobs.values() if job.id in needed)


def _blocked(job: Job, plan: Plan, before: Mapping[str, State]) -> bool:
    """Skipped because what it needs failed, and that failure is not to be tried again."""
    return any(
        before.get(need) is State.FAILED or _blocked(plan.jobs[need], plan, before)
        for need in job.needs
    )


# -- during -----------------------------------------------------------------------------------------------


class Session:
    """One executor for several runs on one store: what it takes to start Ray and its workers is paid once."""

    def __init__(self) -> None:
        self._executor: Executor | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def executor(self, standing: PlanStatus, control: Control, most: int | None = None) -> Executor:
        """The warm one, or a new one with room for ``most`` jobs at once, or for as many as fit."""
        if self._executor is None:
            self._executor = _executor(standing, control, ANY if most is None else most)
        return self._executor

    def close(self) -> None:
        """End what is running; the next run starts a new one."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.close()


def execute(
    standing: PlanStatus, control: Control, watcher: Watcher, session: Session | None = None
) -> Report:
    """Run what is left and record it; an interrupt is recorded too, then raised again.

    In a ``session`` the executor is that of the runs before, and is kept for those to come.
    """
    plan, todo = standing.plan, standing.todo
    store = Store(plan.spec.store)
    run = new_run(plan.spec, control.kind)
    report = Report(store, run.run)
    news = [job for job in plan.jobs.values() if job.id not in standing.before]
    if not todo and not news:
        return report
    store.begin_run(run)
    store.put_cards(plan.sources.values(), plan.tasks.values(), plan.registry.domain_parents())
    store.plan(run.run, [job.record for job in plan.jobs.values()], reset={job.id for job in todo})
    recorder = Recorder(store)
    for job, reason in plan.skipped.items():
        _note(Outcome(job, State.SKIPPED, reason, "NotApplicable"), report, recorder)
    state = State.INTERRUPTED
    try:
        if todo:
            _drive(standing, control, watcher, report, recorder, session)
        state = State.INTERRUPTED if report.stopped else State.DONE
    finally:
        with contextlib.suppress(
            StoreError
        ):  # what close says of the same disk tells where the outcomes lie
            store.end_run(run.run, state)
        recorder.close()
    return report


def _drive(
    standing: PlanStatus,
    control: Control,
    watcher: Watcher,
    report: Report,
    recorder: Recorder,
    session: Session | None,
) -> None:
    todo = standing.todo
    here = {job.id for job in todo}
    schedule = Schedule(todo, done=(job for job in standing.plan.jobs if job not in here))
    crew = session or Session()
    executor = crew.executor(standing, control, None if session else len(todo))
    watcher.begin(todo, executor.slots)
    running: dict[str, Job] = {}
    try:
        _heed_termination()
        for event in executor.events(schedule):
            if isinstance(event, Finished):
                for outcome in event.outcomes:
                    for settled in (outcome, *schedule.settle(outcome)):
                        _note(settled, report, recorder)
                    running.pop(outcome.job, None)
            elif isinstance(event, Started):
                running |= {job.id: job for job in event.bundle}
            recorder.tick()
            watcher.see(event)
            report.stopped = _why_stop(report, control, len(standing.plan.cells))
            if report.stopped:
                break
    except KeyboardInterrupt:
        report.stopped = "interrupted"
        raise
    finally:
        watcher.end()
        if session is None or running:
            with contextlib.suppress(
                KeyboardInterrupt
            ):  # a second Ctrl-C must not cost the bookkeeping
                crew.close()
        for job in running.values():
            _note(
                Outcome(job.id, State.INTERRUPTED, report.stopped or "the run was ended"),
                report,
                recorder,
            )


def _heed_termination() -> None:
    """SIGTERM ends a run as Ctrl-C does; set after Ray has set its own, and only where signals can be set."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _note(outcome: Outcome, report: Report, recorder: Recorder) -> None:
    report.outcomes.append(outcome)
    recorder.add(outcome)


def _executor(standing: PlanStatus, control: Control, most: int) -> Executor:
    spec, plugins = standing.plan.spec, standing.plan.registry.plugins
    files = Store(spec.store).files
    if control.executor == "inline":
        from headwater.harness.running.executors.inline import InlineExecutor

        return InlineExecutor(files, plugins, spec.resources.cpus_per_cell)
    from headwater.harness.running.executors.ray import RayExecutor

    limits = Limits(control.timeout, control.retries)
    return RayExecutor(files, plugins, spec.resources, limits, most, control.address)


def _why_stop(report: Report, control: Control, cells: int) -> str:
    failures = len(report.failures)
    if failures and control.fail_fast:
        return "a job failed (--fail-fast)"
    if control.deadline is not None and time.monotonic() > control.deadline:
        return "its time is spent"
    most = control.max_failures
    if most is not None and failures > (most * cells if most < 1 else most):
        return f"{failures} jobs failed (--max-failures {most:g})"
    return ""
