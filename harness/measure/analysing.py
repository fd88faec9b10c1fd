"""Analyse jobs: apply one analysis to the networks of one cell after they were trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from headwater.harness.data.prepared import Prepared, PreparedSplit
from headwater.harness.measure.adapting import build_objective, fit
from headwater.harness.measure.loaded_cell import LoadedCell, load_cell
from headwater.harness.measure.loaded_network import LoadedNetwork, check_on_a_line
from headwater.harness.measure.workbench import JobResult, ReportProgress, Workbench
from headwater.harness.planning.job import Job
from headwater.harness.planning.recipes import Recipe
from headwater.registry import Task, TaskType
from headwater.registry.errors import NotApplicable, WeightsError

Change = Callable[[np.ndarray], np.ndarray]
"""(N, S, S, 3) uint8 images -> images of the same shape."""


def analyse(job: Job, bench: Workbench, report: ReportProgress) -> JobResult:
    """Apply the job's analysis to its networks.

    Raises:
        NotApplicable: The networks cannot be compared in that way.
        WeightsError: A trained network is gone.
    """
    card, _ = bench.registry.analysis(job.record.analysis)
    networks = LoadedNetworks(job, bench, report)
    readings = card.readings(networks, **job.record.options)
    return JobResult(readings=tuple(readings), images=networks.trained_images)


class LoadedNetworks:
    """The networks of an analyse job by role, each built once when it is asked for.

    Implements ``headwater.Networks``, which documents the public methods.
    """

    def __init__(self, job: Job, bench: Workbench, report: ReportProgress) -> None:
        self.job = job
        self.bench = bench
        self.trained_images = 0
        """The number of images that the analysis itself trained on, each epoch counted."""
        self._report = report
        self._cells: dict[str, LoadedCell] = {}
        self._built: dict[tuple[str, bool], LoadedNetwork] = {}

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self.job.cells)

    @property
    def sign(self) -> int:
        return self.job.record.sign

    @property
    def seed(self) -> int:
        return self.job.record.seed or 0

    @property
    def image_size(self) -> int:
        return self.job.image_size

    @property
    def task(self) -> Task:
        return self._analysed.task

    @property
    def task_type(self) -> TaskType:
        return self._analysed.task_type

    @property
    def test_targets(self) -> np.ndarray:
        return self._analysed.prepared.test.targets

    @cached_property
    def _analysed(self) -> LoadedCell:
        """The cell that the analysis is about; for this its network need not be there."""
        return load_cell(self.job.cells["P-T"], self.bench)

    def cell(self, role: str) -> LoadedCell:
        """Return the cell of a role with the recipe that its network was trained with.

        Raises:
            WeightsError: The network, whose file holds the recipe, is gone.
        """
        if role not in self._cells:
            planned, facts = load_cell(self.job.cells[role], self.bench), self._facts(role)
            training = Recipe.model_validate_json(facts["training"])
            job = replace(planned.job, training=training, tuning=None, keep=False)
            self._cells[role] = replace(planned, job=job, options=json.loads(facts["options"]))
        return self._cells[role]

    def initial(self, role: str) -> LoadedNetwork:
        return self._network(role, trained=False)

    def trained(self, role: str) -> LoadedNetwork:
        return self._network(role, trained=True)

    def pairs(self, *, initial: bool = False) -> Iterator[tuple[str, LoadedNetwork, LoadedNetwork]]:
        yield "P-T/RI-T", self.trained("P-T"), self.trained("RI-T")
        for role in ("P-T", "RI-T"):
            if f"{role}'" in self.roles:
                yield f"{role}/{role}", self.trained(role), self.trained(f"{role}'")
            if initial:
                yield f"{role.removesuffix('-T')}/{role}", self.initial(role), self.trained(role)

    def pairs_on_a_line(
        self, *, initial: bool = False
    ) -> list[tuple[str, LoadedNetwork, LoadedNetwork]]:
        pairs, errors = [], []
        for name, first, second in self.pairs(initial=initial):
            try:
                check_on_a_line(first, second)
            except NotApplicable as error:
                errors.append(error)
            else:
                pairs.append((name, first, second))
        if not pairs:
            raise errors[0]
        return pairs

    def retrain(self, role: str, change: Change) -> float:
        cell = self.cell(role)
        changed = replace(cell, prepared=_changed(cell.prepared, change))
        fitted = fit(changed, self.bench, self._report)
        self.trained_images += fitted.trained.images
        return fitted.tested[cell.job.record.metric]

    def predictions(self, role: str) -> np.ndarray:
        path = self.bench.files.predictions(self.job.cells[role].id)
        stored: np.ndarray = np.load(path)
        return stored.astype(np.float64)

    def _network(self, role: str, trained: bool) -> LoadedNetwork:
        if (role, trained) not in self._built:
            from safetensors.torch import load_file

            cell = self.cell(role)
            objective = build_objective(cell, self.bench)
            network = objective.finish() if objective.finish else objective.network
            if trained:
                network.load_state_dict(load_file(self._file(role), device=self.bench.device.name))
            self._built[role, trained] = LoadedNetwork(cell, network.eval(), self.bench.device)
        return self._built[role, trained]

    def _facts(self, role: str) -> dict[str, str]:
        from safetensors import safe_open

        with safe_open(self._file(role), framework="pt") as file:
            return dict(file.metadata())

    def _file(self, role: str) -> Path:
        path = self.bench.files.checkpoint(self.job.cells[role].id)
        if not path.is_file():
            raise WeightsError(
                f"the trained network of {self.job.cells[role].label} is not at {path}",
                subject=str(path),
                hint="The same headwater analyse SPEC trains it again.",
            )
        return path


@dataclass(frozen=True)
class ChangedImages:
    """(N, S, S, 3) uint8 images that are changed as they are read, so that no copy is stored."""

    images: np.ndarray
    change: Change

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.change(self.images[rows])

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.change(image[None])[0] for image in self.images)


def _changed(prepared: Prepared, change: Change) -> Prepared:
    """Return the task with the images of training and test changed, the targets as they are."""

    def changed(split: PreparedSplit) -> PreparedSplit:
        images = cast(np.ndarray, ChangedImages(split.images, change))
        return PreparedSplit(images, split.targets)

    return replace(prepared, train=changed(prepared.train), test=changed(prepared.test))
