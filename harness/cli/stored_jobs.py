"""Print and draw stored jobs: ``headwater info JOB``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from headwater.harness.results.stored_job import StoredJob
    from headwater.leaderboard import Store

_IDENTITY = re.compile(r"[0-9a-f]{8,20}")
_SHORT_IDENTITY = 8
"""Digits of an identity in a file's name: the fewest that ``info`` takes."""


def is_job(name: str) -> bool:
    """Return whether a name is the identity of a job, or its first digits."""
    return bool(_IDENTITY.fullmatch(name))


@dataclass(frozen=True)
class _ValuesByClass:
    """A done cell's values by class.

    Attributes:
        values: Metric -> class -> value; {} where there are none.
        plural: What the classes are called: classes, points.
        singular: One of them.
        notes: Why there are no values, where there could be.
    """

    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    plural: str = ""
    singular: str = ""
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> list[list[Any]]:
        """A row a class: its name, and its value of each metric."""
        names = dict.fromkeys(name for by_class in self.values.values() for name in by_class)
        return [
            [name, *(by_class.get(name) for by_class in self.values.values())] for name in names
        ]


def print_job(store: Store, name: str, plugins: Sequence[Path], format_: str) -> None:
    """Print a job's facts, its metrics, and a done cell's values by class.

    As JSON and CSV, metrics and values by class are facts too.
    """
    from headwater.harness.results.stored_job import metric_signs, stored_job
    from headwater.leaderboard.show.tables import Column, Table
    from headwater.registry import directed

    job = stored_job(store, name)
    title, headings = f"job {job.id}", ["fact", "value"]
    facts = [[key, value] for key, value in job.facts.items() if value not in (None, "")]
    by_class = _by_class(job, plugins)
    notes = list(by_class.notes)
    if format_ in ("json", "csv"):
        facts += [["metrics", _metrics(job)], ["by_class", by_class.values]]
        Table(title, headings, facts, notes).print(format_)
        return
    Table(title, headings, facts).print(format_)
    if job.metrics:
        signs = metric_signs(job, plugins)

        def with_direction(name: str) -> str:
            return directed(name, signs[name]) if name in signs else name

        metric = Column("metric", show=with_direction, rank=0)
        Table("metrics", [metric, "validation", "test", "floor"], job.metrics, notes).print(format_)
    if by_class.values:
        headings = [by_class.singular, *by_class.values]
        Table(f"{by_class.plural}, on test", headings, by_class.rows).print(format_)


def _metrics(job: StoredJob) -> dict[str, dict[str, float | None]]:
    """Return split -> metric -> value."""
    return {
        split: {values.metric: getattr(values, split) for values in job.metrics}
        for split in ("validation", "test", "floor")
    }


def _by_class(job: StoredJob, plugins: Sequence[Path]) -> _ValuesByClass:
    from headwater.harness.results.stored_job import stored_predictions
    from headwater.registry.errors import HeadwaterError

    if job.facts["kind"] != "adapt" or job.facts["state"] != "done" or job.predictions is None:
        return _ValuesByClass()
    try:
        cell = stored_predictions(job, plugins)
        values = cell.by_class()
    except HeadwaterError as error:
        return _ValuesByClass(notes=(f"no values by class: {error.message}",))
    return _ValuesByClass(values, cell.task_type.noun, cell.task_type.singular)


def draw_jobs(
    store: Store, names: Sequence[str], plugins: Sequence[Path], *, file: Path | None, images: int
) -> None:
    """Draw what cells predicted, and say where the picture lies.

    Args:
        store: The store.
        names: The identities of the cells, or their first digits.
        plugins: Plugins beyond those of the cells' runs.
        file: The file to write; by default it is named after the cells.
        images: How many test images to show, at most.
    """
    from headwater.harness.results.pictures import sheet, write
    from headwater.harness.results.stored_job import stored_job, stored_predictions

    cells = [stored_predictions(stored_job(store, name), plugins) for name in names]
    short = "-".join(cell.job.id[:_SHORT_IDENTITY] for cell in cells)
    path = file or Path(f"{short}.png")
    write(sheet(cells, images), path)
    total = len(cells[0].prepared.test)
    click.echo(f"wrote {path}: {min(images, total)} of {total:,} test images")
