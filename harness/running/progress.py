"""Progress: what a person sees of a run, on stderr; plain lines where stderr is no terminal."""

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
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry.names import split_list

WINDOW_SECONDS = 30.0
"""Throughput is that of the last so many seconds."""


class Tally:
    """What has happened so far: counts, images, speed, time left."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.total = len(jobs)
        self.work = {job.id: work_of(job.images, job.image_size) or 0.0 for job in jobs}
        self.began = time.monotonic()
        self.done = 0.0
        self.states: dict[State, int] = {}
        self.images = 0
        self.running: dict[int, tuple[Bundle, JobProgress]] = {}
        self.samples: deque[tuple[float, int]] = deque([(self.began, 0)])

    @property
    def settled(self) -> int:
        return sum(self.states.values())

    def see(self, event: Event) -> None:
        if isinstance(event, Finished):
            for outcome in event.outcomes:
                self.states[outcome.state] = self.states.get(outcome.state, 0) + 1
                self.images += outcome.images
                self.done += self.work.get(outcome.job, 0.0)
            self.running.pop(event.slot, None)
        elif isinstance(event, Running):
            self.running = dict(event.slots)
        else:
            self.running[event.slot] = (event.bundle, JobProgress())
        self._sample()

    def _sample(self) -> None:
        now = time.monotonic()
        self.samples.append(
            (now, self.images + sum(step.images for _, step in self.running.values()))
        )
        while len(self.samples) > 2 and now - self.samples[0][0] > WINDOW_SECONDS:
            self.samples.popleft()

    @property
    def images_per_second(self) -> float:
        (then, before), (now, after) = self.samples[0], self.samples[-1]
        return max(0.0, (after - before) / (now - then)) if now > then else 0.0

    def summary(self) -> str:
        words = [f"{self.settled}/{self.total} jobs"]
        words += [
            f"{self.states[state]} {state}"
            for state in (State.FAILED, State.SKIPPED)
            if self.states.get(state)
        ]
        if speed := round(self.images_per_second):
            words.append(f"{speed:,} img/s")
        if left := self.seconds_left():
            words.append(f"{duration(left)} left")
        return " · ".join(words)

    def seconds_left(self) -> float:
        """By the work done and left, running jobs in part; 0 before anything is known."""
        whole = sum(self.work.values())
        under_way = sum(
            self.work.get(job.id, 0.0) * _share(step)
            for bundle, step in self.running.values()
            for job in bundle
        )
        share = (self.done + under_way) / whole if whole else self.settled / max(1, self.total)
        return (time.monotonic() - self.began) * (1 / share - 1) if share else 0.0


class Bars:
    """A live bar for the whole run and a line per slot."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def begin(self, jobs: Sequence[Job], slots: int) -> None:
        self.tally, self.labels, self.told = Tally(jobs), labels(jobs), Told()
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
            self.live.console.print(
                Text(f" failed  {job.label}{self.told.once(outcome.reason)}", style="red")
            )
        self.bar.update(self.task, completed=self.tally.settled, words=escape(self.tally.summary()))
        self.live.update(
            Group(
                self.bar,
                *(self._slot(slot, *at) for slot, at in sorted(self.tally.running.items())),
            )
        )

    def _slot(self, slot: int, bundle: Bundle, step: JobProgress) -> Text:
        """What it does and where it stands; where both do not fit, the name gives way."""
        line, standing = (
            Text(f"   slot {slot}  {bundle_label(bundle, self.labels)}"),
            _standing(step),
        )
        line.truncate(max(1, self.console.width - len(standing)), overflow="ellipsis")
        return line.append(standing, style="dim")

    def end(self) -> None:
        self.live.stop()


class Lines:
    """At most a line a second, and one for each failure."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last = 0.0

    def begin(self, jobs: Sequence[Job], slots: int) -> None:
        self.tally, self.told = Tally(jobs), Told()
        self._print(
            f"measuring {len(jobs)} job{'s' * (len(jobs) != 1)} on {slots} slot{'s' * (slots != 1)}"
        )

    def see(self, event: Event) -> None:
        self.tally.see(event)
        if not isinstance(event, Finished):
            return
        failed = _failed(event)
        for job, outcome in failed:
            self._tell(f"{outcome.state} {job.label}{self.told.once(outcome.reason)}")
        if not failed and (
            time.monotonic() - self.last > 1 or self.tally.settled == self.tally.total
        ):
            last, seconds = event.outcomes[-1], sum(outcome.seconds for outcome in event.outcomes)
            self._tell(
                f"{last.state} {bundle_label(event.bundle)}{self.told.once(last.reason) or f' in {seconds:.1f} s'}"
            )

    def _tell(self, text: str) -> None:
        self.last = time.monotonic()
        self._print(f"{self.tally.summary()}  |  {text}")

    def end(self) -> None:
        return None

    def _print(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)


def watcher_for(console: Console) -> Bars | Lines:
    return Bars(console) if console.is_terminal else Lines(console)


def _failed(event: Event) -> list[tuple[Job, Outcome]]:
    if not isinstance(event, Finished):
        return []
    return [
        (job, outcome)
        for job, outcome in zip(event.bundle, event.outcomes, strict=True)
        if outcome.state is State.FAILED
    ]


class Told:
    """Reasons that were given already: the next hundred cells that fail for one need not repeat it."""

    def __init__(self) -> None:
        self.reasons: set[str] = set()

    def once(self, reason: str) -> str:
        if not reason or reason in self.reasons:
            return reason and ": for the same reason"
        self.reasons.add(reason)
        return f": {reason}"


def labels(jobs: Sequence[Job]) -> dict[str, str]:
    """What to call each job on one line: its label, with sources and tasks as the leaderboard calls them."""
    from headwater.leaderboard.show.short_names import shortened, shortened_tasks

    sources = shortened(sorted({job.record.source for job in jobs}))
    tasks = shortened_tasks(sorted({task for job in jobs for task in _tasks(job)}))
    return {
        job.id: replace(
            job,
            record=replace(
                job.record,
                source=sources[job.record.source],
                task="+".join(tasks[task] for task in _tasks(job)),
            ),
        ).label
        for job in jobs
    }


def _tasks(job: Job) -> list[str]:
    return split_list(job.record.task, "+")


def _standing(step: JobProgress) -> str:
    if not step.epochs:
        return ""
    trial = f" · trial {step.trial}/{step.trials}" if step.trials else ""
    value = "" if math.isnan(step.value) else f" · val {step.value:.3f}"
    return f"{trial} · epoch {step.epoch}/{step.epochs}{value}"


def _share(step: JobProgress) -> float:
    """How much of a job is done: epochs of a trial, trials of a tuned job."""
    epochs = step.epoch / step.epochs if step.epochs else 0.0
    return (max(0, step.trial - 1) + epochs) / step.trials if step.trials else epochs


def duration(seconds: float) -> str:
    """``48 s``, ``14 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
