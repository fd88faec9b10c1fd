"""Adapted networks: the file that ``headwater adapt`` leaves, and how it is used again.

A safetensors file: the trained weights, and in its header, as JSON under ``headwater``, all that is needed to use them. Reading it
runs nothing from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from headwater.harness.data.decoding import decode, shape_of
from headwater.harness.measure.backbone import build, normalise_like, width_of
from headwater.harness.measure.device import Device
from headwater.registry import Context, Registry, Task, TaskType
from headwater.registry.cache import write_atomically
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import DataError, HeadwaterError, NotApplicable, WeightsError
from headwater.registry.names import Value

KEY = "headwater"
BATCH = 64
"""Images at once in ``predict``."""


@dataclass(frozen=True)
class AdaptedFacts:
    """What the header says.

    ``build`` is the source whose architecture takes the weights: a random one where there is one, so that nothing else is fetched
    or read. ``plain``: the network is that and a head; otherwise ``adaptation`` with ``options`` puts it together.
    ``metrics``: split -> metric -> value. ``job`` is its row in ``store``.
    """

    source: str
    task: str
    task_type: str
    adaptation: str
    options: Mapping[str, Value]
    classes: tuple[str, ...]
    outputs: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    metric: str
    metrics: Mapping[str, Mapping[str, float]]
    size: str
    seed: int
    train_images: int
    training: Mapping[str, Any]
    job: str
    store: str
    command: str = ""
    version: str = ""
    plugins: tuple[str, ...] = ()
    build: str = ""
    plain: bool = True
    domain: str | None = None
    dense: bool = False
    format: int = field(default=1)

    @classmethod
    def of(cls, path: Path) -> AdaptedFacts:
        """Those of a file; raises WeightsError for one that is missing, damaged or another's."""
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise WeightsError(
                f"there is no adapted network at {path}",
                subject=str(path),
                hint="headwater adapt TASK --source … --save FILE",
            )
        try:
            with safe_open(path, framework="pt") as file:
                known = json.loads((file.metadata() or {})[KEY])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            hint = (
                "Is it whole? Files of weights alone are sources: timm/ARCHITECTURE[weights=PATH]."
            )
            raise WeightsError(
                f"{path} is no network that headwater adapt saved", subject=str(path), hint=hint
            ) from error
        if known.get("format") != cls.format:
            raise WeightsError(
                f"{path} was saved by a newer Headwater",
                subject=str(path),
                hint="pip install --upgrade headwater",
            )
        lists = {key: tuple(known[key]) for key in ("classes", "mean", "std", "plugins")}
        return cls(**{**known, **lists})


class AdaptedNetwork(nn.Module):
    """A fine-tuned network in evaluation mode: normalised images (B, 3, S, S) -> outputs (B, ...).

    ``predict`` and ``outputs`` take images as they come: paths, PIL images, encoded bytes, uint8 arrays (H, W) or (H, W, 3);
    one, or many. They are cut and scaled as they were for training.
    """

    def __init__(self, network: nn.Module, facts: AdaptedFacts, task_type: TaskType) -> None:
        super().__init__()
        self.network = network
        self.facts = facts
        self.task_type = task_type
        self.classes, self.image_size, self.mean, self.std = (
            facts.classes,
            facts.image_size,
            facts.mean,
            facts.std,
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)

    def prepared(self, images: Iterable[Any]) -> Tensor:
        """(N, 3, S, S) float32 on the network's device, cut, scaled and normalised; raises DataError for one that is no image."""
        pixels = torch.from_numpy(
            np.stack(
                [
                    _decoded(image, row, self.image_size, self.facts.dense)
                    for row, image in enumerate(images)
                ]
            )
        )
        mean, std = (
            torch.tensor(values, device=self._device) * 255 for values in (self.mean, self.std)
        )
        return pixels.to(self._device).float().sub_(mean).div_(std).permute(0, 3, 1, 2)

    def outputs(self, images: Any) -> np.ndarray:
        """(N, ...) float32, what was measured in training: for classification the logits of each class."""
        found = list(self._outputs(_many(images)))
        return np.concatenate(found) if found else np.empty((0, self.facts.outputs), np.float32)

    def _outputs(self, images: Sequence[Any]) -> Iterator[np.ndarray]:
        """Batch by batch."""
        self.eval()
        for start in range(0, len(images), BATCH):
            with torch.inference_mode(), Device(self._device.type).precision():
                found = self(self.prepared(images[start : start + BATCH]))
            yield found.float().cpu().numpy()

    def probabilities(self, images: Any) -> np.ndarray:
        """(N, C) float32, rows adding up to 1; for classification. Raises NotApplicable for other tasks."""
        if self.facts.task_type != "classification":
            message = f"{self.facts.task} is {self.facts.task_type}: an image has no probabilities of one class each"
            raise NotApplicable(message, subject=self.facts.task, hint="Take predict, or outputs.")
        return torch.from_numpy(self.outputs(images)).softmax(1).numpy()

    def predict(self, images: Any) -> list[Any]:
        """Of each image what its task asks: the name of its class, its labels, its number, a mask, boxes, ...; see docs/adapt.md.

        Masks, maps, boxes and points are those of the image as it was given, whatever size the network sees it at.
        """
        asked, answer = _many(images), self.task_type.methods.answer
        shapes = (_shape(image, row) for row, image in enumerate(asked))
        return [
            answer(output, self.classes, next(shapes))
            for batch in self._outputs(asked)
            for output in batch
        ]

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device


def _many(images: Any) -> Sequence[Any]:
    """One image, or several: a list, a tuple, anything that is walked through and is no image itself."""
    one = (
        isinstance(images, str | bytes | Path | dict)
        or hasattr(images, "convert")
        or (isinstance(images, np.ndarray) and images.ndim < 4)
    )
    return [images] if one else list(images)


def _decoded(image: Any, row: int, size: int, whole: bool) -> np.ndarray:
    try:
        return decode(image, size, whole=whole)
    except Exception as error:  # PIL raises a different class for every way a file can be broken
        name = str(image) if isinstance(image, str | Path) else f"image {row}"
        raise DataError(
            f"{name} cannot be decoded: {error}",
            subject=name,
            hint="Give a path, a PIL image or a uint8 array.",
        ) from None


def _shape(image: Any, row: int) -> tuple[int, int]:
    return shape_of(image, str(image) if isinstance(image, str | Path) else f"image {row}")


def load_adapted(path: str | Path, *, plugins: Sequence[PluginLike] = ()) -> AdaptedNetwork:
    """The network that ``headwater adapt`` saved, in evaluation mode on the CPU.

    ``plugins``: those that its architecture or adaptation comes from; a file never brings its own code. Raises WeightsError for a
    file that is no such network, UnknownName where a plugin is missing.
    """
    from safetensors.torch import load_file

    facts = AdaptedFacts.of(Path(path))
    try:
        return rebuilt(facts, load_file(path), Registry.discover(plugins))
    except HeadwaterError as error:
        if not facts.plugins:
            raise
        hint = f"It was made with a plugin: hw.load_adapted({str(path)!r}, plugins={list(facts.plugins)!r})"
        raise type(error)(error.message, subject=error.subject, hint=hint) from error


def rebuilt(facts: AdaptedFacts, state: Mapping[str, Tensor], registry: Registry) -> AdaptedNetwork:
    """The facts' network with these weights; raises WeightsError where they do not fit it."""
    network = assembled(facts, registry)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"the weights do not fit {facts.build} and a head: {reason}", subject=facts.build
        ) from error
    return AdaptedNetwork(
        network.eval().requires_grad_(False), facts, registry.task_type(facts.task_type)
    )


def assembled(facts: AdaptedFacts, registry: Registry) -> nn.Module:
    """The network, its weights still to be loaded."""
    source, task_type = registry.source(facts.build), registry.task_type(facts.task_type)
    backbone = build(source, facts.image_size, seed=0)
    backbone.dense = task_type.dense
    head = task_type.methods.head(width_of(backbone, facts.image_size), facts.outputs)
    if facts.plain:
        return Device("cpu").place(nn.Sequential(backbone, head))
    card, _ = registry.adaptation(facts.adaptation)
    task = Task(
        name=facts.task,
        load=dict,
        type=facts.task_type,
        domain=facts.domain,
        metric=facts.metric,
        classes=facts.classes,
    )
    mean, std = (cast(tuple[float, float, float], values) for values in (facts.mean, facts.std))
    given = replace(source, mean=mean, std=std)

    def another(name: str) -> nn.Module:
        """Its architecture; the weights will be the file's."""
        named = registry.source(name)
        return normalise_like(
            given, build(registry.source(named.scratch or name), facts.image_size, seed=0), named
        )

    context = Context(
        source,
        task,
        backbone,
        head,
        task_type.methods.loss,
        steps=1,
        load_source=another,
        image_size=facts.image_size,
    )
    return Device("cpu").place(card.objective(context, **facts.options).network)


def save_adapted(path: Path, network: AdaptedNetwork) -> None:
    """Write the file, whole or not at all."""
    from safetensors.torch import save_file

    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.network.state_dict().items()
    }
    header = {KEY: json.dumps(asdict(network.facts))}
    write_atomically(path, lambda temporary: save_file(state, temporary, header))
