"""A plan: the jobs that a spec asks for, by identity."""

from __future__ import annotations

from dataclasses import dataclass, field

from headwater.harness.planning.job import Job
from headwater.harness.planning.spec import Spec
from headwater.registry import Registry, SourceModel, Task


@dataclass
class Plan:
    """Jobs by identity, in an order in which each comes after what it needs."""

    spec: Spec
    registry: Registry
    jobs: dict[str, Job] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Identity -> why it cannot apply."""
    notes: list[str] = field(default_factory=list)
    sources: dict[str, SourceModel] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    @property
    def cells(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.kind == "adapt"]

    @property
    def goals(self) -> list[Job]:
        """What was asked for; the other jobs run because these need them."""
        return [job for job in self.jobs.values() if job.kind in ("adapt", "analyse", "estimate")]

    def note(self, note: str) -> None:
        """What whoever reads the plan should know, once."""
        if note not in self.notes:
            self.notes.append(note)
