"""A plan: the jobs that a spec asks for, by identity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from headwater.harness.planning.job import Job
from headwater.harness.planning.spec import Spec
from headwater.registry import Registry, SourceModel, Task


@dataclass
class Plan:
    """The jobs of a spec, each after the jobs that it needs.

    Attributes:
        spec: What was asked for.
        registry: Where its names were looked up.
        jobs: The jobs by identity.
        skipped: Identity -> why that job does not apply.
        notes: What whoever reads the plan should know.
        sources: The sources of the jobs by name.
        tasks: The tasks of the jobs by name.
    """

    spec: Spec
    registry: Registry
    jobs: dict[str, Job] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sources: dict[str, SourceModel] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    def add(self, job: Job) -> None:
        """Add a job unless the plan has it; its kind decides how it counts and what runs with it."""
        if job.id in self.jobs:
            return
        kind = self.registry.job_kind(job.kind)
        self.jobs[job.id] = replace(job, role=kind.role, batch_key=kind.batch_key(job))

    @property
    def cells(self) -> list[Job]:
        """Return the jobs that measure an adapted source."""
        return [job for job in self.jobs.values() if job.role == "cell"]

    @property
    def goals(self) -> list[Job]:
        """Return the jobs that were asked for; the others run because these need them."""
        return [job for job in self.jobs.values() if job.role != "dependency"]

    def note(self, note: str) -> None:
        """Add a note for whoever reads the plan, once."""
        if note not in self.notes:
            self.notes.append(note)
