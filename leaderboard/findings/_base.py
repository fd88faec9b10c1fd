"""What a finding is: a claim from a paper, the view it rests on, and how rows of that view become a
verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MENSINK = (
    "Mensink et al., Factors of Influence for Transfer Learning (TPAMI 2022, arXiv 2103.13318)"
)
NEYSHABUR = "Neyshabur, Sedghi, Zhang, What is being transferred in transfer learning? (NeurIPS 2020, arXiv 2008.11687)"


class Verdict(StrEnum):
    """What the recorded outcomes say of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    CANNOT_TELL = "cannot tell"
    NOT_ENOUGH = "not enough data"

    @classmethod
    def of(cls, low: float, high: float, against: float = 0.0, wants: int = 1) -> Verdict:
        """By where an interval lies: wholly on the side of ``against`` that the claim ``wants`` (+1
        above, -1 below), or not.
        """
        if low > against or high < against:
            return cls.SUPPORTED if (low > against) == (wants > 0) else cls.CONTRADICTED
        return cls.CANNOT_TELL


@dataclass(frozen=True)
class FindingPart:
    """A statistic of a finding, with its interval at 95 % and what it rests on.

    ``value`` is None where there are no rows, ``low`` and ``high`` where targets are too few.
    ``unit``: how the value reads (share, epochs, s, nats, "" for gains and correlations).
    ``decides``: whether the finding's verdict rests on it; a part whose ``verdict`` is None only
    informs. ``smallest_effect``: the distance from the null that would have been seen with 80 %.
    ``by_target``: the value in each target, where it has one.
    """

    claim: str
    meaning: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    targets: int = 0
    families: int = 0
    cells: int = 0
    verdict: Verdict | None = Verdict.NOT_ENOUGH
    decides: bool = True
    unit: str = ""
    published: float | None = None
    missing: str = ""
    smallest_effect: float | None = None
    by_target: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FindingRows:
    """The rows that count, by view."""

    frames: Mapping[str, pd.DataFrame]

    def rows(self, view: str) -> pd.DataFrame:
        return self.frames[view]


@dataclass(frozen=True)
class Finding:
    """A claim, where it was made, what is computed, and when that supports or contradicts it.

    ``views`` are what it rests on, the first one the rows to look at; ``examine`` turns their rows
    into parts.
    """

    id: str
    claim: str
    paper: str
    definition: str
    rule: str
    views: tuple[str, ...]
    examine: Callable[[FindingRows], Sequence[FindingPart]]


_GRAVEST_FIRST = (Verdict.CONTRADICTED, Verdict.NOT_ENOUGH, Verdict.CANNOT_TELL)


@dataclass(frozen=True)
class FindingResult:
    """What the rows say of one finding."""

    finding: Finding
    parts: tuple[FindingPart, ...]

    @property
    def verdict(self) -> Verdict:
        """Supported where every part that decides is; else the gravest of their verdicts."""
        deciding = {part.verdict for part in self.parts if part.decides}
        return next(
            (verdict for verdict in _GRAVEST_FIRST if verdict in deciding), Verdict.SUPPORTED
        )
