"""Checks of a task type: targets without silent flaws, a head that learns them, predictions that
can be measured, stored and shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from headwater.harness.conformance.check import CardChecks, Check, broken, finite, promise
from headwater.harness.conformance.returns import CheckedMethods
from headwater.harness.conformance.toys import network
from headwater.registry import (
    Annotations,
    Encoded,
    Kind,
    LabelKind,
    Probe,
    Pyramid,
    Registry,
    Split,
    Task,
    TaskType,
    TaskTypeMethods,
)
from headwater.registry.errors import HeadwaterError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from headwater.harness.measure.backbone import Backbone

IMAGES = 6
"""How many of the example's training images are looked at, from as many strata as there are."""

SIDE = 64
"""Side of the images, in pixels."""

STEPS = 20
LEARNING_RATE = 0.01

MAX_STORED = 1e4
"""Predictions are stored in half precision, clamped to this."""

ROUNDING = 1e-6

METRIC_TOLERANCE = 0.05
"""What the default metric may lose in a short training that lowers the loss, relative to what it
was or to 1.
"""

LOSS_TOLERANCE = 1e-2
"""How far the loss of a batch may lie from that of the batch twice over, relative to it."""

ENCODINGS = 8
"""How often the same targets are encoded. A method that draws its targets at random may agree with
itself once by chance, on six images even often; seven times in a row it does not."""


def checks(card: TaskType, registry: Registry, beside: Sequence[Task] = ()) -> list[Check]:
    """Return the checks of a task type; of its card alone where no task of the type is known.

    Args:
        card: The task type.
        registry: Where a task of the type is looked for.
        beside: Tasks that are preferred to those of the registry.
    """
    task = example_of(card, registry, beside)
    subject = TaskTypeChecks(card, registry, task)
    return subject.all() if task else subject.all()[:1]


def example_of(card: TaskType, registry: Registry, beside: Sequence[Task]) -> Task | None:
    """Return a task of the type: one of those beside it, or the last registered, as a user's own
    is.
    """
    registered = [task for task in registry.cards[Kind.TASK].values() if isinstance(task, Task)]
    for task in [*beside, *reversed(registered)]:
        if task.type == card.name:
            return task
    return None


@dataclass(frozen=True)
class _Example:
    """A few training images of the task.

    Attributes:
        images: (K, S, S, 3) uint8.
        targets: (K, ...), as the task type encodes them.
        classes: The names of the classes.
        outputs: The width of the head.
    """

    images: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    outputs: int


class TaskTypeChecks(CardChecks[TaskType]):
    """Checks of a task type's methods on a few images of a task of the type.

    Args:
        card: The task type.
        registry: Where the type that it is probed as is looked up.
        task: The task; None where there is none, which leaves the check of the card.
    """

    def __init__(self, card: TaskType, registry: Registry, task: Task | None) -> None:
        super().__init__(card, registry)
        self.methods = cast(TaskTypeMethods, CheckedMethods(card.name, card.methods))
        self._task = task

    @property
    def task(self) -> Task:
        assert self._task is not None, "checks that need a task are not made without one"
        return self._task

    @promise("card", essential=True)
    def card_is_sound(self) -> str:
        names = [metric.name for metric in self.card.metrics]
        if not names or len(set(names)) < len(names):
            raise broken(
                f"its metrics are {', '.join(names) or 'none'}",
                "List each that measure returns, once; the first is the default.",
            )
        shown = ", ".join(metric.directed for metric in self.card.metrics)
        if self._task is None:
            return f"{shown} · tried on nothing: name a task of the type beside it, or register one"
        return f"{shown} · on {self.task.name}"

    # -- targets ------------------------------------------------------------------------------------------

    @cached_property
    def example(self) -> _Example:
        from headwater.harness.data.decoding import decode
        from headwater.harness.data.prepared import load_usable
        from headwater.harness.results.pictures import chosen

        usable = load_usable(self.task, replace(self.card, methods=self.methods), SIDE)
        split = usable.splits["train"]
        targets = usable.encoded["train"].targets
        rows = np.sort(chosen(self.methods.strata(targets), IMAGES))
        images = [decode(split.images[int(row)], SIDE, whole=self.card.dense) for row in rows]
        return _Example(
            images=np.stack(images),
            targets=targets[rows],
            classes=usable.classes,
            outputs=self.methods.outputs(targets, usable.classes),
        )

    @cached_property
    def _loaded(self) -> tuple[Split, tuple[str, ...]]:
        """Return the training split as it stands, and the classes."""
        from headwater.harness.data.splits import splits_of

        splits, classes = splits_of(self.task)
        if not classes:
            targets = [*splits["train"].targets, *splits["test"].targets]
            classes = self.methods.classes(targets, self.task)
        return splits["train"], classes

    def _targets_as_loaded(self) -> list[Any]:
        """Return the targets of the first images of the training split."""
        split, _ = self._loaded
        return [split.targets[row] for row in range(min(IMAGES, len(split.targets)))]

    def _encode(self, targets: Sequence[Any]) -> Encoded:
        """Encode targets as those of the first images of the training split."""
        from headwater.harness.data.decoding import shape_of

        split, classes = self._loaded

        def shape(row: int) -> tuple[int, int]:
            return shape_of(split.images[row], split.names[row])

        return self.methods.encode(
            Annotations(
                self.task,
                targets,
                split.names[: len(targets)],
                classes,
                image_size=SIDE,
                shape=shape,
            )
        )

    @promise("encodes", essential=True)
    def encodes(self) -> str:
        encoded = self._encode(self._targets_as_loaded())
        if not isinstance(encoded.targets, np.ndarray):
            raise broken(
                f"the targets of encode are a {type(encoded.targets).__name__}",
                "Return hw.Encoded(targets): one numpy array, of one shape an image.",
            )
        kind = encoded.targets.dtype.kind
        if kind not in "biuf":
            raise broken(
                f"its targets are of type {encoded.targets.dtype}",
                "Encode them as numbers, padded to one shape.",
            )
        for _ in range(ENCODINGS - 1):
            again = self._encode(self._targets_as_loaded())
            if not np.array_equal(encoded.targets, again.targets, equal_nan=kind == "f"):
                raise broken(
                    "the same targets are encoded differently twice",
                    "Draw no random numbers in encode.",
                )
        rows = encoded.rows
        if rows is not None and not (np.diff(rows) > 0).all():
            raise broken("rows of the images kept do not ascend", "Keep the images in their order.")
        images = IMAGES if rows is None else len(rows)
        if len(encoded.targets) > images:
            raise broken(
                f"{len(encoded.targets)} targets of {images} images",
                "Return one for each image that is kept.",
            )
        if self.example.outputs < 1:
            raise broken(f"outputs is {self.example.outputs}", "It is the width of the head.")
        return f"targets {self.example.targets.shape[1:]} {encoded.targets.dtype}"

    @promise("flaws")
    def flaws_are_told(self) -> str:
        """Check that a missing target, and one of a strange kind, end in DataError or in a flaw."""
        for wrong, called in ((None, "no target"), (object(), "a target of a strange kind")):
            targets = [wrong, *self._targets_as_loaded()[1:]]
            try:
                encoded = self._encode(targets)
            except HeadwaterError:
                continue
            except Exception as error:
                message = f"an image with {called} ends in {type(error).__name__}: {error}"
                raise broken(message, "Raise hw.DataError, and name the image.") from error
            if not encoded.flaws:
                raise broken(
                    f"an image with {called} is taken without a word",
                    "Raise hw.DataError naming the image, or leave it out and return an hw.Flaw "
                    "that says so.",
                )
        return "flaws told"

    @promise("strata", essential=True)
    def strata_fit(self) -> str:
        strata = np.asarray(self.methods.strata(self.example.targets))
        if strata.shape != (len(self.example.targets),) or strata.dtype.kind not in "iu":
            raise broken(
                f"strata of {len(self.example.targets)} images are {strata.shape} {strata.dtype}",
                "Return (N,) whole numbers.",
            )
        return ""

    # -- the network --------------------------------------------------------------------------------------

    def _network(self, seed: int = 0) -> tuple[Backbone, nn.Module]:
        import torch

        from headwater.harness.measure.backbone import Backbone, width_of

        torch.manual_seed(seed)
        backbone = Backbone(network.network(SIDE), dense=self.card.dense)
        head = self.methods.head(width_of(backbone, SIDE), self.example.outputs)
        self.methods.init_head(head, self.example.targets)
        return backbone, head

    @property
    def _images(self) -> Tensor:
        import torch

        return torch.from_numpy(self.example.images).permute(0, 3, 1, 2).float() / 127.5 - 1

    @property
    def _targets(self) -> Tensor:
        import torch

        return torch.from_numpy(self.example.targets)

    def _predictions(self, backbone: nn.Module, head: nn.Module, images: int = IMAGES) -> Tensor:
        import torch

        with torch.no_grad():
            return head.eval()(backbone.eval()(self._images[:images]))

    @promise("predicts", essential=True)
    def predicts(self) -> str:
        import torch

        backbone, head = self._network()
        predictions = self._predictions(backbone, head)
        count = len(self.example.targets)
        is_tensor = isinstance(predictions, torch.Tensor)
        if not is_tensor or not predictions.is_floating_point() or len(predictions) != count:
            form = f"a {type(predictions).__name__}"
            if is_tensor:
                form = f"{tuple(predictions.shape)} {predictions.dtype}"
            raise broken(
                f"its head says {form} of {count} images",
                "In evaluation mode: one float tensor, (B, ...).",
            )
        shape = tuple(predictions.shape[1:])
        alone = tuple(self._predictions(backbone, head, images=1).shape[1:])
        if alone != shape:
            message = f"predictions are {shape} in a batch and {alone} alone"
            raise broken(message, "Pad them to one shape, whatever is predicted.")
        if not finite(predictions):
            raise broken("predictions are not finite", "Look at the head in evaluation mode.")
        largest = float(predictions.abs().max())
        if largest > MAX_STORED:
            raise broken(
                f"predictions reach {largest:.3g}, they are stored up to {MAX_STORED:g}",
                "Predict in other units.",
            )
        on = f"maps of {len(Pyramid(()).strides)} strides" if self.card.dense else "vectors"
        return f"predictions {shape} from {on}"

    @promise("loss", essential=True)
    def loss_is_a_mean(self) -> str:
        """Check that the loss is a mean: the same images twice cost as much as once.

        Batch norm sees the same statistics; dropout is switched off.
        """
        import torch

        backbone, head = self._network()
        for module in head.modules():
            if isinstance(module, torch.nn.modules.dropout._DropoutNd):
                module.p = 0.0
        values = []
        for times in (1, 2):
            images = torch.cat([self._images] * times)
            targets = torch.cat([self._targets] * times)
            outputs = head.train()(backbone.train()(images))
            values.append(self.methods.loss(outputs, targets))
        once = values[0]
        if once.ndim or not once.requires_grad or not finite(once.detach()):
            raise broken(
                f"its loss is {once.detach()}", "Return one number that can be differentiated."
            )
        once.backward()
        first, second = (float(value.detach()) for value in values)
        gradients = [
            parameter.grad for parameter in head.parameters() if parameter.grad is not None
        ]
        if not gradients or not all(finite(gradient) for gradient in gradients):
            raise broken(
                "its loss gives the head no finite gradient",
                "Is it made of the head's outputs, without detach()?",
            )
        if not math.isclose(first, second, rel_tol=LOSS_TOLERANCE, abs_tol=LOSS_TOLERANCE):
            message = f"the loss of a batch is {first:.4g}, of the batch twice over {second:.4g}"
            raise broken(message, "Return a mean over images, not a sum.")
        return f"loss {first:.3g}"

    @cached_property
    def _learned(self) -> tuple[list[float], Tensor, Tensor]:
        """Return the losses of a short training on the example, and predictions before and after."""
        import torch

        backbone, head = self._network()
        before = self._predictions(backbone, head)
        both = torch.nn.Sequential(backbone, head).train()
        optimiser = torch.optim.Adam(both.parameters(), lr=LEARNING_RATE)
        losses = []
        for _ in range(STEPS):
            loss = self.methods.loss(both(self._images), self._targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        return losses, before, self._predictions(backbone, head)

    @promise("learns")
    def learns(self) -> str:
        losses, _, _ = self._learned
        if not np.isfinite(losses).all() or losses[-1] >= losses[0]:
            message = (
                f"its loss goes from {losses[0]:.4g} to {losses[-1]:.4g} in {STEPS} steps "
                f"on {len(self.example.targets)} images"
            )
            raise broken(message, "Does the loss see the targets of these images?")
        return "learns"

    # -- what is measured and shown -----------------------------------------------------------------------

    @promise("measures")
    def measures(self) -> str:
        """Check that stored predictions give every metric of the card and no other, within bounds."""
        values = dict(self.methods.measure(self._stored, self._targets))
        metrics = {metric.name: metric for metric in self.card.metrics}
        if set(values) != set(metrics):
            message = f"measure returns {', '.join(values)}; its card lists {', '.join(metrics)}"
            raise broken(message, "metrics= of the decorator lists what measure returns.")
        for name, value in values.items():
            low, high = metrics[name].low, metrics[name].high
            is_number = isinstance(value, float | int)
            if not is_number or not low - ROUNDING <= value <= high + ROUNDING:
                raise broken(f"{name} is {value!r}", f"It is a number from {low:g} to {high:g}.")
        self._check_tally(values)
        classes = self.example.classes
        by_class = self.methods.by_class(self._stored, self._targets, classes)
        for name, class_values in by_class.items():
            strangers = set(class_values) - set(classes)
            if strangers:
                raise broken(
                    f"{name} by class is of {sorted(strangers)[0]!r}", "Its keys are class names."
                )
        return "measures"

    def _check_tally(self, measured: Mapping[str, float]) -> None:
        """Check that sums over images give the metrics that were measured."""
        tally = self.methods.tally(self._stored, self._targets)
        if tally is None:
            return
        for name, value in self.methods.tallied(tally.sum(0)).items():
            if not math.isclose(value, measured[name], rel_tol=LOSS_TOLERANCE, abs_tol=ROUNDING):
                message = f"{name} is {measured[name]:.6g}, from the sums of its tally {value:.6g}"
                raise broken(
                    message, "Return None from tally where a metric is more than sums over images."
                )

    @promise("floor")
    def floor_fits(self) -> str:
        """Check that the constant prediction, if there is one, is measured as a network's are."""
        targets = self._targets
        constant = self.methods.constant(self.example.targets, self.example.outputs)
        if constant is None:
            return ""
        wanted = tuple(self._stored.shape[1:])
        if tuple(constant.shape) != wanted or not constant.is_floating_point():
            raise broken(
                f"its constant is {tuple(constant.shape)} {constant.dtype}, "
                f"one prediction of its head is {wanted} float",
                "Return from constant what the head predicts of one image.",
            )
        predictions = constant.expand(len(targets), *constant.shape)
        value = self.methods.measure(predictions, targets)[self.card.metrics[0].name]
        return f"{self.card.metrics[0].name} {value:.3g} without a look at an image"

    @property
    def _stored(self) -> Tensor:
        return self._learned[2].clamp(-MAX_STORED, MAX_STORED).half().float()

    @promise("direction")
    def direction_is_right(self) -> str:
        """Check that the default metric is not clearly worse after the loss fell.

        It is measured on the images that were trained on.
        """
        metric = self.card.metrics[0]
        _, before, after = self._learned
        value_before = float(self.methods.measure(before, self._targets)[metric.name])
        value_after = float(self.methods.measure(after, self._targets)[metric.name])
        change = metric.sign * (value_after - value_before)
        if change < -METRIC_TOLERANCE * max(1.0, abs(value_before)):
            message = (
                f"{metric.name} goes from {value_before:.4g} to {value_after:.4g} on the images "
                f"that are trained on, and should be {'high' if metric.sign > 0 else 'low'}"
            )
            raise broken(
                message,
                "Say higher_is_better=… as it is, or look whether loss and metric want the same.",
            )
        return ""

    @promise("augments")
    def augments(self) -> str:
        """Check that targets which are not moved stay as they are, mirrored twice included.

        Moved targets keep their shape and type.
        """
        import torch
        from torchvision.transforms import v2

        from headwater.harness.measure.augmentation import PairedTransform

        if not self.card.dense or self.methods.augmentation(True) is None:
            return ""
        generator = torch.Generator().manual_seed(0)
        still = {
            "as it is": v2.Identity(),
            "mirrored twice": v2.Compose([v2.RandomHorizontalFlip(1.0)] * 2),
        }
        for how, transform in still.items():
            _, targets = PairedTransform(self.methods, transform)(
                self._images, self._targets, generator
            )
            if not torch.allclose(
                targets.double(), self._targets.double(), rtol=1e-3, atol=1e-3, equal_nan=True
            ):
                raise broken(
                    f"a target {how} comes back changed",
                    "Look at annotate and annotated: one undoes the other.",
                )
        for mirror in (False, True):
            transform = self.methods.augmentation(mirror)
            assert transform is not None
            _, targets = PairedTransform(self.methods, transform)(
                self._images, self._targets, generator
            )
            if targets.shape != self._targets.shape or targets.dtype != self._targets.dtype:
                raise broken(
                    f"moved targets are {tuple(targets.shape)} {targets.dtype}",
                    "annotated returns them as encode does.",
                )
            backbone, head = self._network()
            if not finite(self.methods.loss(head(backbone(self._images)), targets).detach()):
                raise broken(
                    "the loss of moved targets is not a number",
                    "All of an image's target may move out of it.",
                )
        return "augments"

    @promise("probe")
    def probe_fits(self) -> str:
        probe = self.methods.probe(self.example.targets)
        if probe is None:
            return ""
        if not isinstance(probe, Probe) or len(probe.labels) != len(probe.image):
            raise broken(
                "probe does not return a hw.Probe of as many labels as images",
                "One of each for every row to be scored.",
            )
        if not self.card.probed_as:
            raise broken(
                "estimators are not told what its probe's labels are",
                f"probed_as={str(LabelKind.CLASSES)!r}, or another of {', '.join(LabelKind)}.",
            )
        image = np.asarray(probe.image)
        if len(image) and (
            (np.diff(image) < 0).any() or image[0] < 0 or image[-1] >= len(self.example.targets)
        ):
            raise broken(
                "images of its probe do not ascend from 0 to N - 1", "Sort its rows by image."
            )
        if probe.places is not None and not ((probe.places >= 0) & (probe.places <= 1)).all():
            raise broken(
                "places of its probe lie outside the image",
                "x and y are shares of the side, from 0 to 1.",
            )
        return f"{len(image)} probed as {self.card.probed_as}"

    @promise("picture")
    def pictures(self) -> str:
        example = self.example
        count = 0
        for row, prediction in enumerate(self._stored.numpy()):
            panels = self.methods.picture(
                example.images[row].copy(), example.targets[row].copy(), prediction, example.classes
            )
            count = len(panels)
            for title, panel in panels:
                if not isinstance(title, str) or not _is_image(panel):
                    form = f"a {type(panel).__name__}"
                    if isinstance(panel, np.ndarray):
                        form = f"{panel.shape} {panel.dtype}"
                    raise broken(
                        f"a panel of its picture is {form}", "Panels are (title, (H, W, 3) uint8)."
                    )
        if not count:
            raise broken(
                "its picture has no panels", "Return at least one: (title, (H, W, 3) uint8)."
            )
        return f"{count} panel{'s' * (count > 1)}"

    @promise("deterministic")
    def is_deterministic(self) -> str:
        predictions = self._predictions(*self._network())
        if not predictions.equal(self._predictions(*self._network())):
            raise broken(
                "the same seed gives different predictions",
                "Draw random numbers from torch's global generator, and none in evaluation.",
            )
        first = self.methods.measure(predictions, self._targets)
        second = self.methods.measure(predictions, self._targets)
        if not np.array_equal(list(first.values()), list(second.values()), equal_nan=True):
            raise broken(
                "the same predictions are measured differently twice",
                "Draw no random numbers in measure.",
            )
        return "deterministic"

    @promise("picklable")
    def pickles(self) -> str:
        from ray import cloudpickle

        copied = cloudpickle.loads(cloudpickle.dumps(self.card))  # as Ray does
        strata = self.methods.strata(self.example.targets)
        copied_strata = copied.methods.strata(self.example.targets)
        is_same = copied.metrics == self.card.metrics and np.array_equal(copied_strata, strata)
        if not is_same:
            raise broken(
                "a pickled copy says other things", "Keep what it needs in the plugin's file."
            )
        return "picklable"


def _is_image(panel: Any) -> bool:
    return (
        isinstance(panel, np.ndarray)
        and panel.dtype == np.uint8
        and panel.ndim == 3
        and panel.shape[2] == 3
    )
