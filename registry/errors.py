"""Every error Headwater raises on purpose.

    HeadwaterError
    ├── UnknownName        no card answers to that name
    ├── BadName            a name that cannot be read
    ├── BadSpec            a benchmark spec, or an option, that cannot be used
    ├── BadPlugin          a plugin file, or a card in it, that breaks its contract
    ├── DataError          a task's data cannot be used: a corrupt image, an empty class, ...
    ├── WeightsError       a weights file is missing, of the wrong shape, or unsafe
    ├── TrainingError      a training that came to nothing: a loss that is not a number
    ├── MissingLayer       what is asked for needs a part of the package that is not installed
    ├── NotApplicable      this adaptation or size cannot apply here: the cell is skipped
    │   └── NoEstimates    no source in question has a score by the estimator that ranks them
    ├── JobLost            the machinery failed, not the job: a killed worker, a lost node
    ├── JobTimeout         a job ran past its time limit
    ├── StoreError         the outcomes' database
    │   ├── StoreMissing   there is none at that path
    │   ├── NotAStore      the file is something else
    │   ├── NewerStore     written by a newer Headwater
    │   ├── StoreBusy      another process holds it
    │   └── StoreUnwritable  a full or read-only disk
    └── QueryError         a query that is refused or fails

Each carries the object it is about (``subject``) and what to type next (``hint``). The command line
prints both without a traceback and exits with ``exit_status``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class HeadwaterError(Exception):
    """Tells what went wrong, with which object, and what to do next.

    Attributes:
        message: What went wrong.
        subject: The object that it is about: a name, a path, a key.
        hint: What to type next; "" if nothing helps.
        exit_status: What the command line exits with; 2 where the user's input is at fault.
    """

    exit_status: int = 1

    def __init__(self, message: str, *, subject: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders; the default would drop the keyword arguments.
        return _rebuild, (type(self), self.message, self.subject, self.hint)


def _rebuild(kind: type[HeadwaterError], message: str, subject: str, hint: str) -> HeadwaterError:
    return kind(message, subject=subject, hint=hint)


class UnknownName(HeadwaterError):
    exit_status = 2


class BadName(HeadwaterError):
    exit_status = 2


class BadSpec(HeadwaterError):
    exit_status = 2


class BadPlugin(HeadwaterError):
    exit_status = 2


class DataError(HeadwaterError):
    pass


class WeightsError(HeadwaterError):
    @classmethod
    def no_file_at(cls, path: str | Path, *, source: str = "") -> WeightsError:
        """Return the error of a weights file that is missing.

        Args:
            path: Where the file should be.
            source: The source whose card names the path; "" where none does.
        """
        place = Path(path)
        owner = f"{source}: " if source else ""
        hint = "Put the file there, or correct the path"
        if source:
            hint += f" in weights= of {source}"
        if not place.is_absolute():
            hint += f"; relative paths start at {Path.cwd()}"
        return cls(
            f"{owner}there is no weights file at {place.absolute()}",
            subject=source or str(path),
            hint=f"{hint}.",
        )


class TrainingError(HeadwaterError):
    pass


class MissingLayer(HeadwaterError):
    exit_status = 2


class NotApplicable(HeadwaterError):
    pass


class NoEstimates(NotApplicable):
    pass


class JobLost(HeadwaterError):
    pass


class JobTimeout(HeadwaterError):
    pass


class StoreError(HeadwaterError):
    pass


class StoreMissing(StoreError):
    exit_status = 2


class NotAStore(StoreError):
    exit_status = 2


class NewerStore(StoreError):
    exit_status = 2


class StoreBusy(StoreError):
    pass


class StoreUnwritable(StoreError):
    pass


class QueryError(HeadwaterError):
    exit_status = 2
