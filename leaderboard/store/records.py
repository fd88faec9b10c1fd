"""The rows that pass from the harness to the store: frozen, plain, and the same in every process."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from headwater.registry.cards.analysis import Reading


class State(StrEnum):
    """Where a job stands. Transitions are decided here and nowhere else."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"

    @property
    def is_finished(self) -> bool:
        return self in (State.DONE, State.FAILED, State.SKIPPED)

    def may_become(self, other: State) -> bool:
        return other in _TRANSITIONS[self]


_TRANSITIONS = {
    State.PLANNED: {
        State.PLANNED,
        State.RUNNING,
        State.DONE,
        State.FAILED,
        State.SKIPPED,
        State.INTERRUPTED,
    },
    State.RUNNING: {
        State.RUNNING,
        State.DONE,
        State.FAILED,
        State.SKIPPED,
        State.INTERRUPTED,
        State.PLANNED,
    },
    State.DONE: {State.PLANNED, State.RUNNING, State.DONE},  # --rerun all
    State.FAILED: {
        State.PLANNED,
        State.RUNNING,
        State.DONE,
        State.FAILED,
        State.SKIPPED,
        State.INTERRUPTED,
    },
    State.SKIPPED: {State.PLANNED, State.RUNNING, State.DONE, State.FAILED, State.SKIPPED},
    State.INTERRUPTED: {
        State.PLANNED,
        State.RUNNING,
        State.DONE,
        State.FAILED,
        State.SKIPPED,
        State.INTERRUPTED,
    },
}


@dataclass(frozen=True)
class JobRecord:
    """A job's identity and coordinates, all known when it is planned.

    ``job`` is the hash of all that decides its result. ``kind`` is the name of its job kind:
    "adapt", "pretrain", ... ``control`` is the adaptation, with options, that the scratch reference
    of an adapt job runs, ``converged`` the one of the reference that trains until it has converged,
    "" for none. ``protocol`` is the hash of what paired cells share besides their
    coordinates: the task's data, the image size, the training budget. ``size`` is as asked: "50" or
        "full". ``analysis`` names what an analyse job does; an estimate's ``adaptation`` is its
        estimator, with options. ``unit``, ``lowest`` and ``highest`` are the metric's on this task:
        what it is counted in, "" for none, and its bounds, None for none.
    """

    job: str
    kind: str
    source: str
    task: str
    adaptation: str = ""
    control: str = ""
    size: str = ""
    seed: int | None = None
    protocol: str = ""
    metric: str = ""
    sign: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    analysis: str = ""
    converged: str = ""
    unit: str = ""
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class Measurement:
    """A value of one metric on one split (``train``, ``validation``, ``test``).

    The split ``floor`` has what is reached on test without a look at an image.
    """

    split: str
    metric: str
    value: float


@dataclass(frozen=True)
class CurvePoint:
    """A value of one metric after one epoch (from 1)."""

    epoch: int
    split: str
    metric: str
    value: float


@dataclass(frozen=True)
class Trial:
    """A hyper-parameter trial of a tuned job: ``value`` is the best validation metric of its
    ``epochs`` epochs.

    ``state``: finished, stopped (by the scheduler) or failed (with its reason).
    """

    trial: int
    config: Mapping[str, Any]
    epochs: int
    value: float | None
    seconds: float
    state: str
    chosen: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a job. ``reason`` says why it failed or was skipped, ``error`` is the error's
    class.

    ``seconds`` is wall time on the worker; ``images`` how many images its training or extraction
    processed, all trials included; ``decoded`` how many it had to decode because nobody had;
    ``train_images`` how many of the target it was allowed (validation included); ``artifacts`` maps
    a role (``checkpoint``, ``predictions``, ``features``) to a path relative to the store's folder
    of files. ``note``: what is to be known of a value that was recorded, such as that it lies
    outside its range. ``flaws``: of each task it saw whose annotations have some, how many; part of
    the note too.
    """

    job: str
    state: State
    reason: str = ""
    error: str = ""
    log: str = ""
    started: datetime | None = None
    seconds: float = 0.0
    images: int = 0
    peak_memory_mb: float = 0.0
    device: str = ""
    train_images: int | None = None
    metrics: tuple[Measurement, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    artifacts: Mapping[str, str] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    trials: tuple[Trial, ...] = ()
    decoded: int = 0
    note: str = ""
    flaws: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """A ``headwater run``: what was asked, with which code, on which machine.

    ``kind``: run, select, adapt or import; an import's ``spec`` says which file, whose, and how its
        columns were read.
    """

    run: str
    name: str
    spec: Mapping[str, Any]
    started: datetime
    version: str
    git_commit: str | None = None
    git_dirty: bool | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    gpu: str | None = None
    kind: str = "run"


def new_run_id(moment: datetime) -> str:
    """Return a run's identity: the moment it began (UTC), so that runs sort, and eight random
    digits.
    """
    return f"{moment:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
