"""A toy chain's source data, and contexts that hold them, for adaptations that go on learning from the source."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from headwater.harness.measure.backbone import Backbone
from headwater.registry import Batch, Context, Registry, SourceData
from headwater.registry.cards.adaptation import HIDDEN
from tests.harness.toy import PLUGIN

CLASSES, WIDTH = 3, 6


def noise(count: int, seed: int, offset: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    return Batch(
        images,
        torch.randint(0, CLASSES, (count,), generator=generator),
        torch.arange(count) + offset,
    )


def hidden(batch: Batch) -> Batch:
    return Batch(batch.images, torch.full_like(batch.targets, HIDDEN), batch.rows)


def endless(count: int) -> Iterator[Batch]:
    seed = 100
    while True:
        yield noise(count, seed)
        seed += 1


def context(
    *,
    shares: bool = True,
    images: int = 20,
    steps: int = 10,
    source: Iterator[Batch] | None = None,
    data: bool = True,
) -> Context:
    registry = Registry.discover([PLUGIN])
    torch.manual_seed(0)
    card = registry.source("toy/fixed")
    own = nn.Linear(WIDTH, CLASSES if shares else 5)
    loss = nn.functional.cross_entropy
    made = SourceData(source or endless(4), own, loss, images, shares)
    backbone = Backbone(card.network(8))
    task, head = registry.task("toy/shades"), nn.Linear(WIDTH, CLASSES)
    return Context(card, task, backbone, head, loss, steps, source_data=made if data else None)
