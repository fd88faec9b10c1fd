"""The networks that an analysis looks at: P and RI, as training found them; P-T and RI-T, as it left them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.data.prepared import PreparedSplit
from headwater.harness.measure.adapting import build_objective
from headwater.harness.measure.backbone import Backbone
from headwater.harness.measure.batches import Batches
from headwater.harness.measure.device import Device
from headwater.harness.measure.loaded_cell import LoadedCell, load_cell
from headwater.harness.measure.training import predict
from headwater.harness.measure.workbench import ReportProgress, Workbench
from headwater.harness.planning.job import Job
from headwater.harness.planning.spec import Training
from headwater.registry.errors import NotApplicable, WeightsError
from headwater.registry.stages import depths, stages

BATCH = 128
"""Images at once in evaluation."""
HEAD = "head"
"""What the classifier is called beside the stages."""


@dataclass(frozen=True)
class NetworkPart:
    """A stage of a network, or its head: its place from 0 to 1, and the names of its parameters in the whole."""

    depth: float
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class AnalysedNetwork:
    """One network, in evaluation mode, with the cell that it belongs to."""

    cell: LoadedCell
    network: nn.Module
    device: Device

    @property
    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    @property
    def backbone(self) -> nn.Module:
        """What its stages are of: the source within it."""
        return next(
            (module for module in self.network.modules() if isinstance(module, Backbone)),
            self.network,
        )

    @cached_property
    def parts(self) -> dict[str, NetworkPart]:
        """Its stages in order of depth, then the head: every parameter in one of them."""
        names = {id(parameter): name for name, parameter in self.network.named_parameters()}
        found = stages(self.backbone)
        places = depths(found)
        held = {
            name: tuple(names[id(p)] for p in part.parameters() if id(p) in names)
            for name, part in found.items()
        }
        left = set(names.values()) - {name for part in held.values() for name in part}
        parts = {
            name: NetworkPart(places[name], parameters)
            for name, parameters in held.items()
            if parameters
        }
        return parts | (
            {HEAD: NetworkPart(1.0, tuple(name for name in names.values() if name in left))}
            if left
            else {}
        )

    def test_rows(self, most: int | None) -> np.ndarray:
        """All test images, or ``most`` of them, the same for every network of a task."""
        return drawn(np.arange(len(self.cell.prepared.test)), most)

    def batches(self, split: PreparedSplit, rows: np.ndarray) -> Iterator[Tensor]:
        return Batches(split, self.cell.source, self.device).in_order(rows, BATCH)

    def metric(self, rows: np.ndarray) -> float:
        """The cell's metric on these test images."""
        test, record = self.cell.prepared.test, self.cell.job.record
        outputs = predict(self.network, self.batches(test, rows), self.device)
        return self.cell.task_type.methods.measure(outputs, torch.from_numpy(test.targets[rows]))[
            record.metric
        ]

    @contextmanager
    def holding(self, state: Mapping[str, Tensor]) -> Iterator[None]:
        """The network with these tensors in the place of its own, for a while."""
        own = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        try:
            self.network.load_state_dict(own | dict(state))
            yield
        finally:
            self.network.load_state_dict(own)


class Networks:
    """An analysis job's networks by role (P-T, RI-T, and P-T', RI-T' of another seed), each built once when asked for."""

    def __init__(self, job: Job, bench: Workbench, report: ReportProgress) -> None:
        self.job, self.bench, self.report = job, bench, report
        self.images = 0
        """How many images were trained on for this analysis."""
        self._cells: dict[str, LoadedCell] = {}
        self._built: dict[tuple[str, bool], AnalysedNetwork] = {}

    def has(self, role: str) -> bool:
        return role in self.job.cells

    def cell(self, role: str) -> LoadedCell:
        """The cell of a role, with the settings that its network was trained with; raises WeightsError where it is gone."""
        if role not in self._cells:
            cell, facts = load_cell(self.job.cells[role], self.bench), self._facts(role)
            job = replace(
                cell.job,
                training=Training.model_validate_json(facts["training"]),
                tuning=None,
                keep=False,
            )
            self._cells[role] = replace(cell, job=job, options=json.loads(facts["options"]))
        return self._cells[role]

    def initial(self, role: str) -> AnalysedNetwork:
        """P of the role P-T, RI of the role RI-T: its source under its head, before any training."""
        return self._subject(role, trained=False)

    def trained(self, role: str) -> AnalysedNetwork:
        """P-T or RI-T: the weights of the epoch that was chosen."""
        return self._subject(role, trained=True)

    def pairs(
        self, *, initial: bool = False
    ) -> Iterator[tuple[str, AnalysedNetwork, AnalysedNetwork]]:
        """The pairs that are compared, with their names; two of one kind are of two seeds. ``initial``: P and RI too."""
        yield "P-T/RI-T", self.trained("P-T"), self.trained("RI-T")
        for role in ("P-T", "RI-T"):
            if self.has(f"{role}'"):
                yield f"{role}/{role}", self.trained(role), self.trained(f"{role}'")
            if initial:
                yield f"{role.removesuffix('-T')}/{role}", self.initial(role), self.trained(role)

    def alike(self, *, initial: bool = False) -> list[tuple[str, AnalysedNetwork, AnalysedNetwork]]:
        """The pairs between which there is a straight line; raises NotApplicable where there is none."""
        found, errors = [], []
        for name, one, other in self.pairs(initial=initial):
            try:
                check_alike(one, other)
            except NotApplicable as error:
                errors.append(error)
            else:
                found.append((name, one, other))
        if not found:
            raise errors[0]
        return found

    def _subject(self, role: str, trained: bool) -> AnalysedNetwork:
        if (role, trained) not in self._built:
            from safetensors.torch import load_file

            cell = self.cell(role)
            objective = build_objective(cell, self.bench)
            network = objective.finish() if objective.finish else objective.network
            if trained:
                network.load_state_dict(load_file(self._file(role), device=self.bench.device.name))
            self._built[role, trained] = AnalysedNetwork(cell, network.eval(), self.bench.device)
        return self._built[role, trained]

    def _file(self, role: str) -> str:
        path = self.bench.files.checkpoint(self.job.cells[role].id)
        if not path.is_file():
            label = self.job.cells[role].label
            raise WeightsError(
                f"the trained network of {label} is not at {path}",
                subject=str(path),
                hint="The same headwater analyse SPEC trains it again.",
            )
        return str(path)

    def _facts(self, role: str) -> dict[str, str]:
        from safetensors import safe_open

        with safe_open(self._file(role), framework="pt") as file:
            return dict(file.metadata())


def drawn(rows: np.ndarray, most: int | None) -> np.ndarray:
    """At most so many of these rows, by a fixed draw, in order."""
    if most is None or len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).permutation(rows)[:most])


def check_alike(one: AnalysedNetwork, other: AnalysedNetwork) -> None:
    """Raise NotApplicable for networks between which there is no straight line: other tensors, or other input."""
    shapes = [
        {name: tuple(tensor.shape) for name, tensor in subject.state.items()}
        for subject in (one, other)
    ]
    if shapes[0] != shapes[1]:
        odd = next(
            name
            for name in {**shapes[0], **shapes[1]}
            if shapes[0].get(name) != shapes[1].get(name)
        )
        raise NotApplicable(
            f"{_names(one, other)} differ in {odd}: their weights cannot be compared", subject=odd
        )
    if (one.cell.source.mean, one.cell.source.std) != (
        other.cell.source.mean,
        other.cell.source.std,
    ):
        raise NotApplicable(
            f"{_names(one, other)} want images normalised differently", subject=one.cell.source.name
        )


def _names(one: AnalysedNetwork, other: AnalysedNetwork) -> str:
    return f"{one.cell.source.name} and {other.cell.source.name}"
