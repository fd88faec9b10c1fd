"""Training on two domains: what the adaptations share that go on learning from the source's images
along with the target's.

One backbone serves both. Where source and target have the same classes, one head does too, and
starts as the chain's own; elsewhere the chain's own head learns the source's task, and a fresh head
the target's.

Batch norm: the two batches pass one after the other, each normalised by its own statistics, and
only the target's batch changes the running statistics, which the network is tested with. So
statistics are the domain's own (Li et al. 2017, arXiv 1603.04779; Chang et al. 2019, arXiv
1906.03950), and neither small batch is normalised by what lies in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headwater import Batch, Context, Objective, ParameterGroup, SourceData

if TYPE_CHECKING:
    from torch import Tensor, nn

AlignmentPenalty = Callable[["Tensor", "Tensor", int], "Tensor"]
"""(source features (B, D), target features (B', D), both float32; step) -> the term that is added
to the losses of the tasks.
"""


@dataclass(frozen=True)
class DomainBatches:
    """The two batches of a step, and their features.

    Attributes:
        source: Batch of the source's images.
        target: Batch of the target's images.
        source_features: (B, D).
        target_features: (B', D).
    """

    source: Batch
    target: Batch
    source_features: Tensor
    target_features: Tensor


class TwoDomains:
    """A chain's own task and the target over one backbone.

    Attributes:
        context: What the adaptation is given.
        data: The source's images, head and loss.
        head: The head of the target: the chain's own where the classes are the same, else a fresh
            one.
        network: Backbone and head of the target.

    Raises:
        NotApplicable: The source is no chain.
    """

    def __init__(self, context: Context, adaptation: str) -> None:
        from torch import nn

        self.context = context
        self.data: SourceData = context.needed_source_data(adaptation)
        self.head = self.data.head if self.data.shares_classes else context.head
        self.network: nn.Module = nn.Sequential(context.backbone, self.head)

    @property
    def width(self) -> int:
        """Return D, which the chain's own classifier, a linear layer, is made for."""
        matrices = (weight for weight in self.data.head.parameters() if weight.ndim > 1)
        return next(matrices).shape[1]

    def groups(self, *others: nn.Module) -> Sequence[ParameterGroup]:
        """Return one group of all parameters, each once, those of ``others`` last."""
        modules = [self.network]
        if not self.data.shares_classes:
            modules.append(self.data.head)
        modules.extend(others)
        parameters = [parameter for module in modules for parameter in module.parameters()]
        return [ParameterGroup(parameters)]

    def pass_both(self, target: Batch) -> DomainBatches:
        """Take the source's next batch, and pass it and the target's batch through the backbone."""
        backbone = self.context.backbone
        source = next(self.data.batches)
        with running_statistics_fixed(backbone):
            source_features = backbone(source.images)
        target_features = backbone(target.images)
        return DomainBatches(source, target, source_features, target_features)

    def task_loss(self, batches: DomainBatches, labelled: bool) -> Tensor:
        """Return the loss of the source's task, plus that of the target's where its labels are
        used.
        """
        predicted = self.data.head(batches.source_features)
        loss = self.data.loss(predicted, batches.source.targets)
        if labelled:
            predicted = self.head(batches.target_features)
            loss = loss + self.context.loss(predicted, batches.target.targets)
        return loss

    def aligned(
        self, labelled: bool, penalty: AlignmentPenalty, others: Iterable[nn.Module] = ()
    ) -> Objective:
        """Return the objective of learning both tasks under a penalty on how the features of the
        two domains differ.

        Args:
            labelled: Whether the target's labels are used.
            penalty: The penalty, computed in float32.
            others: Further modules to train.
        """
        import torch

        def loss(batch: Batch, step: int) -> Tensor:
            batches = self.pass_both(batch)
            of_tasks = self.task_loss(batches, labelled)
            with torch.autocast(batch.images.device.type, enabled=False):
                source = batches.source_features.float()
                target = batches.target_features.float()
                return of_tasks + penalty(source, target, step)

        return Objective(self.network, self.groups(*others), loss=loss)


@contextmanager
def running_statistics_fixed(network: nn.Module) -> Iterator[None]:
    """Let batch norm normalise by the batch as ever, but leave its running statistics as they are."""
    from torch import nn

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    norms = [module for module in network.modules() if isinstance(module, kinds)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
