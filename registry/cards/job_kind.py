"""Job kinds: what a worker can be asked to do, and how the planner and the schedule treat it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from headwater.registry.cards.card import Card, Kind, summary_of
from headwater.registry.cards.source_model import SourceModel
from headwater.registry.cards.task import Task
from headwater.registry.identity import code_of

Role = Literal["cell", "goal", "dependency"]
"""``cell``: one measurement of an adapted source, counted as a cell. ``goal``: something else that
a spec asks for. ``dependency``: runs only because a cell or goal needs it, and before them."""


class Planning(Protocol):
    """The part of a plan that the ``plan`` of a job kind works with.

    Attributes:
        spec: The ``headwater.Spec`` that is planned.
        registry: The ``headwater.Registry`` that its names are looked up in.
        pairs: Every source and target task of the spec, chains without their target included.
    """

    @property
    def spec(self) -> Any: ...

    @property
    def registry(self) -> Any: ...

    @property
    def pairs(self) -> Sequence[tuple[SourceModel, Task]]: ...

    def add(
        self,
        source: SourceModel,
        task: Task,
        *,
        size: str = "",
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """Plan one job of the kind, with the training of the source if it is a chain.

        Args:
            source: The source that the job is about.
            task: The task that the job is about.
            size: Target training images: ``"50"``, ``"full"``, or "" if the job uses none.
            seed: The seed, or None if chance plays no part.
            options: Further settings that decide the result. JSON values.

        Returns:
            The job's identity: a hash of the kind's code, the weights, the data and all arguments.
        """
        ...


def _no_files(job: Any, files: Any) -> Iterable[Path]:
    return ()


def _no_batch(job: Any) -> Hashable:
    return None


@dataclass(frozen=True, kw_only=True)
class JobKind(Card):
    """A kind of job.

    Attributes:
        run: ``run(job, bench, report) -> headwater.JobResult``, on a worker. ``job`` is the
            ``headwater.Job``; ``bench`` the worker's ``headwater.Workbench`` with the registry,
            the prepared data and the built networks; ``report(epoch, epochs, value, images)``
            shows progress, and ends the job when the run is ended. Import torch inside it:
            planning and reading need no torch.
        plan: ``plan(planning) -> None`` adds jobs of this kind with ``planning.add``; called if
            the spec's key ``jobs`` names the kind. None for kinds that the planner plans itself.
        role: How the job counts (see ``Role``).
        plural: What several jobs are called in the summary of a plan, such as "estimates".
        files: ``files(job, files) -> paths`` that a done job left for others. If one is gone, the
            job runs again before a job that needs it.
        batch_key: Jobs with equal keys can be solved in one call of ``run_batch``; None: alone.
        run_batch: ``run_batch(jobs, bench, report)`` -> for each job its JobResult or the
            exception that ended it.
        notes_flaws: Add the flaws of the tasks' annotations to the note on the result.
    """

    kind: ClassVar[Kind] = Kind.JOB_KIND
    list_columns: ClassVar[tuple[str, ...]] = ("name", "role", "summary")

    run: Callable[[Any, Any, Any], Any] = field(repr=False)
    plan: Callable[[Planning], None] | None = field(default=None, repr=False)
    role: Role = "goal"
    plural: str = ""
    files: Callable[[Any, Any], Iterable[Path]] = field(default=_no_files, repr=False)
    batch_key: Callable[[Any], Hashable] = field(default=_no_batch, repr=False)
    run_batch: Callable[[Sequence[Any], Any, Any], Sequence[Any]] | None = field(
        default=None, repr=False
    )
    notes_flaws: bool = True

    def facts(self) -> dict[str, Any]:
        """Return the card's plain fields and whether a spec can ask for it by name."""
        facts = super().facts() | {"planned_by_name": self.plan is not None}
        facts.pop("plan", None)
        facts.pop("run_batch", None)
        return facts


def job_kind(
    name: str,
    *,
    summary: str = "",
    plan: Callable[[Planning], None] | None = None,
    role: Role = "goal",
    **facts: Any,
) -> Callable[[Callable[[Any, Any, Any], Any]], JobKind]:
    """Register a kind of job: decorates what a worker does with one job.

    Args:
        name: The name; what the store has in the column ``jobs.kind``.
        summary: One line for ``headwater list job-kinds``; default: the docstring's first line.
        plan: Adds the jobs of a spec that names the kind in its key ``jobs``.
        role: How the jobs count (see ``Role``).
        **facts: Further fields of JobKind.
    """

    def make(run: Callable[[Any, Any, Any], Any]) -> JobKind:
        code = facts.pop("code", None) or code_of(run)
        summary_or_docstring = summary or summary_of(run)
        return JobKind(
            name=name,
            summary=summary_or_docstring,
            run=run,
            plan=plan,
            role=role,
            code=code,
            **({"plural": f"{name} jobs"} | facts),
        )

    return make
