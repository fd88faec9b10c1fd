"""Stored jobs: what a store has of a job, and what a done cell predicted on the test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater.leaderboard.show.short_names import shortened, shortened_tasks
from headwater.leaderboard.store.store import JobRow, Store
from headwater.registry import Kind, TaskType, directed
from headwater.registry.errors import BadSpec, DataError, HeadwaterError, NotApplicable

if TYPE_CHECKING:
    import numpy as np

    from headwater.harness.data.prepared import Prepared
    from headwater.registry import Registry, Task
    from headwater.registry.discovery import PluginLike


class MetricValues(NamedTuple):
    """The values of a metric; None for a split that it was not measured on.

    ``floor``: what is reached on test without a look at an image.
    """

    metric: str
    validation: float | None
    test: float | None
    floor: float | None


@dataclass(frozen=True)
class StoredJob:
    """A job as a store has it.

    Attributes:
        facts: Its row of the table ``jobs``.
        metrics: Its metrics, the job's own first.
        spec: The spec of the run that planned it.
        task_type: The name of its target's type.
        predictions: Where its predictions on test lie, if it has any.
        store: The file that holds it.
    """

    facts: Mapping[str, Any]
    metrics: tuple[MetricValues, ...]
    spec: Mapping[str, Any]
    task_type: str
    predictions: Path | None
    store: Path

    @property
    def id(self) -> str:
        return str(self.facts["job"])

    @property
    def title(self) -> str:
        """``source → task · adaptation · size · seed`` and the job's metric on test."""
        facts = self.facts
        source = shortened([facts["source"]])[facts["source"]]
        task = shortened_tasks([facts["task"]])[facts["task"]]
        size = "all images" if facts["size"] == "full" else f"{facts['size']} images"
        metric = directed(facts["metric"], facts["sign"])
        values = {row.metric: row.test for row in self.metrics if row.test is not None}
        if facts["metric"] in values:
            metric = f"{metric} {values[facts['metric']]:.3f}"
        seed = f"seed {facts['seed']}"
        return f"{source} → {task} · {facts['adaptation']} · {size} · {seed} · {metric}"


@dataclass(frozen=True)
class CellPredictions:
    """The predictions of a done cell with the test images and targets that they are of.

    Attributes:
        job: The cell.
        task: Its target.
        task_type: The type of the target.
        prepared: The data of the target at the cell's image size.
        predictions: (N, ...) float32, of the test images.
    """

    job: StoredJob
    task: Task
    task_type: TaskType
    prepared: Prepared
    predictions: np.ndarray

    def by_class(self) -> Mapping[str, Mapping[str, float]]:
        """Return metric -> class -> value on test; {} for types without values by class."""
        import torch

        predictions = torch.from_numpy(self.predictions)
        targets = torch.from_numpy(self.prepared.test.targets)
        return self.task_type.methods.by_class(predictions, targets, self.prepared.classes)


def stored_job(store: Store, start: str) -> StoredJob:
    """Return the job whose identity begins with these hex digits.

    Raises:
        UnknownName: No job, or more than one, begins so.
        HeadwaterError: The store cannot be read.
    """
    job = store.job(start)
    predictions = job.artifacts.get("predictions")
    return StoredJob(
        facts=job.row,
        metrics=_metrics(job, store),
        spec=job.spec,
        task_type=job.task_type,
        predictions=store.files / predictions if predictions else None,
        store=store.path,
    )


def _metrics(job: JobRow, store: Store) -> tuple[MetricValues, ...]:
    """Return the values of each metric that a job recorded, its own metric first."""
    identity = job.row["job"]
    by_split = store.metrics([identity]).get(identity, {})
    splits = [by_split.get(split, {}) for split in ("validation", "test", "floor")]
    names = {metric for values in by_split.values() for metric in values}
    ordered = sorted(names, key=lambda name: (name != job.row["metric"], name))
    return tuple(MetricValues(name, *(split.get(name) for split in splits)) for name in ordered)


def registry_of(job: StoredJob, plugins: Sequence[PluginLike] = ()) -> Registry:
    """Return a registry with the plugins of the run that planned the job, and these."""
    from headwater.registry import Registry

    named = [*job.spec.get("plugins", ()), *map(str, plugins)]
    return Registry.discover([*dict.fromkeys(named)])


def metric_signs(job: StoredJob, plugins: Sequence[PluginLike] = ()) -> Mapping[str, int]:
    """Return metric -> 1 where it should be high, -1 where it should be low.

    The job's own metric is always there; the others of its task type only where a plugin that is
    found has the type.
    """
    from headwater.registry import Registry

    try:
        registry = registry_of(job, plugins)
    except HeadwaterError:  # its plugins are elsewhere now, as where a store was copied from
        registry = Registry.discover()
    task_type = registry.cards[Kind.TASK_TYPE].get(job.task_type)
    signs = {job.facts["metric"]: job.facts["sign"]}
    if isinstance(task_type, TaskType):
        signs = {metric.name: metric.sign for metric in task_type.metrics} | signs
    return signs


def stored_predictions(job: StoredJob, plugins: Sequence[PluginLike] = ()) -> CellPredictions:
    """Return a done cell's predictions on test with the images they are of.

    The task's data are mapped, or decoded again where the cache no longer has them.

    Raises:
        NotApplicable: The job has no predictions.
        DataError: The task's data have changed since the cell was measured.
    """
    import numpy as np

    from headwater.harness.data.prepared import prepare

    path, registry = _predictions_file(job), registry_of(job, plugins)
    task = registry.task(job.facts["task"])
    task_type = registry.task_type(task.type)
    if not _is_as_measured(job, task, task_type, registry):
        raise _data_changed(job, task)
    predictions = np.load(path).astype(np.float32)
    prepared = prepare(task, task_type, job.spec["image_size"])
    if len(predictions) != len(prepared.test):  # a data set that is tied to no version
        raise _data_changed(job, task)
    return CellPredictions(job, task, task_type, prepared=prepared, predictions=predictions)


def _predictions_file(job: StoredJob) -> Path:
    """Return where a job's predictions lie; raises NotApplicable where it has none."""
    facts = job.facts
    if facts["kind"] != "adapt":
        raise NotApplicable(
            f"job {job.id} has no predictions: its kind is {facts['kind']}",
            subject=job.id,
            hint="Only cells predict: "
            f"headwater query 'SELECT job, source, task FROM cells' --store {job.store}",
        )
    if facts["state"] != "done":
        reason = f": {facts['reason']}" if facts["reason"] else ""
        raise NotApplicable(
            f"job {job.id} is {facts['state']}, not done{reason}",
            subject=job.id,
            hint=f"See what is left: headwater status --store {job.store}",
        )
    if job.predictions is None or "image_size" not in job.spec:
        raise NotApplicable(
            f"job {job.id} has no predictions: it was imported with its metrics only",
            subject=job.id,
        )
    if not job.predictions.is_file():
        raise NotApplicable(
            f"job {job.id}: its predictions are no longer at {job.predictions}",
            subject=job.id,
            hint="Bring the store's folder of files back, or measure the cell again: "
            "headwater run … --rerun all",
        )
    return job.predictions


def _is_as_measured(job: StoredJob, task: Task, task_type: TaskType, registry: Registry) -> bool:
    """Return whether the task's data and its type's code are those that the job was measured with.

    The job's protocol is a hash of both.
    """
    from headwater.harness.planning.jobs import Jobs
    from headwater.harness.planning.plan import Plan
    from headwater.harness.planning.spec import Spec

    jobs = Jobs(Plan(Spec.of(job.spec, where=f"the spec of job {job.id}"), registry))
    protocols = {jobs.protocol(task, task_type, trains) for trains in (True, False)}
    return job.facts["protocol"] in protocols


def _data_changed(job: StoredJob, task: Task) -> DataError:
    quoted = task.name.replace("'", "''")
    cells = f"SELECT job, source, adaptation FROM cells WHERE task = '{quoted}'"
    return DataError(
        f"the data of {task.name}, or the code that reads and measures them, "
        f"have changed since job {job.id} was measured",
        subject=task.name,
        hint="Give the same headwater run again, and look at its new cells: "
        f'headwater query "{cells}" --store {job.store}',
    )


def check_same_images(cells: Sequence[CellPredictions]) -> None:
    """Check that the predictions of all cells are of the same test images.

    Raises:
        BadSpec: They are not.
    """
    first = cells[0]
    for cell in cells[1:]:
        if cell.prepared.key != first.prepared.key:
            raise BadSpec(
                f"jobs {first.job.id} and {cell.job.id} have other test images: "
                f"{_images_of(first)}, {_images_of(cell)}",
                subject=cell.job.id,
                hint="Only cells of one task, at one image size, can be shown side by side.",
            )


def _images_of(cell: CellPredictions) -> str:
    return f"{cell.task.name} at {cell.job.spec['image_size']} px"
