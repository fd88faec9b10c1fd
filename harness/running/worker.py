"""A worker runs jobs one after another and turns whatever happens into an outcome; only an interrupt passes."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from headwater.harness.planning.bundle import Bundle, batch_key, shares
from headwater.harness.planning.files import Files
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry import Registry
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import HeadwaterError, NotApplicable

if TYPE_CHECKING:
    from headwater.harness.measure.workbench import JobResult


@dataclass(frozen=True)
class Progress:
    """Where a running job stands: epoch, of how many, the validation metric, images processed, trial of how many."""

    epoch: int = 0
    epochs: int = 0
    value: float = float("nan")
    images: int = 0
    trial: int = 0
    trials: int = 0


class Stopped(BaseException):
    """The run is being ended while a job is under way."""


class Worker:
    """Warm: torch imported, the registry discovered, data mapped, the last networks built."""

    def __init__(self, files: Path, plugins: Sequence[PluginLike], threads: int) -> None:
        from headwater.harness.measure.device import Device
        from headwater.harness.measure.workbench import Workbench

        self.bench = Workbench(Registry.discover(plugins), Files(files), Device.pick(threads))
        self.current = Progress()
        self.stopping = Event()
        _doer("adapt")  # its imports take seconds, which are not to be the first job's

    def run(self, job: Job) -> Outcome:
        """Run one job. A failure is an outcome too, its traceback in a log file."""
        return self.run_bundle((job,))[0]

    def run_bundle(self, bundle: Bundle) -> list[Outcome]:
        """Run jobs together and share out the time that they took."""
        started, began = datetime.now(UTC).replace(tzinfo=None), time.perf_counter()
        self.current = Progress()
        self.bench.decoded_images = 0
        self.bench.flaw_notes.clear()
        self.bench.device.apply_settings()  # for each job: some of it belongs to the thread, and jobs may change threads
        self.bench.device.reset_peak_memory()
        found = self._found(bundle)
        parts = shares(
            time.perf_counter() - began,
            [getattr(findings, "train_images", None) or 0 for findings in found],
        )
        return [self._outcome(*each, started) for each in zip(bundle, found, parts, strict=True)]

    def _found(self, bundle: Bundle) -> Sequence[JobResult | BaseException]:
        """What each job found, or what became of it instead."""
        from headwater.harness.measure.feature_solving import solve

        try:
            if batch_key(bundle[0]) is not None:
                return solve(bundle, self.bench, self._report)
            return [_doer(bundle[0].kind)(bundle[0], self.bench, self._report)]
        except (Exception, Stopped) as error:
            return [error] * len(bundle)

    def _outcome(
        self, job: Job, found: JobResult | BaseException, seconds: float, started: datetime
    ) -> Outcome:
        device, flaws = self.bench.device, tuple(self.bench.flaw_notes.values())
        measured = {
            "peak_memory_mb": device.peak_memory_mb(),
            "device": str(device),
            "decoded": self.bench.decoded_images,
            "flaws": flaws,
        }
        self.bench.decoded_images = 0  # told once, by the first job of a bundle
        if isinstance(found, BaseException):
            return _with(self._unfinished(job, found), started=started, seconds=seconds, **measured)
        known = dict(vars(found))
        if job.kind != "estimate":  # a note on an estimate is about its value
            known["note"] = "; ".join([*filter(None, [found.note]), *flaws])
        return Outcome(
            job.id,
            State.DONE,
            started=started,
            seconds=seconds + known.pop("earlier"),
            **measured,  # type: ignore[arg-type]
            **known,
        )

    def _unfinished(self, job: Job, error: BaseException) -> Outcome:
        if isinstance(error, Stopped):
            return Outcome(job.id, State.INTERRUPTED, "the run was ended")
        if isinstance(error, NotApplicable):
            return Outcome(job.id, State.SKIPPED, error.message, "NotApplicable")
        return Outcome(
            job.id, State.FAILED, _reason(error), type(error).__name__, self._write_log(job, error)
        )

    def _report(
        self, epoch: int, epochs: int, value: float, images: int, trial: int = 0, trials: int = 0
    ) -> None:
        self.current = Progress(epoch, epochs, value, images, trial, trials)
        if self.stopping.is_set():
            raise Stopped

    def _write_log(self, job: Job, error: BaseException) -> str:
        path = self.bench.files.log(job.id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                f"{job.label}\n{job.record}\n\n{''.join(traceback.format_exception(error))}",
                encoding="utf-8",
            )
        except OSError:  # a full disk must not turn a failure row into a lost one
            return ""
        return self.bench.files.relative(path)


def _with(outcome: Outcome, **values: object) -> Outcome:
    from dataclasses import replace

    return replace(outcome, **values)  # type: ignore[arg-type]


def _doer(kind: str) -> Callable[..., JobResult]:
    from headwater.harness.measure.adapting import adapt
    from headwater.harness.measure.analysing import analyse
    from headwater.harness.measure.estimator_scores import estimate
    from headwater.harness.measure.features import extract
    from headwater.harness.measure.pretraining import pretrain

    doers = {
        "adapt": adapt,
        "analyse": analyse,
        "estimate": estimate,
        "features": extract,
        "pretrain": pretrain,
    }
    return doers[kind]


def _reason(error: BaseException) -> str:
    if isinstance(error, HeadwaterError):
        return f"{error.message.rstrip('.')}. {error.hint}" if error.hint else error.message
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        where = f" ({error.filename})" if error.filename else ""
        return f"the disk is full or cannot be written: {error.strerror}{where}. Free some space, then retry what failed."
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower():
        return f"out of memory: lower training.batch_size or image_size, or raise resources.gpus_per_cell ({str(error).splitlines()[0]})"
    return f"{type(error).__name__}: {str(error).strip()}"[:2000]
