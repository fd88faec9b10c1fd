"""A job: the unit that is planned, run, stored and resumed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from headwater.harness.planning.spec import MAX_SOURCE_SEEDS, SOURCE_SEED, Training, Tuning
from headwater.leaderboard.store.records import JobRecord
from headwater.registry.cards.job_kind import Role


@dataclass(frozen=True)
class Job:
    """The record of a job, and what a worker needs to run it.

    Attributes:
        record: Identity and coordinates.
        image_size: Side of the square images, in pixels.
        validation: Share of the training images that is kept for choices.
        training: The recipe; None if nothing is trained by gradient.
        checkpoint: The job that trained the source, for chains.
        features: The job that extracted the features that this one reads.
        tuning: The search for hyper-parameters; None if nothing is searched.
        images: About how many images the job processes, for forecasts; None if not known.
        extracted: The subset of which the features are ("150"); "" for all images.
        extra_checkpoints: The jobs that trained further chains which the adaptation uses, by
            source.
        keep: Leave the trained network as a checkpoint, for analyses.
        cells: The jobs that train the networks which an analysis looks at, by role (``P-T``).
        role: How the job counts; set from its kind when the job is added to a plan.
        batch_key: Jobs with equal keys can be solved in one call; None: run alone. Set likewise.
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
    extra_checkpoints: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False
    cells: Mapping[str, Job] = field(default_factory=dict)
    role: Role = "goal"
    batch_key: Hashable = None

    @property
    def id(self) -> str:
        return self.record.job

    @property
    def kind(self) -> str:
        return self.record.kind

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the jobs that must be done before this one."""
        dependencies = [self.checkpoint, self.features, *self.extra_checkpoints.values()]
        dependencies += [cell.id for cell in self.cells.values()]
        return tuple(job for job in dependencies if job)

    @property
    def label(self) -> str:
        """Return what people call it: ``imagenet → pacs_sketch · fine_tune · n=150 · seed 1``."""
        record = self.record
        size = record.size
        if size not in ("", "full"):
            size = f"n={size}"
        seed = ""
        if record.seed is not None and record.seed != SOURCE_SEED:
            nth_training = SOURCE_SEED - record.seed + 1
            is_source_step = nth_training <= MAX_SOURCE_SEEDS
            seed = f"training {nth_training}" if is_source_step else f"seed {record.seed}"
        what = record.analysis or record.adaptation or record.kind
        parts = [f"{record.source} → {record.task}", what, size, seed]
        return " · ".join(part for part in parts if part)
