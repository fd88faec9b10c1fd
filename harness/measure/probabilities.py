"""Get source probabilities: the outputs of a source's own classifier on another task's images."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from headwater.harness.measure.workbench import Workbench
from headwater.harness.planning.job import Job
from headwater.registry import Kind, Registry, SourceModel


class SourceWithClassifier(nn.Module):
    """Maps images (B, 3, H, W) to features and, beside them, the probabilities of the source's own
    classes: (B, D + Cs).

    Args:
        network: The source's network. Its own classifier is used where ``heads`` is empty and it
            has one.
        heads: Linear classifiers on the features, each given the same weight, so that a joint
            chain's classes are those of all its tasks.
    """

    def __init__(self, network: nn.Module, heads: list[nn.Linear] | None = None) -> None:
        super().__init__()
        self.network = network
        self.heads = nn.ModuleList(heads or [])
        self.width = 0
        """D; known after the first batch."""

    def forward(self, images: Tensor) -> Tensor:
        maps = self.network.forward_features(images)  # type: ignore[operator]
        features = self.network.forward_head(maps, pre_logits=True)  # type: ignore[operator]
        self.width = features.shape[1]
        return torch.cat([features.float(), *self._probabilities(maps, features)], 1)

    def _probabilities(self, maps: Tensor, features: Tensor) -> list[Tensor]:
        if self.heads:
            return [head(features).float().softmax(1) / len(self.heads) for head in self.heads]
        if getattr(self.network, "num_classes", 0):
            return [self.network.forward_head(maps).float().softmax(1)]  # type: ignore[operator]
        return []


def load_with_classifier(source: SourceModel, job: Job, bench: Workbench) -> SourceWithClassifier:
    """Load a job's source with its classifier, where it has one.

    A chain's classifiers are those that its own training left. Any other source has one where
    ``build(head=True)`` builds it. The classifier of a random network has learned nothing, and is
    left out.
    """
    if job.checkpoint:
        heads = classifiers(bench.files.heads(job.checkpoint), bench.registry)
        return SourceWithClassifier(bench.backbone(source, job)[0].network, heads)
    if source.random or "head" not in inspect.signature(source.build).parameters:
        return SourceWithClassifier(bench.backbone(source, job)[0].network)
    return SourceWithClassifier(source.network(job.image_size, head=True))


def classifiers(path: Path, registry: Registry) -> list[nn.Linear]:
    """Read the linear classifiers of a chain's tasks, in the order of the tasks.

    Heads whose outputs become no probabilities by a softmax are left out, as are those of task
    types that are not registered here.

    Args:
        path: The heads' safetensors file, with the type of each task in its header.
        registry: The task types, which say how outputs become probabilities.
    """
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        names = list(file.keys())
        state = {name: cast(Tensor, file.get_tensor(name)) for name in names}
        types = file.metadata() or {}
    registered = registry.cards[Kind.TASK_TYPE]
    softmax_types = {name for name in registered if registry.task_type(name).softmax}
    heads = []
    for index in range(len(types)):
        weight = state.get(f"{index}.weight")
        if types[str(index)] in softmax_types and weight is not None:
            head = nn.Linear(weight.shape[1], weight.shape[0])
            head.load_state_dict({"weight": weight, "bias": state[f"{index}.bias"]})
            heads.append(head)
    return heads
