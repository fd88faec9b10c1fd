"""Shows a run on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from headwater.harness.planning.bundle import Bundle, bundle_label
from headwater.harness.planning.forecast import work_of
from headwater.harness.planning.job import Job
from headwater.harness.running.executors.base import Event, Finished, Running
from headwater.harness.running.worker import JobProgress
from headwater.leaderboard.show.values import duration
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry.names import split_list

WINDOW_SECONDS = 30.0
"""Throughput is taken over the last seconds, this many."""


class Tally:
    """Counts what has happened so far: states, images, speed, time left.

    Attributes:
        total: How many jobs the run has.
        states: How many of them ended in each state.
        running: The jobs and progress of each busy slot.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.total = len(jobs)
        self.work = {job.id: work_of(job.images, job.image_size) or 0.0 for job in jobs}
        self.began = time.monotonic()
        self.work_done = 0.0
        self.states: dict[State, int] = {}
        self.images = 0
        self.running: dict[int, tuple[Bundle, JobProgress]] = {}
        self.samples: deque[tuple[float, int]] = deque([(self.began, 0)])

    @property
    def settled(self) -> int:
        """Return how many jobs have ended."""
        return sum(self.states.values())

    def see(self, event: Event) -> None:
        """Count an event of the executor."""
        if isinstance(event, Finished):
            for outcome in event.outcomes:
                self.states[outcome.state] = self.states.get(outcome.state, 0) + 1
                self.images += outcome.images
                self.work_done += self.work.get(outcome.job, 0.0)
            self.running.pop(event.slot, None)
        elif isinstance(event, Running):
            self.running = dict(event.slots)
        else:
            self.running[event.slot] = (event.bundle, JobProgress())
        self._sample()

    def _sample(self) -> None:
        now = time.monotonic()
        under_way = sum(progress.images for _, progress in self.running.values())
        self.samples.append((now, self.images + under_way))
        while len(self.samples) > 2 and now - self.samples[0][0] > WINDOW_SECONDS:
            self.samples.popleft()

    @property
    def images_per_second(self) -> float:
        first_time, first_images = self.samples[0]
        last_time, last_images = self.samples[-1]
        if last_time <= first_time:
            return 0.0
        return max(0.0, (last_images - first_images) / (last_time - first_time))

    def summary(self) -> str:
        """Return one line: jobs settled, failed and skipped, speed, time left."""
        parts = [f"{self.settled}/{self.total} jobs"]
        for state in (State.FAILED, State.SKIPPED):
            if self.states.get(state):
                parts.append(f"{self.states[state]} {state}")
        speed = round(self.images_per_second)
        if speed:
            parts.append(f"{speed:,} img/s")
        seconds_left = self.seconds_left()
        if seconds_left:
            parts.append(f"{duration(seconds_left)} left")
        return " · ".join(parts)

    def seconds_left(self) -> float:
        """Return the time left by the work done and to do, running jobs in part; 0 if not known."""
        work_under_way = sum(
            self.work.get(job.id, 0.0) * _share_done(progress)
            for bundle, progress in self.running.values()
            for job in bundle
        )
        total_work = sum(self.work.values())
        if total_work:
            share = (self.work_done + work_under_way) / total_work
        else:
            share = self.settled / max(1, self.total)
        if not share:
            return 0.0
        return (time.monotonic() - self.began) * (1 / share - 1)


class Bars:
    """A live bar for the whole run and a line per slot."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def begin(self, jobs: Sequence[Job], slots: int) -> None:
        self.tally = Tally(jobs)
        self.labels = labels(jobs)
        self.seen_reasons = SeenReasons()
        columns = (
            TextColumn(" measuring"),
            BarColumn(complete_style="green"),
            TextColumn("{task.fields[words]}"),
        )
        self.bar = Progress(*columns, console=self.console)
        self.task = self.bar.add_task(
            "", total=len(jobs), words=f"starting {slots} worker{'s' * (slots != 1)}"
        )
        self.live = Live(self.bar, console=self.console, refresh_per_second=4, transient=True)
        self.live.start()

    def see(self, event: Event) -> None:
        self.tally.see(event)
        for job, outcome in _failed(event):
            reason = self.seen_reasons.once(outcome.reason)
            self.live.console.print(Text(f" failed  {job.label}{reason}", style="red"))
        self.bar.update(self.task, completed=self.tally.settled, words=escape(self.tally.summary()))
        slots = [
            self._slot(slot, bundle, progress)
            for slot, (bundle, progress) in sorted(self.tally.running.items())
        ]
        self.live.update(Group(self.bar, *slots))

    def _slot(self, slot: int, bundle: Bundle, progress: JobProgress) -> Text:
        """Return the line of a slot: its job and progress. The job is cut if both do not fit."""
        line = Text(f"   slot {slot}  {bundle_label(bundle, self.labels)}")
        position = position_text(progress)
        line.truncate(max(1, self.console.width - len(position)), overflow="ellipsis")
        return line.append(position, style="dim")

    def end(self) -> None:
        self.live.stop()


class Lines:
    """Prints at most one line a second, and one for each failure."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last = 0.0

    def begin(self, jobs: Sequence[Job], slots: int) -> None:
        self.tally = Tally(jobs)
        self.seen_reasons = SeenReasons()
        self._print(
            f"measuring {len(jobs)} job{'s' * (len(jobs) != 1)} on {slots} slot{'s' * (slots != 1)}"
        )

    def see(self, event: Event) -> None:
        self.tally.see(event)
        if not isinstance(event, Finished):
            return
        failed = _failed(event)
        for job, outcome in failed:
            reason = self.seen_reasons.once(outcome.reason)
            self._print_with_summary(f"{outcome.state} {job.label}{reason}")
        is_due = time.monotonic() - self.last > 1 or self.tally.settled == self.tally.total
        if not failed and is_due:
            last = event.outcomes[-1]
            seconds = sum(outcome.seconds for outcome in event.outcomes)
            ending = self.seen_reasons.once(last.reason) or f" in {seconds:.1f} s"
            self._print_with_summary(f"{last.state} {bundle_label(event.bundle)}{ending}")

    def _print_with_summary(self, text: str) -> None:
        self.last = time.monotonic()
        self._print(f"{self.tally.summary()}  |  {text}")

    def end(self) -> None:
        return None

    def _print(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)


def watcher_for(console: Console) -> Bars | Lines:
    """Return the watcher that suits a console: a live bar on a terminal, else lines."""
    return Bars(console) if console.is_terminal else Lines(console)


def _failed(event: Event) -> list[tuple[Job, Outcome]]:
    if not isinstance(event, Finished):
        return []
    pairs = zip(event.bundle, event.outcomes, strict=True)
    return [(job, outcome) for job, outcome in pairs if outcome.state is State.FAILED]


class SeenReasons:
    """Suppresses repeated reasons: a hundred cells may fail for the same one."""

    def __init__(self) -> None:
        self.reasons: set[str] = set()

    def once(self, reason: str) -> str:
        """Return what to print after a job: its reason the first time, then that it is the same."""
        if not reason:
            return ""
        if reason in self.reasons:
            return ": for the same reason"
        self.reasons.add(reason)
        return f": {reason}"


def labels(jobs: Sequence[Job]) -> dict[str, str]:
    """Return the label of each job, with sources and tasks as the leaderboard calls them."""
    from headwater.leaderboard.show.short_names import shortened, shortened_tasks

    sources = shortened(sorted({job.record.source for job in jobs}))
    tasks = shortened_tasks(sorted({task for job in jobs for task in _tasks(job)}))
    labels_by_job: dict[str, str] = {}
    for job in jobs:
        source = sources[job.record.source]
        task = "+".join(tasks[task] for task in _tasks(job))
        record = replace(job.record, source=source, task=task)
        labels_by_job[job.id] = replace(job, record=record).label
    return labels_by_job


def _tasks(job: Job) -> list[str]:
    """Return the tasks of a job: several for the training of a joint chain."""
    return split_list(job.record.task, "+")


def position_text(progress: JobProgress) -> str:
    """Return trial, epoch and validation metric of a running job."""
    if not progress.epochs:
        return ""
    trial = f" · trial {progress.trial}/{progress.trials}" if progress.trials else ""
    value = "" if math.isnan(progress.value) else f" · val {progress.value:.3f}"
    return f"{trial} · epoch {progress.epoch}/{progress.epochs}{value}"


def _share_done(progress: JobProgress) -> float:
    """Return the share of a job that is done: of its epochs, or of its trials and their epochs."""
    epochs = progress.epoch / progress.epochs if progress.epochs else 0.0
    if not progress.trials:
        return epochs
    return (max(0, progress.trial - 1) + epochs) / progress.trials
