"""Feature similarity: linear CKA of two networks' features, stage by stage (Kornblith et al. 2019, arXiv 1905.00414, equation 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from headwater.harness.measure.anatomy.networks import HEAD, AnalysedNetwork, Networks
from headwater.leaderboard.store.records import Reading
from headwater.registry.stages import called_modules, depths, stages


def similarity(networks: Networks, settings: Mapping[str, Any]) -> list[Reading]:
    """``cka`` of each pair at each stage that both have, on test images; of the head's outputs where both were trained, and where
    these are features: what dense types predict is chosen (classes of pixels, boxes), and as wide as an image."""
    pairs = {name: (one, other) for name, one, other in networks.pairs(initial=True)}
    rows = networks.trained("P-T").test_rows(settings["images"])
    subjects = {id(subject): subject for pair in pairs.values() for subject in pair}
    found: dict[str, Cka] = {}
    wanted = [(id(one), id(other)) for one, other in pairs.values()]
    for batch in zip(*(_features(subject, rows) for subject in subjects.values()), strict=True):
        for stage in batch[0]:
            features = {
                key: seen[stage] for key, seen in zip(subjects, batch, strict=True) if stage in seen
            }
            found.setdefault(stage, Cka(wanted)).add(features)
    places = depths(stages(networks.trained("P-T").backbone)) | {HEAD: 1.0}
    readings = []
    for name, (one, other) in pairs.items():
        for stage, moments in found.items():
            untrained = name.partition("/")[0] in ("P", "RI")
            value = None if stage == HEAD and untrained else moments.value(id(one), id(other))
            if value is not None:
                readings.append(Reading(name, "cka", value, module=stage, x=places[stage]))
    return readings


class Cka:
    """Linear CKA of several feature matrices, fed batch by batch and exact whatever the batches: of columns-centred X and Y,

    ‖YᵀX‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F), from sums of products in float64. Batches are shifted by the first one's mean, which
    changes nothing but the rounding.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        self.pairs = set(pairs)
        self.count = 0
        self.shift: dict[int, Tensor] = {}
        self.sums: dict[int, Tensor] = {}
        self.products: dict[tuple[int, int], Tensor] = {}

    def add(self, features: Mapping[int, Tensor]) -> None:
        """(B, D) of each network, on the same images."""
        wide = {key: values.double() for key, values in features.items()}
        for key, values in wide.items():
            self.shift.setdefault(key, values.mean(0))
            wide[key] = values - self.shift[key]
            self.sums[key] = self.sums.get(key, 0) + wide[key].sum(0)
        for one, other in self.pairs | {(key, key) for key in wide}:
            if one in wide and other in wide:
                self.products[one, other] = (
                    self.products.get((one, other), 0) + wide[one].T @ wide[other]
                )
        self.count += len(next(iter(wide.values())))

    def value(self, one: int, other: int) -> float | None:
        """Between 0 and 1; None for networks that lack this stage, or features that are all the same."""
        if one not in self.sums or other not in self.sums:
            return None
        crossed, own, others = (
            self._centred(*pair) for pair in ((one, other), (one, one), (other, other))
        )
        scale = float(own.norm() * others.norm())
        return float(crossed.norm() ** 2) / scale if scale > 0 else None

    def _centred(self, one: int, other: int) -> Tensor:
        return (
            self.products[one, other] - torch.outer(self.sums[one], self.sums[other]) / self.count
        )


def _features(subject: AnalysedNetwork, rows: Any) -> Iterator[dict[str, Tensor]]:
    """Batch by batch, each stage's features (B, D) and, but for dense types, the outputs (B, ...) flattened."""
    with _watched(subject) as seen:
        for images in subject.batches(subject.cell.prepared.test, rows):
            seen.clear()
            outputs = _outputs(subject, images)
            yield (
                dict(seen)
                if subject.cell.task_type.dense
                else {**seen, HEAD: outputs.flatten(1).float()}
            )


@torch.inference_mode()  # not around the generator above: several run side by side, and a mode belongs to the thread
def _outputs(subject: AnalysedNetwork, images: Tensor) -> Tensor:
    with subject.device.precision():
        return subject.network(images)


@contextmanager
def _watched(subject: AnalysedNetwork) -> Iterator[dict[str, Tensor]]:
    """Keeps what each stage last put out, pooled."""
    seen: dict[str, Tensor] = {}
    last = str(getattr(getattr(subject.backbone, "network", None), "output_fmt", "NCHW")).endswith(
        "NHWC"
    )

    def keep(stage: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim > 1:
                seen[stage] = pooled(output, channels_last=last)

        return hook

    hooks = [
        module.register_forward_hook(keep(stage))
        for stage, part in stages(subject.backbone).items()
        for module in called_modules(part)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def pooled(output: Tensor, channels_last: bool = False) -> Tensor:
    """(B, D) float32: maps (B, D, H, W), or (B, H, W, D) where ``channels_last``, and tokens (B, N, D) are averaged over places."""
    if output.ndim == 4:
        output = output.mean((1, 2)) if channels_last else output.mean((2, 3))
    elif output.ndim == 3:
        output = output.mean(1)
    return output.flatten(1).float()
