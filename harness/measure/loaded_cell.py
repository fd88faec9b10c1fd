"""Load a job's cell: its cards, its images and its subset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headwater.harness.data.prepared import Prepared
from headwater.harness.data.subset import Subset, draw_subset
from headwater.harness.measure.tuning import TrialSetting
from headwater.harness.measure.workbench import Workbench
from headwater.harness.planning.job import Job
from headwater.harness.planning.spec import Training
from headwater.registry import Adaptation, SourceModel, Task, TaskType
from headwater.registry.errors import NotApplicable
from headwater.registry.names import Value


@dataclass(frozen=True)
class LoadedCell:
    """What one training works on, as every trial and every analysis of it finds it."""

    job: Job
    source: SourceModel
    task: Task
    task_type: TaskType
    card: Adaptation
    options: Mapping[str, Value]
    prepared: Prepared
    chosen: Subset

    def at(self, setting: TrialSetting) -> LoadedCell:
        """The same cell under another recipe or other options."""
        return replace(
            self, job=replace(self.job, training=setting.training), options=setting.options
        )

    @property
    def settings(self) -> Training:
        assert self.job.training is not None, (
            "the planner gives every image-trained cell its budget"
        )
        return self.job.training

    @property
    def seed(self) -> int:
        return self.job.record.seed or 0

    @property
    def sees_labels(self) -> bool:
        return self.card.sees_labels(self.options)


def load_cell(job: Job, bench: Workbench) -> LoadedCell:
    """A job's cell, images mapped; raises NotApplicable for a subset that the task cannot fill."""
    record = job.record
    source, task = bench.registry.source(record.source), bench.registry.task(record.task)
    card, options = bench.registry.adaptation(record.adaptation)
    task_type, prepared = bench.task_type(task), bench.prepared(task, job.image_size)
    try:
        chosen = draw_subset(
            task_type.methods.strata(prepared.train.targets),
            record.size,
            record.seed or 0,
            job.validation,
        )
    except NotApplicable as error:
        raise NotApplicable(
            f"{task.name}: {error.message}", subject=task.name, hint=error.hint
        ) from None
    return LoadedCell(job, source, task, task_type, card, options, prepared, chosen)
