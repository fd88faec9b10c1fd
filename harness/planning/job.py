"""A job: the unit that is planned, run, stored and resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headwater.harness.planning.spec import SOURCE_SEED, Training, Tuning
from headwater.leaderboard.store.records import JobRecord


@dataclass(frozen=True)
class Job:
    """A record of what the job is, and what a worker needs to run it.

    ``needs`` are jobs that must be done first; ``checkpoint`` the one that trained the source (for chains), ``beside`` those
    that trained further chains which the adaptation uses, by source, and ``features`` the one that extracted features.
    ``training`` is None where nothing is trained by gradient, ``tuning`` where nothing is searched. ``images``: how many it will
    about process, for forecasts; None where that is not known. ``extracted``: the subset that an estimate's features are of
    ("150"), "" for all images. ``keep``: leave the trained network as a checkpoint, for analyses. ``cells``: the networks that
    an analysis looks at: the jobs that train them, by role (``P-T``, ``RI-T``, ...).
    """

    record: JobRecord
    image_size: int
    validation: float
    training: Training | None = None
    checkpoint: str | None = None
    features: str | None = None
    tuning: Tuning | None = None
    images: int | None = None
    extracted: str = ""
    beside: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False
    cells: Mapping[str, Job] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.record.job

    @property
    def kind(self) -> str:
        return self.record.kind

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(
            need
            for need in (
                self.checkpoint,
                self.features,
                *self.beside.values(),
                *(cell.id for cell in self.cells.values()),
            )
            if need
        )

    @property
    def label(self) -> str:
        """How people read it: ``imagenet → pacs_sketch · fine_tune · n=150 · seed 1``."""
        record = self.record
        size = f"n={record.size}" if record.size not in ("", "full") else record.size
        seed = "" if record.seed in (None, SOURCE_SEED) else f"seed {record.seed}"
        words = [
            f"{record.source} → {record.task}",
            record.analysis or record.adaptation or record.kind,
            size,
            seed,
        ]
        return " · ".join(word for word in words if word)
