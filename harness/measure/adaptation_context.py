"""Contexts: what an adaptation is given, made from a cell and a workbench."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.data.prepared import Prepared
from headwater.harness.data.subset import draw_subset
from headwater.harness.measure.augmentation import augmentation
from headwater.harness.measure.batches import Batches
from headwater.harness.measure.loaded_cell import LoadedCell
from headwater.harness.measure.probabilities import classifiers
from headwater.harness.measure.workbench import Workbench
from headwater.harness.planning.spec import SOURCE_SEED
from headwater.registry import Batch, Context, SourceData, Task
from headwater.registry.cards.adaptation import HIDDEN
from headwater.registry.errors import NotApplicable

LOOK = 128
"""Images at once where nothing is trained."""


def make_context(
    cell: LoadedCell, bench: Workbench, backbone: nn.Module, head: nn.Module, steps: int
) -> Context:
    """A cell's context; raises NotApplicable where the adaptation needs source data that it cannot use."""
    device = bench.device
    return Context(
        cell.source,
        cell.task,
        device.place(backbone),
        head,
        cell.task_type.methods.loss,
        steps,
        device.place,
        lambda: _in_order(cell, bench),
        lambda name: device.place(bench.load_source(name, cell.job, dense=cell.task_type.dense)),
        _source_data(cell, bench) if cell.card.needs_source else None,
        cell.job.image_size,
    )


def shown(batches: Iterator[Batch], cell: LoadedCell) -> Iterator[Batch]:
    """The target's batches as the adaptation may see them: without labels where it is to do without."""
    for batch in batches:
        yield (
            batch
            if cell.sees_labels
            else Batch(batch.images, torch.full_like(batch.targets, HIDDEN), batch.rows)
        )


def _in_order(cell: LoadedCell, bench: Workbench) -> Iterator[Batch]:
    learn = Batches(cell.prepared.train, cell.source, bench.device)
    for start in range(0, len(cell.chosen.train), LOOK):
        rows = cell.chosen.train[start : start + LOOK]
        yield from shown(
            iter([Batch(learn.images(rows), learn.targets(rows), torch.from_numpy(rows))]), cell
        )


# -- the source's own data --------------------------------------------------------------------------------


def _source_data(cell: LoadedCell, bench: Workbench) -> SourceData:
    name, source = cell.card.name, cell.source
    assert source.chain is not None and cell.job.checkpoint is not None, (
        "the planner skips sources that are no chains"
    )
    if len(source.chain.tasks) > 1:
        raise NotApplicable(
            f"{name} learns from one source task, {source.name} has {len(source.chain.tasks)}",
            subject=source.name,
        )
    task = bench.registry.task(source.chain.tasks[0])
    task_type, prepared = bench.task_type(task), bench.prepared(task, cell.job.image_size)
    heads = classifiers(bench.files.heads(cell.job.checkpoint))
    if not heads:
        raise NotApplicable(
            f"{name} needs a source task of classes, {task.name} is {task.type}", subject=task.name
        )
    order = _order(prepared, cell.prepared) if task.type == cell.task.type else None
    if order is None and not cell.sees_labels:
        raise NotApplicable(
            f"{name} on an unlabelled target needs the source's classes: {task.name} and {cell.task.name} differ",
            subject=task.name,
        )
    rows = draw_subset(
        task_type.methods.strata(prepared.train.targets), "full", SOURCE_SEED, cell.job.validation
    ).train
    head = heads[0] if order is None else _in_classes(heads[0], order)
    batches = _endless(cell, bench, task, prepared, rows, order)
    return SourceData(
        batches, bench.device.place(head), task_type.methods.loss, len(rows), order is not None
    )


def _order(source: Prepared, target: Prepared) -> np.ndarray | None:
    """For each class of the source its place among the target's; None where they are not the same."""
    if not target.classes or sorted(source.classes) != sorted(target.classes):
        return None
    place = {name: index for index, name in enumerate(target.classes)}
    return np.array([place[name] for name in source.classes])


def _in_classes(head: nn.Linear, order: np.ndarray) -> nn.Linear:
    """The same classifier with its outputs in the target's order."""
    moved = nn.Linear(head.in_features, head.out_features)
    rows = torch.from_numpy(np.argsort(order))
    moved.load_state_dict({"weight": head.weight.detach()[rows], "bias": head.bias.detach()[rows]})
    return moved


def _endless(
    cell: LoadedCell,
    bench: Workbench,
    task: Task,
    prepared: Prepared,
    rows: np.ndarray,
    order: np.ndarray | None,
) -> Iterator[Batch]:
    learn, size = Batches(prepared.train, cell.source, bench.device), cell.settings.batch_size
    augment = augmentation(cell.settings, task, bench.task_type(task))
    generator = torch.Generator().manual_seed(
        cell.seed
    )  # its own: the target's batches stay those of every other adaptation
    moved: Callable[[Tensor], Tensor] = lambda targets: targets  # noqa: E731
    if order is not None:
        table = torch.from_numpy(order).to(bench.device.name)
        moved = lambda targets: table[targets]  # noqa: E731
    while True:
        for batch in learn.shuffled(rows, size, generator, augment):
            yield Batch(batch.images, moved(batch.targets), batch.rows)
