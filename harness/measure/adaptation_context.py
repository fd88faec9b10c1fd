"""Make an adaptation's context: the source, a head, the target's images and, where it asks for
them, the source's own.
"""

from __future__ import annotations

from collections.abc import Iterator

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

EVALUATION_BATCH = 128
"""Images at once where nothing is trained."""


def make_context(
    cell: LoadedCell, bench: Workbench, *, backbone: nn.Module, head: nn.Module, steps: int
) -> Context:
    """Make the context of a cell's adaptation.

    Args:
        cell: The cell.
        bench: Gives the device and other sources.
        backbone: The source's network, weights loaded.
        head: The head, on the device.
        steps: Number of optimisation steps that the budget allows.

    Raises:
        NotApplicable: The adaptation needs source data that it cannot use.
    """

    def load_source(name: str) -> nn.Module:
        return bench.device.place(bench.load_source(name, cell.job, dense=cell.task_type.dense))

    return Context(
        source=cell.source,
        task=cell.task,
        backbone=bench.device.place(backbone),
        head=head,
        loss=cell.task_type.methods.loss,
        steps=steps,
        to_device=bench.device.place,
        images=lambda: _target_in_order(cell, bench),
        load_source=load_source,
        source_data=_source_data(cell, bench) if cell.card.needs_source else None,
        image_size=cell.job.image_size,
        layer_decay=cell.settings.layer_decay,
    )


def hide_labels(batches: Iterator[Batch], cell: LoadedCell) -> Iterator[Batch]:
    """Yield the target's batches as the adaptation may see them: without labels if it must do
    without.
    """
    for batch in batches:
        if cell.sees_labels:
            yield batch
        else:
            yield Batch(batch.images, torch.full_like(batch.targets, HIDDEN), batch.rows)


def _target_in_order(cell: LoadedCell, bench: Workbench) -> Iterator[Batch]:
    """Yield the training images once, in order and not augmented."""
    batches = Batches(cell.prepared.train, cell.source, bench.device)
    for start in range(0, len(cell.chosen.train), EVALUATION_BATCH):
        rows = cell.chosen.train[start : start + EVALUATION_BATCH]
        batch = Batch(batches.images(rows), batches.targets(rows), torch.from_numpy(rows))
        yield from hide_labels(iter([batch]), cell)


# -- the source's own data --------------------------------------------------------------------------------


def _source_data(cell: LoadedCell, bench: Workbench) -> SourceData:
    """Return the images that the source was trained on, with the classifier that its training left.

    Where source and target have the same classes in another order, the source's targets and its
    classifier's outputs are brought into the target's order.
    """
    adaptation = cell.card.name
    checkpoint = cell.job.checkpoint
    task = _source_task(cell, bench)
    prepared = bench.prepared(task, cell.job.image_size)
    assert checkpoint is not None, "the planner gives every chain its checkpoint"
    heads = classifiers(bench.files.heads(checkpoint), bench.registry)
    if not heads:
        raise NotApplicable(
            f"{adaptation} needs a source task of classes, {task.name} is {task.type}",
            subject=task.name,
        )
    head = heads[0]
    order = _class_order(prepared, cell.prepared) if task.type == cell.task.type else None
    if order is None and not cell.sees_labels:
        raise NotApplicable(
            f"{adaptation} on an unlabelled target needs the source's classes: "
            f"{task.name} and {cell.task.name} differ",
            subject=task.name,
        )
    methods = bench.task_type(task).methods
    strata = methods.strata(prepared.train.targets)
    chosen = draw_subset(strata, "full", seed=SOURCE_SEED, validation=cell.job.validation)
    if order is not None:
        head = _reorder_outputs(head, order)
    return SourceData(
        batches=_endless_source(cell, bench, task, rows=chosen.train, order=order),
        head=bench.device.place(head),
        loss=methods.loss,
        images=len(chosen.train),
        shares_classes=order is not None,
    )


def _source_task(cell: LoadedCell, bench: Workbench) -> Task:
    """Return the task that the source, a chain, was trained on; raises NotApplicable where there
    are several.
    """
    chain = cell.source.chain
    assert chain is not None, "the planner skips sources that are no chains"
    if len(chain.tasks) > 1:
        raise NotApplicable(
            f"{cell.card.name} learns from one source task, "
            f"{cell.source.name} has {len(chain.tasks)}",
            subject=cell.source.name,
        )
    return bench.registry.task(chain.tasks[0])


def _class_order(source: Prepared, target: Prepared) -> np.ndarray | None:
    """Return each source class's place among the target's, (C,) int; None where the classes are not
    the same.
    """
    if not target.classes or sorted(source.classes) != sorted(target.classes):
        return None
    places = {name: index for index, name in enumerate(target.classes)}
    return np.array([places[name] for name in source.classes])


def _reorder_outputs(head: nn.Linear, order: np.ndarray) -> nn.Linear:
    """Return the same classifier with its outputs in the target's order."""
    reordered = nn.Linear(head.in_features, head.out_features)
    rows = torch.from_numpy(np.argsort(order))
    state = {"weight": head.weight.detach()[rows], "bias": head.bias.detach()[rows]}
    reordered.load_state_dict(state)
    return reordered


def _endless_source(
    cell: LoadedCell, bench: Workbench, task: Task, *, rows: np.ndarray, order: np.ndarray | None
) -> Iterator[Batch]:
    """Yield shuffled batches of the source's images without end, normalised and augmented as the
    target's are.
    """
    prepared = bench.prepared(task, cell.job.image_size)
    batches = Batches(prepared.train, cell.source, bench.device)
    augment = augmentation(cell.settings, task, bench.task_type(task))
    # A generator of its own: the target's batches stay those of every other adaptation.
    generator = torch.Generator().manual_seed(cell.seed)
    places: Tensor | None = None
    if order is not None:
        places = torch.from_numpy(order).to(bench.device.name)
    while True:
        for batch in batches.shuffled(rows, cell.settings.batch_size, generator, augment):
            targets = batch.targets if places is None else places[batch.targets]
            yield Batch(batch.images, targets, batch.rows)
