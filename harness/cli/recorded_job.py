"""What ``headwater info JOB`` prints and draws of stored jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from headwater.harness.results.stored_job import StoredJob
    from headwater.leaderboard import Store

_JOB = re.compile(r"[0-9a-f]{8,20}")
_SHORT = 8
"""Digits of an identity in a file's name: the fewest that ``info`` takes."""


def is_job(name: str) -> bool:
    """Whether a name is the identity of a job, or its first digits."""
    return bool(_JOB.fullmatch(name))


def print_job(store: Store, name: str, plugins: Sequence[Path], format_: str) -> None:
    """A job's facts, its metrics, and of a done cell those of each class; as data they are facts too."""
    from headwater.harness.results.stored_job import metric_signs, stored_job
    from headwater.leaderboard.show.tables import Column, Table
    from headwater.registry import directed

    job = stored_job(store, name)
    facts = [[key, value] for key, value in job.facts.items() if value not in (None, "")]
    by_class, classes, notes = _by_class(job, plugins)
    if format_ in ("json", "csv"):
        metrics = {
            split: {found.metric: getattr(found, split) for found in job.metrics}
            for split in ("validation", "test")
        }
        Table(
            f"job {job.id}",
            ["fact", "value"],
            [*facts, ["metrics", metrics], ["by_class", by_class]],
            notes,
        ).print(format_)
        return
    Table(f"job {job.id}", ["fact", "value"], facts).print(format_)
    if job.metrics:
        sign = metric_signs(job, plugins)
        metric = Column(
            "metric", show=lambda name: directed(name, sign[name]) if name in sign else name, rank=0
        )
        Table("metrics", [metric, "validation", "test"], job.metrics, notes).print(format_)
    if by_class:
        plural, singular = classes
        Table(f"{plural}, on test", [singular, *by_class], _class_rows(by_class)).print(format_)


def _by_class(
    job: StoredJob, plugins: Sequence[Path]
) -> tuple[Mapping[str, Mapping[str, float]], tuple[str, str], list[str]]:
    """Metric -> class -> value, what its classes are called (points, point), and why there is none where there could be."""
    from headwater.harness.results.stored_job import stored_predictions
    from headwater.registry.errors import HeadwaterError

    if job.facts["kind"] != "adapt" or job.facts["state"] != "done" or job.predictions is None:
        return {}, ("", ""), []
    try:
        found = stored_predictions(job, plugins)
        return found.by_class(), (found.task_type.noun, found.task_type.singular), []
    except HeadwaterError as error:
        return {}, ("", ""), [f"no values by class: {error.message}"]


def _class_rows(by_class: Mapping[str, Mapping[str, float]]) -> list[list[Any]]:
    classes = list(dict.fromkeys(name for values in by_class.values() for name in values))
    return [[name, *(values.get(name) for values in by_class.values())] for name in classes]


def draw_jobs(
    store: Store, names: Sequence[str], plugins: Sequence[Path], file: Path | None, images: int
) -> None:
    """A picture of what cells predicted, and where it lies."""
    from headwater.harness.results.pictures import sheet, write
    from headwater.harness.results.stored_job import stored_job, stored_predictions

    cells = [stored_predictions(stored_job(store, name), plugins) for name in names]
    path = file or Path(f"{'-'.join(cell.job.id[:_SHORT] for cell in cells)}.png")
    write(sheet(cells, images), path)
    shown = min(images, len(cells[0].prepared.test))
    click.echo(f"wrote {path}: {shown} of {len(cells[0].prepared.test):,} test images")
