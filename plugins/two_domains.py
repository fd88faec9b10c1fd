"""Two domains: what adaptations share that go on learning from the source's images beside the target's.

One backbone serves both. Where source and target have the same classes, one head does too, and starts as the chain's own; elsewhere
the chain's own head learns the source's task beside the fresh head of the target.

Batch norm: the two batches pass one after the other, each normalised by its own statistics, and only the target's move the running
ones, which the network is tested with. So statistics are the domain's own (Li et al. 2017, arXiv 1603.04779; Chang et al. 2019,
arXiv 1906.03950), and neither small batch is measured by what lies in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater.registry import Batch, Context, Objective, ParameterGroup, SourceData
from headwater.registry.errors import NotApplicable

if TYPE_CHECKING:
    from torch import Tensor, nn

Penalty = Callable[["Tensor", "Tensor", int], "Tensor"]
"""(source features (B, D), target features (B', D), both float32; step) -> what is added to the tasks' losses."""


@dataclass(frozen=True)
class Seen:
    """A step's two batches and their features, (B, D) and (B', D)."""

    source: Batch
    target: Batch
    source_features: Tensor
    target_features: Tensor


class TwoDomains:
    """A chain's own task and the target over one backbone; raises NotApplicable where there is no source data."""

    def __init__(self, context: Context, name: str) -> None:
        from torch import nn

        self.context = context
        self.data = source_data(context, name)
        self.head = self.data.head if self.data.shares_classes else context.head
        self.network: nn.Module = nn.Sequential(context.backbone, self.head)

    @property
    def width(self) -> int:
        """D, which a chain's own classifier, a linear layer, is made for."""
        return next(
            parameter.shape[1] for parameter in self.data.head.parameters() if parameter.ndim > 1
        )

    def groups(self, *others: nn.Module) -> Sequence[ParameterGroup]:
        """Everything trained, each parameter once."""
        modules = [self.network, *([] if self.data.shares_classes else [self.data.head]), *others]
        return [
            ParameterGroup([parameter for module in modules for parameter in module.parameters()])
        ]

    def look(self, target: Batch) -> Seen:
        """Take the source's next batch, and pass both."""
        source = next(self.data.batches)
        with statistics_kept(self.context.backbone):
            source_features = self.context.backbone(source.images)
        return Seen(source, target, source_features, self.context.backbone(target.images))

    def task_loss(self, seen: Seen, labelled: bool) -> Tensor:
        """The source's, and where the target's labels are known, the target's too."""
        loss = self.data.loss(self.data.head(seen.source_features), seen.source.targets)
        return (
            loss + self.context.loss(self.head(seen.target_features), seen.target.targets)
            if labelled
            else loss
        )

    def aligned(
        self, labelled: bool, penalty: Penalty, others: Iterable[nn.Module] = ()
    ) -> Objective:
        """Both tasks learned, and a penalty on how the two domains' features differ; it is computed in float32."""
        import torch

        def loss(batch: Batch, step: int) -> Tensor:
            seen = self.look(batch)
            tasks = self.task_loss(seen, labelled)
            with torch.autocast(batch.images.device.type, enabled=False):
                return tasks + penalty(
                    seen.source_features.float(), seen.target_features.float(), step
                )

        return Objective(self.network, self.groups(*others), loss=loss)


def source_data(context: Context, name: str) -> SourceData:
    if context.source_data is None:
        raise NotApplicable(
            f"{name}: {context.source.name} has no registered data, as a chain has",
            subject=context.source.name,
        )
    return context.source_data


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Batch norm normalises by the batch as ever, but its running statistics stay."""
    from torch.nn.modules.batchnorm import _BatchNorm

    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
