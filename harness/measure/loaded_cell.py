"""Load a job's cell: its cards, its images and its subset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headwater.harness.data.prepared import Prepared
from headwater.harness.data.subset import Subset, draw_subset
from headwater.harness.measure.batches import steps_per_epoch
from headwater.harness.measure.tuning import TrialSetting
from headwater.harness.measure.workbench import Workbench
from headwater.harness.planning.job import Job
from headwater.harness.planning.recipes import Recipe, resolve
from headwater.registry import Adaptation, SourceModel, Task, TaskType
from headwater.registry.errors import NotApplicable
from headwater.registry.names import Value


@dataclass(frozen=True)
class LoadedCell:
    """A cell with all that a training of it needs; every trial and every analysis of the cell finds
    the same.

    Attributes:
        card: The adaptation.
        options: The adaptation's options.
        prepared: The task's images and targets, mapped.
        chosen: The subset of the training split, with its validation images.
    """

    job: Job
    source: SourceModel
    task: Task
    task_type: TaskType
    card: Adaptation
    options: Mapping[str, Value]
    prepared: Prepared
    chosen: Subset

    def with_setting(self, setting: TrialSetting) -> LoadedCell:
        """Return the cell under another recipe and other options."""
        job = replace(self.job, training=setting.training)
        return replace(self, job=job, options=setting.options)

    @property
    def settings(self) -> Recipe:
        """The recipe, with every key filled."""
        training = self.job.training
        assert isinstance(training, Recipe), "load_cell resolves every image-trained cell's recipe"
        return training

    @property
    def seed(self) -> int:
        return self.job.record.seed or 0

    @property
    def sees_labels(self) -> bool:
        """True if the adaptation may see the target's labels."""
        return self.card.sees_labels(self.options)


def load_cell(job: Job, bench: Workbench) -> LoadedCell:
    """Load a job's cell, its images mapped; raises NotApplicable for a subset that the task cannot
    fill.
    """
    record = job.record
    registry = bench.registry
    source = registry.source(record.source)
    task = registry.task(record.task)
    card, options = registry.adaptation(record.adaptation)
    task_type = bench.task_type(task)
    prepared = bench.prepared(task, job.image_size)
    try:
        strata = task_type.methods.strata(prepared.train.targets)
        chosen = draw_subset(strata, record.size, seed=record.seed or 0, validation=job.validation)
    except NotApplicable as error:
        message = f"{task.name}: {error.message}"
        raise NotApplicable(message, subject=task.name, hint=error.hint) from None
    if job.training:
        recipe = resolve(
            job.training,
            bench.family(source, job),
            is_random=source.random,
            steps_per_epoch=steps_per_epoch(len(chosen.train), job.training.batch_size),
        )
        job = replace(job, training=recipe)
    return LoadedCell(
        job=job,
        source=source,
        task=task,
        task_type=task_type,
        card=card,
        options=options,
        prepared=prepared,
        chosen=chosen,
    )
