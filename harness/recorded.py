"""Recorded jobs: what a store has of one, and what a done cell answered on the test images."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderboard.short_names import shortened, shortened_tasks
from leaderboard.store import Store
from registry.errors import BadSpec, DataError, NotApplicable, UnknownName

if TYPE_CHECKING:
    import numpy as np

    from harness.data.prepared import Prepared
    from registry import Task, TaskType
    from registry.discovery import PluginLike

TOLERANCE = 0.02
"""How far a metric of the predictions as kept, rounded to half precision, may lie from the one recorded, as a share of it or of 1."""


class Measured(NamedTuple):
    """A metric's values; None where it was not measured on that split."""

    metric: str
    validation: float | None
    test: float | None


@dataclass(frozen=True)
class Recorded:
    """A job's row of the table ``jobs``, its metrics, its own first, and where its predictions on test lie.

    ``image_size`` and ``plugins`` are those of the run that planned it.
    """

    facts: Mapping[str, Any]
    metrics: tuple[Measured, ...]
    image_size: int | None
    plugins: tuple[str, ...]
    predictions: Path | None

    @property
    def job(self) -> str:
        return str(self.facts["job"])

    @property
    def title(self) -> str:
        """Source → task · adaptation · size · seed · its metric on test."""
        facts = self.facts
        source, task = shortened([facts["source"]])[facts["source"]], shortened_tasks([facts["task"]])[facts["task"]]
        size = "all images" if facts["size"] == "full" else f"{facts['size']} images"
        value = next((f" {found.test:.3f}" for found in self.metrics if found.metric == facts["metric"] and found.test is not None), "")
        return f"{source} → {task} · {facts['adaptation']} · {size} · seed {facts['seed']} · {facts['metric']}{value}"


@dataclass(frozen=True)
class Seen:
    """A done cell's predictions (N, ...) float32 beside the test images and targets that they are of."""

    recorded: Recorded
    task: Task
    task_type: TaskType
    prepared: Prepared
    predictions: np.ndarray

    def by_class(self) -> Mapping[str, Mapping[str, float]]:
        """Metric -> class -> value on test; empty for types whose classes have no values of their own."""
        import torch

        tensors = torch.from_numpy(self.predictions), torch.from_numpy(self.prepared.test.targets)
        return self.task_type.methods.by_class(*tensors, self.prepared.classes)


def recorded(store: Store, start: str) -> Recorded:
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
    kept = store.sql(f"SELECT path FROM artifacts WHERE job = '{job}' AND role = 'predictions'").rows
    return Recorded(
        facts,
        tuple(Measured(*row) for row in metrics),
        spec.get("image_size"),
        tuple(spec.get("plugins", ())),
        store.files / kept[0][0] if kept else None,
    )


def seen(job: Recorded, plugins: Sequence[PluginLike] = ()) -> Seen:
    """A done cell's predictions on test, the task's data mapped, or decoded again where the cache no longer has them.

    Raises NotApplicable for a job that has no predictions, and DataError where they are not of the data that the task has now.
    """
    import numpy as np

    from harness.data.prepared import prepare
    from registry import Registry

    path, size = _predictions(job)
    registry = Registry.discover([*dict.fromkeys([*map(str, job.plugins), *map(str, plugins)])])
    task = registry.task(job.facts["task"])
    task_type = registry.task_type(task.type)
    found = Seen(job, task, task_type, prepare(task, task_type, size), np.load(path).astype(np.float32))
    _check(found)
    return found


def _predictions(job: Recorded) -> tuple[Path, int]:
    """Where they lie, and the side of the images they are of."""
    facts = job.facts
    if facts["kind"] != "adapt":
        what = {"pretrain": "trains a chain", "features": "extracts features", "estimate": "scores a source", "analyse": "is an analysis"}
        hint = "Predictions are kept of cells: headwater query 'SELECT job, source, task FROM cells'"
        raise NotApplicable(f"job {job.job} {what.get(facts['kind'], 'is no cell')}: it predicts nothing", subject=job.job, hint=hint)
    if facts["state"] != "done":
        reason = f": {facts['reason']}" if facts["reason"] else ""
        raise NotApplicable(
            f"job {job.job} is {facts['state']}, not done{reason}", subject=job.job, hint="See where it stands: headwater status"
        )
    if job.predictions is None or job.image_size is None:
        raise NotApplicable(f"job {job.job} has its numbers only, no predictions: it was imported", subject=job.job)
    if not job.predictions.is_file():
        hint = "Bring the store's folder of files back, or measure it again: headwater run … --rerun all"
        raise NotApplicable(f"job {job.job}: its predictions are no longer at {job.predictions}", subject=job.job, hint=hint)
    return job.predictions, int(job.image_size)


def _check(found: Seen) -> None:
    """That these predictions of these targets come to the metric that was recorded: a task may have changed since."""
    import torch

    predictions, targets, metric = found.predictions, found.prepared.test.targets, found.recorded.facts["metric"]
    hint = "Its data, or the code of its type, are others now: run the benchmark again, and look at the new job."
    if len(predictions) != len(targets):
        message = f"job {found.recorded.job} predicted {len(predictions)} test images, {found.task.name} has {len(targets)} now"
        raise DataError(message, subject=found.task.name, hint=hint)
    before = next((known.test for known in found.recorded.metrics if known.metric == metric), None)
    now = found.task_type.methods.measure(torch.from_numpy(predictions), torch.from_numpy(targets))[metric]
    if before is not None and not math.isnan(before) and not math.isclose(before, now, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        message = (
            f"job {found.recorded.job} reached {metric} {before:.3f}; its predictions come to {now:.3f} on what {found.task.name} is now"
        )
        raise DataError(message, subject=found.task.name, hint=hint)


def comparable(cells: Sequence[Seen]) -> None:
    """Raises BadSpec unless the cells answered the same test images."""
    first = cells[0]
    for other in cells[1:]:
        if other.prepared.key != first.prepared.key:
            one, two = (f"{cell.task.name} at {cell.recorded.image_size} px" for cell in (first, other))
            raise BadSpec(
                f"jobs {first.recorded.job} and {other.recorded.job} have other test images: {one}, {two}",
                subject=other.recorded.job,
                hint="Only cells of one task, at one image size, can be shown side by side.",
            )
