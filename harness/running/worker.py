"""Worker: runs jobs one after another and turns whatever happens into an outcome."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from headwater.harness.planning.bundle import Bundle, share_seconds
from headwater.harness.planning.files import Files
from headwater.harness.planning.job import Job
from headwater.leaderboard.store.records import Outcome, State
from headwater.registry import Registry
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import BadPlugin, HeadwaterError, NotApplicable

if TYPE_CHECKING:
    from headwater.harness.measure.workbench import JobResult

MAX_REASON_LENGTH = 2000


@dataclass(frozen=True)
class JobProgress:
    """The position of a running job: epochs, the validation metric, images processed, trials."""

    epoch: int = 0
    epochs: int = 0
    value: float = float("nan")
    images: int = 0
    trial: int = 0
    trials: int = 0


class Stopped(BaseException):
    """The run is being ended while a job is under way."""


class Worker:
    """A warm worker: torch imported, the registry discovered, data mapped, the last networks built.

    Args:
        files: The folder of the store's files.
        plugins: The user's own plugins.
        threads: CPU threads that a job may use.
    """

    def __init__(self, files: Path, plugins: Sequence[PluginLike], threads: int) -> None:
        # The imports take seconds, which are not to be the first job's.
        from headwater.harness.measure import adapting, feature_solving  # noqa: F401
        from headwater.harness.measure.device import Device
        from headwater.harness.measure.workbench import Workbench

        self.bench = Workbench(Registry.discover(plugins), Files(files), Device.pick(threads))
        self.current = JobProgress()
        self.stopping = Event()

    def run(self, job: Job) -> Outcome:
        """Run one job. A failure is an outcome too, with its traceback in a log file."""
        return self.run_bundle((job,))[0]

    def run_bundle(self, bundle: Bundle) -> list[Outcome]:
        """Run jobs together and divide the time that they took among them.

        Returns:
            The outcomes in the order of the jobs. Only an interrupt is raised.
        """
        started = datetime.now(UTC).replace(tzinfo=None)
        began = time.perf_counter()
        self.current = JobProgress()
        self.bench.decoded_images = 0
        self.bench.flaw_notes.clear()
        # For each job: some settings belong to the thread, and jobs may change threads.
        self.bench.device.apply_settings()
        self.bench.device.reset_peak_memory()
        results = self._results(bundle)
        train_images = [getattr(result, "train_images", None) or 0 for result in results]
        seconds = share_seconds(time.perf_counter() - began, train_images)
        return [
            self._outcome(job, result, share, started)
            for job, result, share in zip(bundle, results, seconds, strict=True)
        ]

    def _results(self, bundle: Bundle) -> Sequence[JobResult | BaseException]:
        """Return what each job measured, or the exception that ended it."""
        first = bundle[0]
        try:
            kind = self.bench.registry.job_kind(first.kind)
            if first.batch_key is not None and kind.run_batch is not None:
                return kind.run_batch(bundle, self.bench, self.report)
            return [self._checked(kind.run(first, self.bench, self.report), first)]
        except (Exception, Stopped) as error:
            return [error] * len(bundle)

    def _checked(self, result: object, job: Job) -> JobResult:
        from headwater.harness.measure.workbench import JobResult

        if not isinstance(result, JobResult):
            raise BadPlugin(
                f"the job kind {job.kind} returned {type(result).__name__}, not a JobResult",
                subject=job.kind,
                hint="Return hw.JobResult(metrics=(hw.Measurement(...),)).",
            )
        return result

    def _outcome(
        self, job: Job, result: JobResult | BaseException, seconds: float, started: datetime
    ) -> Outcome:
        bench = self.bench
        flaws = tuple(bench.flaw_notes.values())
        decoded = bench.decoded_images
        bench.decoded_images = 0  # counted once, with the first job of a bundle
        if isinstance(result, BaseException):
            outcome = self._unfinished(job, result)
        else:
            values = dict(vars(result))
            seconds += values.pop("earlier")
            if bench.registry.job_kind(job.kind).notes_flaws:
                notes = [note for note in (result.note, *flaws) if note]
                values["note"] = "; ".join(notes)
            outcome = Outcome(job.id, State.DONE, **values)
        return replace(
            outcome,
            started=started,
            seconds=seconds,
            peak_memory_mb=bench.device.peak_memory_mb(),
            device=str(bench.device),
            decoded=decoded,
            flaws=flaws,
        )

    def _unfinished(self, job: Job, error: BaseException) -> Outcome:
        if isinstance(error, Stopped):
            return Outcome(job.id, State.INTERRUPTED, "the run was ended")
        if isinstance(error, NotApplicable):
            return Outcome(job.id, State.SKIPPED, error.message, "NotApplicable")
        return Outcome(
            job.id,
            State.FAILED,
            reason=_reason(error),
            error=type(error).__name__,
            log=self._write_log(job, error),
        )

    def report(
        self, epoch: int, epochs: int, value: float, images: int, trial: int = 0, trials: int = 0
    ) -> None:
        """Note the position of the running job.

        Raises:
            Stopped: The run is being ended.
        """
        self.current = JobProgress(
            epoch=epoch, epochs=epochs, value=value, images=images, trial=trial, trials=trials
        )
        if self.stopping.is_set():
            raise Stopped

    def _write_log(self, job: Job, error: BaseException) -> str:
        """Write the traceback, and return the path of the log; "" if it cannot be written."""
        path = self.bench.files.log(job.id)
        trace = "".join(traceback.format_exception(error))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{job.label}\n{job.record}\n\n{trace}", encoding="utf-8")
        except OSError:
            # A full disk must not turn the row of a failure into no row.
            return ""
        return self.bench.files.relative(path)


def _reason(error: BaseException) -> str:
    """Return what happened and what to do about it, in one line."""
    if isinstance(error, HeadwaterError):
        return f"{error.message.rstrip('.')}. {error.hint}" if error.hint else error.message
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        where = f" ({error.filename})" if error.filename else ""
        return (
            f"the disk is full or cannot be written: {error.strerror}{where}. "
            "Free some space, then retry what failed."
        )
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower():
        cause = str(error).splitlines()[0]
        return (
            "out of memory: lower training.batch_size or image_size, or raise "
            f"resources.gpus_per_cell ({cause})"
        )
    return f"{type(error).__name__}: {str(error).strip()}"[:MAX_REASON_LENGTH]
