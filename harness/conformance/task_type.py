"""What a task type promises: targets without silent flaws, a head that learns them, predictions that can be measured, kept and shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from headwater.harness.conformance.check import Check, broken, finite
from headwater.harness.conformance.toys import network
from headwater.registry import (
    Annotations,
    Encoded,
    Kind,
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
"""Of the example's training images, from as many strata as there are."""
SIDE = 64
STEPS, RATE = 20, 0.01
KEPT = 1e4
"""Predictions are kept in half precision, clamped to this."""
ROUNDING = 1e-6
DOUBT = 0.05
"""What the default metric may lose in a short training that lowers the loss, relative to what it was or to 1."""
CLOSE = 1e-2
"""How far the loss of a batch may lie from that of the batch twice over, relative to it."""


def checks(card: TaskType, registry: Registry, beside: Sequence[Task] = ()) -> list[Check]:
    """Of the card alone where there is no task of the type to try it on."""
    task = example_of(card, registry, beside)
    subject = _Subject(card, registry, task)
    first = Check(card.name, "card", subject.card_is_sound, essential=True)
    if task is None:
        return [first]
    named = {
        "encodes": subject.encodes,
        "flaws": subject.flaws_are_told,
        "strata": subject.strata_fit,
        "predicts": subject.predicts,
        "loss": subject.loss_is_a_mean,
        "learns": subject.learns,
        "measures": subject.measures,
        "direction": subject.direction_is_right,
        "augments": subject.augments,
        "probe": subject.probe_fits,
        "picture": subject.pictures,
        "deterministic": subject.is_deterministic,
        "picklable": subject.pickles,
    }
    essential = ("encodes", "strata", "predicts", "loss")
    return [
        first,
        *(
            Check(card.name, name, look, essential=name in essential)
            for name, look in named.items()
        ),
    ]


def example_of(card: TaskType, registry: Registry, beside: Sequence[Task]) -> Task | None:
    """A task of the type: one named beside it, or the last registered, which is a user's own where there is one."""
    registered = (task for task in registry.cards[Kind.TASK].values() if isinstance(task, Task))
    return next(
        (task for task in [*beside, *reversed(list(registered))] if task.type == card.name), None
    )


@dataclass(frozen=True)
class _Example:
    """A few training images of the task. images (K, S, S, 3) uint8, targets (K, ...)."""

    images: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    outputs: int


class _Subject:
    def __init__(self, card: TaskType, registry: Registry, task: Task | None) -> None:
        self.card, self.registry, self.given = card, registry, task
        self.methods: TaskTypeMethods = card.methods

    @property
    def task(self) -> Task:
        assert self.given is not None, "checks that need a task are not made without one"
        return self.given

    def card_is_sound(self) -> str:
        names = [metric.name for metric in self.card.metrics]
        if not names or len(set(names)) < len(names):
            raise broken(
                f"its metrics are {', '.join(names) or 'none'}",
                "List each that measure returns, once; the first is the default.",
            )
        if self.card.probed_as and self.card.probed_as not in self.registry.cards[Kind.TASK_TYPE]:
            raise broken(
                f"probed_as={self.card.probed_as!r} is no task type",
                "See: headwater list task-types.",
            )
        shown = ", ".join(metric.directed for metric in self.card.metrics)
        if self.given is None:
            return f"{shown} · tried on nothing: name a task of the type beside it, or register one"
        return f"{shown} · on {self.task.name}"

    # -- targets ------------------------------------------------------------------------------------------

    @cached_property
    def example(self) -> _Example:
        from headwater.harness.data.decoding import decode
        from headwater.harness.data.prepared import load_usable
        from headwater.harness.results.pictures import chosen

        kept = load_usable(self.task, self.card, SIDE)
        splits, classes, train = kept.splits, kept.classes, kept.found["train"].targets
        rows = np.sort(chosen(self.methods.strata(train), IMAGES))
        images = np.stack(
            [decode(splits["train"].images[int(row)], SIDE, whole=self.card.dense) for row in rows]
        )
        return _Example(images, train[rows], classes, self.methods.outputs(train, classes))

    @cached_property
    def _loaded(self) -> tuple[Split, tuple[str, ...]]:
        """The training split as it stands, and the classes."""
        from headwater.harness.data.splits import splits_of

        splits, classes = splits_of(self.task)
        return splits["train"], classes or self.methods.classes(
            [*splits["train"].targets, *splits["test"].targets], self.task
        )

    def _encode(self, change: Callable[[list[Any]], None] = lambda targets: None) -> Encoded:
        """The first images of the training split, their targets changed before."""
        from headwater.harness.data.decoding import shape_of

        split, classes = self._loaded
        targets = [split.targets[row] for row in range(min(IMAGES, len(split.targets)))]
        change(targets)
        shape = lambda row: shape_of(split.images[row], split.names[row])  # noqa: E731
        return self.methods.encode(
            Annotations(self.task, targets, split.names[: len(targets)], classes, SIDE, shape)
        )

    def encodes(self) -> str:
        found, again = self._encode(), self._encode()
        if not isinstance(found, Encoded) or not isinstance(found.targets, np.ndarray):
            raise broken(
                f"encode returned a {type(found).__name__}",
                "Return hw.Encoded(targets): one numpy array, of one shape an image.",
            )
        if found.targets.dtype.kind not in "biuf":
            raise broken(
                f"its targets are of type {found.targets.dtype}",
                "Encode them as numbers, padded to one shape.",
            )
        if not np.array_equal(
            found.targets, again.targets, equal_nan=found.targets.dtype.kind == "f"
        ):
            raise broken(
                "the same targets are encoded differently twice",
                "Draw no random numbers in encode.",
            )
        left = IMAGES if found.rows is None else len(found.rows)
        if found.rows is not None and not (np.diff(found.rows) > 0).all():
            raise broken("rows of the images kept do not ascend", "Keep the images in their order.")
        if len(found.targets) > left:
            raise broken(
                f"{len(found.targets)} targets of {left} images",
                "Return one for each image that is kept.",
            )
        if self.example.outputs < 1:
            raise broken(f"outputs is {self.example.outputs}", "It is the width of the head.")
        return f"targets {self.example.targets.shape[1:]} {found.targets.dtype}"

    def flaws_are_told(self) -> str:
        """A target that is none, and one that is nothing known, end in DataError or in a flaw."""
        for wrong, called in ((None, "no target"), (object(), "a target of a strange kind")):
            try:
                found = self._encode(lambda targets, wrong=wrong: targets.__setitem__(0, wrong))  # type: ignore[misc]
            except HeadwaterError:
                continue
            except Exception as error:
                message = f"an image with {called} ends in {type(error).__name__}: {error}"
                raise broken(message, "Raise hw.DataError, and name the image.") from error
            if not found.flaws:
                hint = "Raise hw.DataError naming the image, or leave it out and return an hw.Flaw that says so."
                raise broken(f"an image with {called} is taken without a word", hint)
        return "flaws told"

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

    def predicts(self) -> str:
        import torch

        backbone, head = self._network()
        found = self._predictions(backbone, head)
        if (
            not isinstance(found, torch.Tensor)
            or not found.is_floating_point()
            or len(found) != len(self.example.targets)
        ):
            what = (
                f"{tuple(found.shape)} {found.dtype}"
                if isinstance(found, torch.Tensor)
                else f"a {type(found).__name__}"
            )
            raise broken(
                f"its head says {what} of {len(self.example.targets)} images",
                "In evaluation mode: one float tensor, (B, ...).",
            )
        alone = self._predictions(backbone, head, images=1)
        if alone.shape[1:] != found.shape[1:]:
            message = f"predictions are {tuple(found.shape[1:])} in a batch and {tuple(alone.shape[1:])} alone"
            raise broken(message, "Pad them to one shape, whatever is predicted.")
        if not finite(found):
            raise broken("predictions are not finite", "Look at the head in evaluation mode.")
        if float(found.abs().max()) > KEPT:
            raise broken(
                f"predictions reach {float(found.abs().max()):.3g}, they are kept up to {KEPT:g}",
                "Predict in other units.",
            )
        on = f"maps of {len(Pyramid(()).strides)} strides" if self.card.dense else "vectors"
        return f"predictions {tuple(found.shape[1:])} from {on}"

    def loss_is_a_mean(self) -> str:
        """Twice the same images cost as much as once; batch norm sees the same statistics, dropout is off."""
        import torch

        backbone, head = self._network()
        for module in head.modules():
            if isinstance(module, torch.nn.modules.dropout._DropoutNd):
                module.p = 0.0
        values = []
        for times in (1, 2):
            images, targets = (
                torch.cat([whole] * times) for whole in (self._images, self._targets)
            )
            values.append(self.methods.loss(head.train()(backbone.train()(images)), targets))
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
        if not math.isclose(first, second, rel_tol=CLOSE, abs_tol=CLOSE):
            message = f"the loss of a batch is {first:.4g}, of the batch twice over {second:.4g}"
            raise broken(message, "Return a mean over images, not a sum.")
        return f"loss {first:.3g}"

    @cached_property
    def _learned(self) -> tuple[list[float], Tensor, Tensor]:
        """The losses of a short training on the example, and predictions before and after."""
        import torch

        backbone, head = self._network()
        before = self._predictions(backbone, head)
        both = torch.nn.Sequential(backbone, head).train()
        optimiser, losses = torch.optim.Adam(both.parameters(), lr=RATE), []
        for _ in range(STEPS):
            loss = self.methods.loss(both(self._images), self._targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        return losses, before, self._predictions(backbone, head)

    def learns(self) -> str:
        losses, _, _ = self._learned
        if not np.isfinite(losses).all() or losses[-1] >= losses[0]:
            message = f"its loss goes from {losses[0]:.4g} to {losses[-1]:.4g} in {STEPS} steps on {len(self.example.targets)} images"
            raise broken(message, "Does the loss see the targets of these images?")
        return "learns"

    # -- what is measured and shown -----------------------------------------------------------------------

    def measures(self) -> str:
        """On predictions as they are kept: every metric of the card and no other, numbers within their bounds."""
        found = dict(self.methods.measure(self._kept, self._targets))
        wanted = {metric.name: metric for metric in self.card.metrics}
        if set(found) != set(wanted):
            message = f"measure returns {', '.join(found)}; its card lists {', '.join(wanted)}"
            raise broken(message, "metrics= of the decorator lists what measure returns.")
        for name, value in found.items():
            if (
                not isinstance(value, float | int)
                or not wanted[name].low - ROUNDING <= value <= wanted[name].high + ROUNDING
            ):
                raise broken(
                    f"{name} is {value!r}",
                    f"It is a number from {wanted[name].low:g} to {wanted[name].high:g}.",
                )
        self._tally_adds_up(found)
        for name, values in self.methods.by_class(
            self._kept, self._targets, self.example.classes
        ).items():
            if strangers := set(values) - set(self.example.classes):
                raise broken(
                    f"{name} by class is of {sorted(strangers)[0]!r}", "Its keys are class names."
                )
        return "measures"

    def _tally_adds_up(self, measured: Mapping[str, float]) -> None:
        tally = self.methods.tally(self._kept, self._targets)
        if tally is None:
            return
        for name, value in self.methods.tallied(tally.sum(0)).items():
            if not math.isclose(value, measured[name], rel_tol=CLOSE, abs_tol=ROUNDING):
                message = f"{name} is {measured[name]:.6g}, from the sums of its tally {value:.6g}"
                raise broken(
                    message, "Return None from tally where a metric is more than sums over images."
                )

    @property
    def _kept(self) -> Tensor:
        return self._learned[2].clamp(-KEPT, KEPT).half().float()

    def direction_is_right(self) -> str:
        """The default metric, on the images trained on, is not clearly worse after the loss fell."""
        metric = self.card.metrics[0]
        before, after = (
            float(self.methods.measure(found, self._targets)[metric.name])
            for found in self._learned[1:]
        )
        if metric.sign * (after - before) < -DOUBT * max(1.0, abs(before)):
            message = f"{metric.name} goes from {before:.4g} to {after:.4g} on the images that are trained on, {metric_words(metric.sign)}"
            raise broken(
                message,
                "Say higher_is_better=… as it is, or look whether loss and metric want the same.",
            )
        return ""

    def augments(self) -> str:
        """Targets that are not moved stay as they are, and come back from being mirrored twice; moved ones keep shape and type."""
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
                "probed_as='classification', or another task type.",
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

    def pictures(self) -> str:
        example, count = self.example, 0
        for row, prediction in enumerate(self._kept.numpy()):
            panels = self.methods.picture(
                example.images[row].copy(), example.targets[row].copy(), prediction, example.classes
            )
            count = len(panels)
            for title, panel in panels:
                if not isinstance(title, str) or not _is_image(panel):
                    what = (
                        f"{panel.shape} {panel.dtype}"
                        if isinstance(panel, np.ndarray)
                        else f"a {type(panel).__name__}"
                    )
                    raise broken(
                        f"a panel of its picture is {what}", "Panels are (title, (H, W, 3) uint8)."
                    )
        if not count:
            raise broken(
                "its picture has no panels", "Return at least one: (title, (H, W, 3) uint8)."
            )
        return f"{count} panel{'s' * (count > 1)}"

    def is_deterministic(self) -> str:
        one, other = (self._predictions(*self._network()) for _ in range(2))
        if not one.equal(other):
            raise broken(
                "the same seed gives different predictions",
                "Draw random numbers from torch's global generator, and none in evaluation.",
            )
        first, second = (list(self.methods.measure(one, self._targets).values()) for _ in range(2))
        if not np.array_equal(first, second, equal_nan=True):
            raise broken(
                "the same predictions are measured differently twice",
                "Draw no random numbers in measure.",
            )
        return "deterministic"

    def pickles(self) -> str:
        from ray import cloudpickle

        again = cloudpickle.loads(cloudpickle.dumps(self.card))  # as Ray does
        if again.metrics != self.card.metrics or not np.array_equal(
            again.methods.strata(self.example.targets), self._strata
        ):
            raise broken(
                "a pickled copy says other things", "Keep what it needs in the plugin's file."
            )
        return "picklable"

    @property
    def _strata(self) -> Sequence[int]:
        return self.methods.strata(self.example.targets).tolist()


def _is_image(panel: Any) -> bool:
    return (
        isinstance(panel, np.ndarray)
        and panel.dtype == np.uint8
        and panel.ndim == 3
        and panel.shape[2] == 3
    )


def metric_words(sign: int) -> str:
    return "and should be high" if sign > 0 else "and should be low"
