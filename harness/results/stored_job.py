"""Stored jobs: what a store has of one, and what a done cell answered on the test images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater.leaderboard.show.short_names import shortened, shortened_tasks
from headwater.leaderboard.store.store import Store
from headwater.registry import Kind, TaskType, directed
from headwater.registry.errors import BadSpec, DataError, HeadwaterError, NotApplicable, UnknownName

if TYPE_CHECKING:
    import numpy as np

    from headwater.harness.data.prepared import Prepared
    from headwater.registry import Registry, Task
    from headwater.registry.discovery import PluginLike


class MetricValues(NamedTuple):
    """A metric's values; None where it was not measured on that split."""

    metric: str
    validation: float | None
    test: float | None


@dataclass(frozen=True)
class StoredJob:
    """A job's row of the table ``jobs``, its metrics, its own first, and where its predictions on test lie.

    ``spec`` is that of the run that planned it, ``task_type`` the name of its target's, ``store`` the file that holds it.
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
        """Source → task · adaptation · size · seed · its metric on test."""
        facts = self.facts
        source, task = (
            shortened([facts["source"]])[facts["source"]],
            shortened_tasks([facts["task"]])[facts["task"]],
        )
        size = "all images" if facts["size"] == "full" else f"{facts['size']} images"
        value = next(
            (
                f" {found.test:.3f}"
                for found in self.metrics
                if found.metric == facts["metric"] and found.test is not None
            ),
            "",
        )
        metric = directed(facts["metric"], facts["sign"])
        return f"{source} → {task} · {facts['adaptation']} · {size} · seed {facts['seed']} · {metric}{value}"


@dataclass(frozen=True)
class CellPredictions:
    """A done cell's predictions (N, ...) float32 beside the test images and targets that they are of."""

    job: StoredJob
    task: Task
    task_type: TaskType
    prepared: Prepared
    predictions: np.ndarray

    def by_class(self) -> Mapping[str, Mapping[str, float]]:
        """Metric -> class -> value on test; empty for types whose classes have no values of their own."""
        import torch

        tensors = torch.from_numpy(self.predictions), torch.from_numpy(self.prepared.test.targets)
        return self.task_type.methods.by_class(*tensors, self.prepared.classes)


def stored_job(store: Store, start: str) -> StoredJob:
    """The job whose identity begins with these hex digits; raises UnknownName, and what reading a store raises."""
    found = store.sql(f"SELECT * FROM jobs WHERE starts_with(job, '{start}')", rows=2)
    if len(found.rows) != 1:
        problem = "more than one job starts" if found.rows else "no job starts"
        hint = f"headwater query 'SELECT job, source, task FROM jobs' --store {store.path}"
        raise UnknownName(f"{problem} with {start} in {store.path}", subject=start, hint=hint)
    facts = dict(zip(found.columns, found.rows[0], strict=True))
    job = facts["job"]
    metrics = store.sql(
        "SELECT metric, any_value(value) FILTER (split = 'validation'), any_value(value) FILTER (split = 'test') "
        f"FROM metrics WHERE job = '{job}' GROUP BY metric ORDER BY metric <> '{facts['metric']}', metric"
    ).rows
    specs = store.sql(f"SELECT spec FROM runs WHERE run = '{facts['run']}'").rows
    spec = json.loads(specs[0][0]) if specs else {}
    types = store.sql(
        f"SELECT type FROM tasks WHERE name = (SELECT task FROM jobs WHERE job = '{job}')"
    ).rows
    kept = store.sql(
        f"SELECT path FROM artifacts WHERE job = '{job}' AND role = 'predictions'"
    ).rows
    predictions = store.files / kept[0][0] if kept else None
    return StoredJob(
        facts,
        tuple(MetricValues(*row) for row in metrics),
        spec,
        types[0][0] if types else "",
        predictions,
        store.path,
    )


def registry_of(job: StoredJob, plugins: Sequence[PluginLike] = ()) -> Registry:
    """With the plugins of the run that planned it, and these."""
    from headwater.registry import Registry

    return Registry.discover([*dict.fromkeys([*job.spec.get("plugins", ()), *map(str, plugins)])])


def metric_signs(job: StoredJob, plugins: Sequence[PluginLike] = ()) -> Mapping[str, int]:
    """Metric -> 1 where it should be high, -1 where low: of the job's own, and of its type's others where the type is known."""
    from headwater.registry import Registry

    try:
        registry = registry_of(job, plugins)
    except HeadwaterError:  # its plugins are elsewhere now, as where a store was copied from
        registry = Registry.discover()
    known = registry.cards[Kind.TASK_TYPE].get(job.task_type)
    others = (
        {metric.name: metric.sign for metric in known.metrics}
        if isinstance(known, TaskType)
        else {}
    )
    return others | {job.facts["metric"]: job.facts["sign"]}


def stored_predictions(job: StoredJob, plugins: Sequence[PluginLike] = ()) -> CellPredictions:
    """A done cell's predictions on test, the task's data mapped, or decoded again where the cache no longer has them.

    Raises NotApplicable for a job that has no predictions, and DataError where they are not of the data that the task has now.
    """
    import numpy as np

    from headwater.harness.data.prepared import prepare

    path, registry = _predictions(job), registry_of(job, plugins)
    task = registry.task(job.facts["task"])
    task_type = registry.task_type(task.type)
    if not _is_as_measured(job, task, task_type, registry):
        raise _changed(job, task)
    found = CellPredictions(
        job,
        task,
        task_type,
        prepare(task, task_type, job.spec["image_size"]),
        np.load(path).astype(np.float32),
    )
    if len(found.predictions) != len(found.prepared.test):  # a data set that is tied to no version
        raise _changed(job, task)
    return found


def _predictions(job: StoredJob) -> Path:
    """Where they lie."""
    facts = job.facts
    if facts["kind"] != "adapt":
        what = {
            "pretrain": "trains a chain",
            "features": "extracts features",
            "estimate": "scores a source",
            "analyse": "is an analysis",
        }
        hint = f"Predictions are kept of cells: headwater query 'SELECT job, source, task FROM cells' --store {job.store}"
        raise NotApplicable(
            f"job {job.id} {what.get(facts['kind'], 'is no cell')}: it predicts nothing",
            subject=job.id,
            hint=hint,
        )
    if facts["state"] != "done":
        reason = f": {facts['reason']}" if facts["reason"] else ""
        hint = f"See where it stands: headwater status --store {job.store}"
        raise NotApplicable(
            f"job {job.id} is {facts['state']}, not done{reason}", subject=job.id, hint=hint
        )
    if job.predictions is None or "image_size" not in job.spec:
        raise NotApplicable(
            f"job {job.id} has its numbers only, no predictions: it was imported", subject=job.id
        )
    if not job.predictions.is_file():
        hint = "Bring the store's folder of files back, or measure it again: headwater run … --rerun all"
        raise NotApplicable(
            f"job {job.id}: its predictions are no longer at {job.predictions}",
            subject=job.id,
            hint=hint,
        )
    return job.predictions


def _is_as_measured(job: StoredJob, task: Task, task_type: TaskType, registry: Registry) -> bool:
    """Whether the task's data and its type's code are those under which the job was measured: its protocol is a hash of both."""
    from headwater.harness.planning.jobs import Jobs
    from headwater.harness.planning.plan import Plan
    from headwater.harness.planning.spec import Spec

    jobs = Jobs(Plan(Spec.of(job.spec, where=f"the spec of job {job.id}"), registry))
    return job.facts["protocol"] in {
        jobs.protocol(task, task_type, trains) for trains in (True, False)
    }


def _changed(job: StoredJob, task: Task) -> DataError:
    message = f"the data of {task.name}, or the code that reads and measures them, are others now than when job {job.id} was measured"
    quoted = task.name.replace("'", "''")
    cells = f"SELECT job, source, adaptation FROM cells WHERE task = '{quoted}'"
    hint = f'Give the same headwater run again, and look at its new cells: headwater query "{cells}" --store {job.store}'
    return DataError(message, subject=task.name, hint=hint)


def check_same_images(cells: Sequence[CellPredictions]) -> None:
    """Raises BadSpec unless the cells answered the same test images."""
    first = cells[0]
    for other in cells[1:]:
        if other.prepared.key != first.prepared.key:
            one, two = (
                f"{cell.task.name} at {cell.job.spec['image_size']} px" for cell in (first, other)
            )
            raise BadSpec(
                f"jobs {first.job.id} and {other.job.id} have other test images: {one}, {two}",
                subject=other.job.id,
                hint="Only cells of one task, at one image size, can be shown side by side.",
            )
