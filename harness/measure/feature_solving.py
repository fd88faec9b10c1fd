"""Solve cells on frozen features: one read of the features and one call for all sizes and seeds of
a source and a task.

The cells of a bundle share the pool of features (N, D) and differ in the rows that they train and
validate on. So the adaptation is called once with all of them and can solve them in step. The
solutions come back in the order of the cells; each predicts on the test features and on its own
validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from headwater.harness.measure.adapting import keep_predictions, measurements
from headwater.harness.measure.loaded_cell import LoadedCell, load_cell
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
from headwater.harness.planning.bundle import Bundle
from headwater.harness.planning.job import Job
from headwater.registry import Features, Solution
from headwater.registry.errors import NotApplicable


@dataclass(frozen=True)
class _FeatureArrays:
    """The features of all training images (N, D) and of all test images, float32, mapped."""

    pool: np.ndarray
    test: np.ndarray


def solve(bundle: Bundle, bench: Workbench, report: ReportProgress) -> list[JobResult | Exception]:
    """Solve a bundle's cells; return the result or the error of each, in the bundle's order.

    A subset that the task cannot fill is the error of its cell alone, and so is a solution that
    cannot be measured.

    Raises:
        BadPlugin: The adaptation does not return a solution for each cell.
        Exception: What the adaptation itself raises: it concerns all cells.
    """
    cells = [_load_or_error(job, bench) for job in bundle]
    loaded = [cell for cell in cells if isinstance(cell, LoadedCell)]
    if not loaded:
        return [cell for cell in cells if isinstance(cell, NotApplicable)]
    features = _FeatureArrays(
        pool=_load_features(loaded[0], "train", bench),
        test=_load_features(loaded[0], "test", bench),
    )
    visible = [_features_of(cell, features.pool) for cell in loaded]
    solutions = iter(loaded[0].card.solutions(visible, **loaded[0].options))
    results: list[JobResult | Exception] = []
    for cell in cells:
        if isinstance(cell, NotApplicable):
            results.append(cell)
            continue
        # There is nothing to report; this is where a run that is being ended is noticed.
        report(0, 0, float("nan"), 0)
        try:
            results.append(_measure(cell, next(solutions), features, bench))
        except Exception as error:
            results.append(error)
    return results


def _load_or_error(job: Job, bench: Workbench) -> LoadedCell | NotApplicable:
    try:
        return load_cell(job, bench)
    except NotApplicable as error:
        return error


def _load_features(cell: LoadedCell, split: str, bench: Workbench) -> np.ndarray:
    assert cell.job.features is not None, (
        "the planner gives every cell on features a job that extracts them"
    )
    path = bench.files.features(cell.job.features, split)
    features: np.ndarray = np.load(path, mmap_mode="r")
    return features.view(np.ndarray)


def _features_of(cell: LoadedCell, pool: np.ndarray) -> Features:
    """Return a cell as the adaptation sees it."""
    record = cell.job.record

    def quality(scores: np.ndarray, targets: np.ndarray) -> float:
        return record.sign * _metrics(cell, scores, targets)[record.metric]

    return Features(
        pool=pool,
        targets=cell.prepared.train.targets,
        train_rows=cell.chosen.train,
        validation_rows=cell.chosen.validation,
        outputs=cell.prepared.outputs,
        measure=quality,
        label_kind=cell.task_type.labels,
    )


def _metrics(cell: LoadedCell, scores: np.ndarray, targets: np.ndarray) -> Mapping[str, float]:
    outputs = torch.from_numpy(np.ascontiguousarray(scores)).float()
    return cell.task_type.methods.measure(outputs, torch.from_numpy(targets))


def _measure(
    cell: LoadedCell, solution: Solution, features: _FeatureArrays, bench: Workbench
) -> JobResult:
    """Measure a solution on validation and test, and keep its predictions."""
    rows = cell.chosen.validation
    on_test = solution.predict(features.test)
    on_validation = solution.predict(features.pool[rows])
    validated = _metrics(cell, on_validation, cell.prepared.train.targets[rows])
    tested = _metrics(cell, on_test, cell.prepared.test.targets)
    return JobResult(
        metrics=(
            *measurements("validation", validated),
            *measurements("test", tested),
            *measurements("floor", bench.floor(cell.task, cell.job.image_size)),
        ),
        train_images=len(cell.chosen),
        artifacts=keep_predictions(
            cell.job, bench, torch.from_numpy(on_test), torch.from_numpy(on_validation)
        ),
        choice=dict(solution.choice),
    )
