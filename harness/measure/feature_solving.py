"""Cells on frozen features: a file read, and one solve for all the sizes and seeds of a source and a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from headwater.harness.measure.adapting import keep_predictions, measurements
from headwater.harness.measure.loaded_cell import LoadedCell, load_cell
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
from headwater.harness.planning.bundle import Bundle
from headwater.harness.planning.job import Job
from headwater.registry import Features, Solution
from headwater.registry.errors import BadPlugin, NotApplicable


def solve(bundle: Bundle, bench: Workbench, report: ReportProgress) -> list[JobResult | Exception]:
    """What became of each of a bundle's cells, in its order. A subset that the task cannot fill concerns its cell alone, and so
    does a solution that cannot be measured; what the adaptation raises is raised, and concerns them all."""
    cells = [_cell(job, bench) for job in bundle]
    there = [cell for cell in cells if isinstance(cell, LoadedCell)]
    if not there:
        return [cell for cell in cells if isinstance(cell, NotApplicable)]
    pool, test = (_features(there[0], split, bench) for split in ("train", "test"))
    solved = iter(_solutions(there, pool))

    def settled(cell: LoadedCell | NotApplicable) -> JobResult | Exception:
        if isinstance(cell, NotApplicable):
            return cell
        report(0, 0, float("nan"), 0)  # a run that is being ended is heeded here
        try:
            return _measured(cell, next(solved), pool, test, bench)
        except Exception as error:
            return error

    return [settled(cell) for cell in cells]


def _cell(job: Job, bench: Workbench) -> LoadedCell | NotApplicable:
    try:
        return load_cell(job, bench)
    except NotApplicable as error:
        return error


def _features(cell: LoadedCell, split: str, bench: Workbench) -> np.ndarray:
    """(N, D) float32, mapped."""
    assert cell.job.features is not None, (
        "the planner gives every cell on features a job that extracts them"
    )
    features: np.ndarray = np.load(bench.files.features(cell.job.features, split), mmap_mode="r")
    return features.view(np.ndarray)


def _solutions(cells: Sequence[LoadedCell], pool: np.ndarray) -> Sequence[Solution]:
    card = cells[0].card
    solutions = card.solutions([_shown(cell, pool) for cell in cells], **cells[0].options)
    if not isinstance(solutions, Sequence) or not all(
        isinstance(solution, Solution) for solution in solutions
    ):
        raise BadPlugin(
            f"{card.name} returned a {type(solutions).__name__}, not a list of Solutions",
            subject=card.name,
        )
    if len(solutions) != len(cells):
        raise BadPlugin(
            f"{card.name} returned {len(solutions)} solutions for {len(cells)} cells",
            subject=card.name,
        )
    return solutions


def _shown(cell: LoadedCell, pool: np.ndarray) -> Features:
    record = cell.job.record
    return Features(
        pool=pool,
        targets=cell.prepared.train.targets,
        train_rows=cell.chosen.train,
        validation_rows=cell.chosen.validation,
        outputs=cell.prepared.outputs,
        measure=lambda scores, targets: record.sign * _values(cell, scores, targets)[record.metric],
        task_type=cell.task.type,
    )


def _values(cell: LoadedCell, scores: np.ndarray, targets: np.ndarray) -> Mapping[str, float]:
    return cell.task_type.methods.measure(
        torch.from_numpy(np.ascontiguousarray(scores)).float(), torch.from_numpy(targets)
    )


def _measured(
    cell: LoadedCell, solution: Solution, pool: np.ndarray, test: np.ndarray, bench: Workbench
) -> JobResult:
    rows, targets = cell.chosen.validation, cell.prepared.train.targets
    on_test, on_validation = solution.predict(test), solution.predict(pool[rows])
    validated, tested = (
        _values(cell, on_validation, targets[rows]),
        _values(cell, on_test, cell.prepared.test.targets),
    )
    choice: dict[str, Any] = dict(solution.choice)
    return JobResult(
        metrics=(*measurements("validation", validated), *measurements("test", tested)),
        train_images=len(cell.chosen),
        artifacts=keep_predictions(
            cell.job, bench, torch.from_numpy(on_test), torch.from_numpy(on_validation)
        ),
        choice=choice,
    )
