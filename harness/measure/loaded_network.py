"""A network of an analysis: loaded, cut into parts, and measured on its cell's images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.data.prepared import PreparedSplit
from headwater.harness.measure.backbone import Backbone
from headwater.harness.measure.batches import Batches
from headwater.harness.measure.device import Device
from headwater.harness.measure.loaded_cell import LoadedCell
from headwater.harness.measure.training import predict
from headwater.registry.cards.analysis import HEAD, NetworkPart
from headwater.registry.errors import NotApplicable
from headwater.registry.stages import called_modules, depths, stages

BATCH_SIZE = 128
"""Images at once in evaluation."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A network in evaluation mode, with the cell that it belongs to.

    Implements ``headwater.AnalysedNetwork``, which documents the public methods.
    """

    cell: LoadedCell
    network: nn.Module
    device: Device

    @property
    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    @cached_property
    def backbone(self) -> nn.Module:
        """The source within the network, which has the stages."""
        backbones = (module for module in self.network.modules() if isinstance(module, Backbone))
        return next(backbones, self.network)

    @cached_property
    def depths(self) -> dict[str, float]:
        return depths(stages(self.backbone)) | {HEAD: 1.0}

    @cached_property
    def parts(self) -> dict[str, NetworkPart]:
        names = {id(parameter): name for name, parameter in self.network.named_parameters()}
        parts = {}
        for stage, modules in stages(self.backbone).items():
            parameters = tuple(names[id(p)] for p in modules.parameters() if id(p) in names)
            if parameters:
                parts[stage] = NetworkPart(self.depths[stage], parameters)
        in_stages = {name for part in parts.values() for name in part.parameters}
        of_head = tuple(name for name in names.values() if name not in in_stages)
        return parts | ({HEAD: NetworkPart(1.0, of_head)} if of_head else {})

    # -- images -------------------------------------------------------------------------------

    def train_rows(self, count: int) -> np.ndarray:
        return _at_most(self.cell.chosen.train, count)

    def test_rows(self, count: int | None = None) -> np.ndarray:
        rows = np.arange(len(self.cell.prepared.test))
        return rows if count is None else _at_most(rows, count)

    def train_batches(self, rows: np.ndarray) -> Iterator[Tensor]:
        return self._batches(self.cell.prepared.train, rows)

    def test_batches(self, rows: np.ndarray) -> Iterator[Tensor]:
        return self._batches(self.cell.prepared.test, rows)

    def _batches(self, split: PreparedSplit, rows: np.ndarray) -> Iterator[Tensor]:
        return Batches(split, self.cell.source, self.device).in_order(rows, BATCH_SIZE)

    # -- measuring ----------------------------------------------------------------------------

    def metric(self, rows: np.ndarray) -> float:
        outputs = predict(self.network, self.test_batches(rows), self.device)
        targets = torch.from_numpy(self.cell.prepared.test.targets[rows])
        measured = self.cell.task_type.methods.measure(outputs, targets)
        return measured[self.cell.job.record.metric]

    def features(self, rows: np.ndarray) -> Iterator[dict[str, Tensor]]:
        with self._watching_stages() as seen:
            for images in self.test_batches(rows):
                seen.clear()
                outputs = self._outputs(images)
                if self.cell.task_type.dense:
                    yield dict(seen)
                else:
                    yield {**seen, HEAD: outputs.flatten(1).float()}

    # Not around ``features``: several of these generators run side by side, and the mode of
    # inference belongs to the thread.
    @torch.inference_mode()
    def _outputs(self, images: Tensor) -> Tensor:
        with self.precision():
            return self.network(images)

    @contextmanager
    def _watching_stages(self) -> Iterator[dict[str, Tensor]]:
        """Give a dictionary that holds, after each forward pass, the pooled output of each stage."""
        seen: dict[str, Tensor] = {}
        layout = str(getattr(getattr(self.backbone, "network", None), "output_fmt", "NCHW"))
        channels_last = layout.endswith("NHWC")

        def keep_as(stage: str) -> Callable[[nn.Module, Any, Any], None]:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                if isinstance(output, Tensor) and output.ndim > 1:
                    seen[stage] = pooled(output, channels_last=channels_last)

            return hook

        hooks = [
            module.register_forward_hook(keep_as(stage))
            for stage, part in stages(self.backbone).items()
            for module in called_modules(part)
        ]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def precision(self) -> AbstractContextManager[None]:
        return self.device.precision()

    # -- other weights ------------------------------------------------------------------------

    @contextmanager
    def holding(self, state: Mapping[str, Tensor]) -> Iterator[None]:
        trained = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        try:
            self.network.load_state_dict(trained | dict(state))
            yield
        finally:
            self.network.load_state_dict(trained)

    def holding_between(
        self, start: Mapping[str, Tensor], end: Mapping[str, Tensor], place: float
    ) -> AbstractContextManager[None]:
        return self.holding(interpolated(start, end, place))


def interpolated(
    start: Mapping[str, Tensor], end: Mapping[str, Tensor], place: float
) -> dict[str, Tensor]:
    """Return (1 − λ)·start + λ·end, exact where both are equal; counters are the start's."""
    return {
        name: torch.lerp(tensor, end[name], place) if tensor.is_floating_point() else tensor
        for name, tensor in start.items()
    }


def pooled(output: Tensor, channels_last: bool = False) -> Tensor:
    """Average a stage's output over places.

    Args:
        output: Maps (B, D, H, W), or (B, H, W, D) where ``channels_last``; tokens (B, N, D); or
            vectors (B, D).

    Returns:
        (B, D) float32.
    """
    if output.ndim == 4:
        output = output.mean((1, 2)) if channels_last else output.mean((2, 3))
    elif output.ndim == 3:
        output = output.mean(1)
    return output.flatten(1).float()


def check_on_a_line(first: LoadedNetwork, second: LoadedNetwork) -> None:
    """Check that there is a straight line between the weights of two networks.

    Raises:
        NotApplicable: Their tensors differ in shape, or they want images normalised differently.
    """
    sources = first.cell.source, second.cell.source
    names = f"{sources[0].name} and {sources[1].name}"
    shapes, other_shapes = _shapes(first), _shapes(second)
    if shapes != other_shapes:
        tensors = {**shapes, **other_shapes}
        odd = next(name for name in tensors if shapes.get(name) != other_shapes.get(name))
        raise NotApplicable(
            f"{names} differ in {odd}: their weights cannot be compared", subject=odd
        )
    if (sources[0].mean, sources[0].std) != (sources[1].mean, sources[1].std):
        raise NotApplicable(
            f"{names} want images normalised differently: their weights cannot be compared",
            subject=sources[0].name,
        )


def _shapes(network: LoadedNetwork) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state.items()}


def _at_most(rows: np.ndarray, count: int) -> np.ndarray:
    """Draw at most ``count`` of the rows, the same ones every time, and return them in order."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(0).permutation(rows)[:count])
