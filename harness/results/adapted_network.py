"""Adapted networks: the file that ``headwater adapt`` leaves, and how it is used again.

It is a safetensors file: the trained weights, and in its header, as JSON under ``headwater``, all
that is needed to use them. Reading it runs nothing from it.
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
from headwater.harness.measure.backbone import build, normalise_like, save_state, width_of
from headwater.harness.measure.device import Device
from headwater.registry import Context, Registry, SourceModel, Task, TaskType
from headwater.registry.discovery import PluginLike
from headwater.registry.errors import DataError, HeadwaterError, NotApplicable, WeightsError
from headwater.registry.names import Value

HEADER_KEY = "headwater"
BATCH_SIZE = 64
"""Images at once in ``predict``."""


@dataclass(frozen=True)
class AdaptedFacts:
    """The header of the file.

    Attributes:
        source: The source model.
        task: The task that it was adapted to.
        task_type: The type of the task.
        adaptation: How it was adapted.
        options: The options of the adaptation, as trained.
        classes: The names of the classes, points or the like; () for none.
        outputs: The width of the head.
        image_size: The side of the images in pixels.
        mean: The mean of each colour, from 0 to 1, that images are normalised by.
        std: The standard deviation, likewise.
        metric: The metric of the task.
        metrics: Split -> metric -> value.
        size: The number of training images, or "full".
        seed: The seed of the training.
        train_images: How many images there were to train and to choose on.
        training: The recipe, as trained.
        job: The identity of its job, a row in ``store``.
        store: The store.
        command: The command that made it.
        version: The version of Headwater that made it.
        plugins: The plugin files of that run.
        build: The source whose architecture takes the weights: a random one where there is one, so
            that nothing else is fetched or read.
        plain: True where the network is that architecture and a head, False where ``adaptation``
            puts it together.
        domain: The appearance domain of the task.
        dense: True where the targets have places in the image.
        format: The version of this header.
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
        """Read the header of a file.

        Raises:
            WeightsError: The file is missing, damaged or no adapted network.
        """
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise WeightsError(
                f"there is no adapted network at {path}",
                subject=str(path),
                hint="headwater adapt TASK --source … --save FILE",
            )
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})[HEADER_KEY])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise WeightsError(
                f"{path} is no network that headwater adapt saved",
                subject=str(path),
                hint="Is the file whole? A file of weights alone is a source: "
                "timm/ARCHITECTURE[weights=PATH].",
            ) from error
        if header.get("format") != cls.format:
            raise WeightsError(
                f"{path} was saved by a newer Headwater",
                subject=str(path),
                hint="pip install --upgrade headwater",
            )
        tuples = {key: tuple(header[key]) for key in ("classes", "mean", "std", "plugins")}
        return cls(**{**header, **tuples})


class AdaptedNetwork(nn.Module):
    """A fine-tuned network in evaluation mode: normalised images (B, 3, S, S) -> outputs (B, ...).

    ``predict`` and ``outputs`` take images as they come: paths, PIL images, encoded bytes, uint8
    arrays (H, W) or (H, W, 3); one, or many. They are cut and scaled as they were for training.
    """

    def __init__(self, network: nn.Module, facts: AdaptedFacts, task_type: TaskType) -> None:
        super().__init__()
        self.network = network
        self.facts = facts
        self.task_type = task_type
        self.classes = facts.classes
        self.image_size = facts.image_size
        self.mean = facts.mean
        self.std = facts.std

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)

    def prepared(self, images: Iterable[Any]) -> Tensor:
        """Cut, scale and normalise images.

        Returns:
            (N, 3, S, S) float32 on the network's device.

        Raises:
            DataError: One of them is no image.
        """
        pixels = np.stack(
            [
                _decoded(image, row, self.image_size, whole=self.facts.dense)
                for row, image in enumerate(images)
            ]
        )
        mean, std = (
            torch.tensor(values, device=self._device) * 255 for values in (self.mean, self.std)
        )
        on_device = torch.from_numpy(pixels).to(self._device).float()
        return on_device.sub_(mean).div_(std).permute(0, 3, 1, 2)

    def outputs(self, images: Any) -> np.ndarray:
        """Return what was measured in training: for classification the logits of each class.

        Returns:
            (N, ...) float32.
        """
        batches = list(self._outputs(_as_list(images)))
        if not batches:
            return np.empty((0, self.facts.outputs), np.float32)
        return np.concatenate(batches)

    def _outputs(self, images: Sequence[Any]) -> Iterator[np.ndarray]:
        """Yield the outputs batch by batch."""
        self.eval()
        for start in range(0, len(images), BATCH_SIZE):
            with torch.inference_mode(), Device(self._device.type).precision():
                outputs = self(self.prepared(images[start : start + BATCH_SIZE]))
            yield outputs.float().cpu().numpy()

    def probabilities(self, images: Any) -> np.ndarray:
        """Return the probability of each class, for task types that have an accuracy.

        Returns:
            (N, C) float32, rows adding up to 1.

        Raises:
            NotApplicable: The task's type has no accuracy: an image is not of one class.
        """
        if not any(metric.is_accuracy for metric in self.task_type.metrics):
            raise NotApplicable(
                f"{self.facts.task} is a {self.facts.task_type} task: "
                "its images have no probabilities of one class each",
                subject=self.facts.task,
                hint="Take predict, or outputs.",
            )
        return torch.from_numpy(self.outputs(images)).softmax(1).numpy()

    def predict(self, images: Any) -> list[Any]:
        """Return what the task asks of each image: a class, labels, a number, a mask, boxes, ...

        Masks, maps, boxes and points are those of the image as it was given, whatever size the
        network sees it at. docs/adapt.md says what each task type returns.
        """
        image_list = _as_list(images)
        answer = self.task_type.methods.answer
        answers: list[Any] = []
        for batch in self._outputs(image_list):
            for output in batch:
                row = len(answers)
                # Of the image as given: an answer in pixels is scaled back to it.
                shape = _shape(image_list[row], row)
                answers.append(answer(output, self.classes, shape))
        return answers

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device


def _as_list(images: Any) -> Sequence[Any]:
    """Return images as a list; a single one is a path, bytes, a PIL image or one array."""
    is_single = (
        isinstance(images, str | bytes | Path | dict)
        or hasattr(images, "convert")
        or (isinstance(images, np.ndarray) and images.ndim < 4)
    )
    return [images] if is_single else list(images)


def _decoded(image: Any, row: int, size: int, *, whole: bool) -> np.ndarray:
    try:
        return decode(image, size, whole=whole)
    except Exception as error:  # PIL raises a different class for every way a file can be broken
        name = _name(image, row)
        raise DataError(
            f"{name} cannot be decoded: {error}",
            subject=name,
            hint="Give a path, a PIL image or a uint8 array.",
        ) from None


def _shape(image: Any, row: int) -> tuple[int, int]:
    return shape_of(image, _name(image, row))


def _name(image: Any, row: int) -> str:
    return str(image) if isinstance(image, str | Path) else f"image {row}"


def load_adapted(path: str | Path, *, plugins: Sequence[PluginLike] = ()) -> AdaptedNetwork:
    """Load the network that ``headwater adapt`` saved, in evaluation mode on the CPU.

    Args:
        path: The file.
        plugins: The plugins that its architecture or adaptation comes from; a file never brings
            its own code.

    Raises:
        WeightsError: The file is no such network.
        UnknownName: A plugin is missing.
    """
    from safetensors.torch import load_file

    facts = AdaptedFacts.of(Path(path))
    try:
        return rebuilt(facts, load_file(path), Registry.discover(plugins))
    except HeadwaterError as error:
        if not facts.plugins:
            raise
        call = f"hw.load_adapted({str(path)!r}, plugins={list(facts.plugins)!r})"
        raise type(error)(
            error.message, subject=error.subject, hint=f"It was made with a plugin: {call}"
        ) from error


def rebuilt(facts: AdaptedFacts, state: Mapping[str, Tensor], registry: Registry) -> AdaptedNetwork:
    """Build the network of these facts with these weights.

    Raises:
        WeightsError: The weights do not fit it.
    """
    network = assembled(facts, registry)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"the weights do not fit {facts.build} and a head: {reason}", subject=facts.build
        ) from error
    network.eval().requires_grad_(False)
    return AdaptedNetwork(network, facts, registry.task_type(facts.task_type))


def assembled(facts: AdaptedFacts, registry: Registry) -> nn.Module:
    """Build the network of these facts; its weights are still to be loaded."""
    source, task_type = registry.source(facts.build), registry.task_type(facts.task_type)
    backbone = build(source, facts.image_size, seed=0)
    backbone.dense = task_type.dense
    head = task_type.methods.head(width_of(backbone, facts.image_size), facts.outputs)
    if facts.plain:
        return Device("cpu").place(nn.Sequential(backbone, head))
    task = Task(
        name=facts.task,
        load=dict,
        type=facts.task_type,
        domain=facts.domain,
        metric=facts.metric,
        classes=facts.classes,
    )
    context = Context(
        source=source,
        task=task,
        backbone=backbone,
        head=head,
        loss=task_type.methods.loss,
        steps=1,
        load_source=lambda name: _further_source(name, facts, source, registry),
        image_size=facts.image_size,
    )
    card, _ = registry.adaptation(facts.adaptation)
    return Device("cpu").place(card.method(context, **facts.options).network)


def _further_source(
    name: str, facts: AdaptedFacts, source: SourceModel, registry: Registry
) -> nn.Module:
    """Build the architecture of another source that the adaptation uses; the file has its weights."""
    mean, std = (cast(tuple[float, float, float], values) for values in (facts.mean, facts.std))
    normalised_for = replace(source, mean=mean, std=std)
    further = registry.source(name)
    architecture = registry.source(further.scratch or name)
    backbone = build(architecture, facts.image_size, seed=0)
    return normalise_like(normalised_for, backbone, further)


def save_adapted(path: Path, network: AdaptedNetwork) -> None:
    """Write the file, whole or not at all."""
    save_state(network.network, path, {HEADER_KEY: json.dumps(asdict(network.facts))})
