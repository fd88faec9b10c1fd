"""Task types: what targets look like, which head and loss they want, how predictions are measured
and shown.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from headwater.registry.cards.annotations import Annotations, Encoded
from headwater.registry.cards.card import Card, Kind, names_bad_keywords, summary_of
from headwater.registry.columns import TargetColumn
from headwater.registry.errors import BadPlugin
from headwater.registry.evidence.labels import LabelKind, label_kinds
from headwater.registry.identity import code_of
from headwater.registry.names import Value

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torchvision.transforms.v2 import Transform

    from headwater.registry.cards.task import Task


def directed(metric: str, sign: int) -> str:
    """A metric's name as people are shown it: ↑ where it should be high, ↓ where low."""
    return f"{metric} {'↑' if sign > 0 else '↓'}"


@dataclass(frozen=True)
class Metric:
    """A measure of success.

    Attributes:
        name: The name of the metric.
        higher_is_better: Whether a high value is a success; decides the sign of a gain.
        low: The least value that it can have.
        high: The largest value.
        is_accuracy: True for the share of images whose largest prediction is their class:
            predictions (N, C), targets (N,) int. Its interval is Wilson's, and two networks are
            compared image by image; intervals of other metrics are bootstrapped.
        unit: What it is counted in, such as "m"; "" for none.
        in_target_units: True if it is counted in the targets' unit, which the task's card names:
            an error in years and one in dollars are no more alike than two metrics.
    """

    name: str
    higher_is_better: bool = True
    low: float = -math.inf
    high: float = math.inf
    is_accuracy: bool = False
    unit: str = ""
    in_target_units: bool = False

    @property
    def sign(self) -> int:
        """1 if higher is better, -1 if lower is: a gain is multiplied by it."""
        return 1 if self.higher_is_better else -1

    @property
    def directed(self) -> str:
        """Its name as people are shown it."""
        return directed(self.name, self.sign)

    def unit_on(self, task: Task) -> str:
        """Return what it is counted in on a task; "" for none.

        A unit that the task's card does not name is no other task's: values in it are never
        averaged with those of another task.
        """
        if not self.in_target_units:
            return self.unit
        return task.unit or f"unit of {task.name}"

    @property
    def bounds(self) -> tuple[float, float]:
        """Between what it lies once its sign makes higher better."""
        return (self.low, self.high) if self.higher_is_better else (-self.high, -self.low)


@dataclass(frozen=True)
class Pyramid:
    """The feature maps that a dense task's head is given: a list of (B, channels[i], S /
    strides[i], S / strides[i]), finest first.

    S, the side of the images, is a multiple of 32. Where a network has no map of a stride, its
    nearest one is resized.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...] = (4, 8, 16, 32)


@dataclass(frozen=True)
class Probe:
    """The places of a dense task's images that estimators score, as rows of features and labels.

    ``labels``: (M, ...), one each, of the kind that the card says (``probed_as``).
        ``image``: (M,) int, which image each is of, ascending. ``places``: (M, 2) float, (x, y)
        from 0 to 1 across the image, where its features are taken from the deepest map;
    None: the image's pooled features.
    """

    labels: np.ndarray
    image: np.ndarray
    places: np.ndarray | None = None


class TaskTypeMethods(ABC):
    """The contract of a task type: inherit from it; what is not abstract may be left as it is.

    ``outputs`` is the width of the head, e.g. the number of classes. *Predictions* are what a
    network says in evaluation mode, (N, ...) float of one shape for all images, which is all that
    is measured, kept and shown; in training a head may return whatever ``loss`` takes.
    """

    @abstractmethod
    def encode(self, given: Annotations) -> Encoded:
        """Targets as one array of one shape an image, and what was wrong with them.

        Raises DataError, naming the image, for what cannot be understood at all.
        """

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """The class names, where the data set does not say; () for types without classes. ``task``
        has the conventions.
        """
        return ()

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """The head's width, from the encoded training targets; raises DataError where there is
        nothing to learn.
        """
        return len(classes)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """(N,) int: the groups that subsets and splits keep balanced."""
        import numpy as np

        return np.zeros(len(targets), dtype=np.int64)

    @abstractmethod
    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """A fresh head: on (B, features); for a dense type on a pyramid's list of maps. In
        evaluation mode it gives predictions.
        """

    def init_head(self, head: nn.Module, targets: np.ndarray) -> None:  # noqa: B027
        """Tell a fresh head of the (N, ...) encoded targets that it is about to be trained on, such
        as of their mean and scale.

        What it keeps of them has to be in its state, as buffers, which is saved and loaded with its
        weights. Nothing by default; not called where the target counts as unlabelled.
        """

    @abstractmethod
    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """Return the loss of what the head returns in training, on a batch's encoded targets.

        It is the mean over the batch's images, or over what is annotated in them (pixels, points,
        boxes), so that it is no larger for a larger batch.
        """

    def chance(self, outputs: int) -> float:
        """The loss of guessing: what joint chains divide each task's loss by, so that none drowns
        the others.
        """
        return 1.0

    def constant(self, targets: np.ndarray, outputs: int) -> Tensor | None:
        """Return the best prediction for all images that looks at none, (...) float; None where
        there is no such thing.

        What it reaches on test is the floor that gains are scaled from: the largest class, the mean
        of the numbers.

        Args:
            targets: (N, ...) encoded training targets.
            outputs: The width of the head.
        """
        return None

    @abstractmethod
    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Every metric of the type on a whole split; predictions (N, ...) and targets (N, ...) on
        the CPU.
        """

    def tally(self, predictions: Tensor, targets: Tensor) -> Tensor | None:
        """(N, K) float64: of each image the numbers whose sums over images are all that the metrics
        come from; None where there are none.

        With it a bootstrap over images costs sums in place of measurements. Then
        ``tallied(tally(...).sum(0))`` is what ``measure`` says.
        """
        return None

    def tallied(self, sums: Tensor) -> Mapping[str, float]:
        """Every metric, from the (K,) sums of a tally."""
        raise NotImplementedError

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """Metric -> class -> value, for types whose classes have values of their own."""
        return {}

    def augmentation(self, mirror: bool) -> Transform | None:
        """Return what moves an image and its target together, for dense types; None for none.

        It is a torchvision.transforms.v2 transform of one image with its ``annotate``. Images come
        normalised, (3, S, S) float, so that 0 is the mean colour.
        """
        return None

    def annotate(self, target: Tensor) -> dict[str, Any]:
        """Return one image's encoded target as what torchvision.transforms.v2 moves: its
        tv_tensors, by name.
        """
        raise NotImplementedError

    def annotated(self, annotations: Mapping[str, Any], target: Tensor) -> Tensor:
        """The encoded target after its annotations were moved; ``target`` is what it was, and gives
        shape and type.
        """
        raise NotImplementedError

    def probe(self, targets: np.ndarray) -> Probe | None:
        """Return what estimators score of (N, ...) encoded targets, the same for every source; None
        where they take targets as they are.
        """
        return None

    def answer(self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]) -> Any:
        """Return one image's prediction as users of an adapted network want it
        (``hw.load_adapted(...).predict``), in the terms of the image that they gave, whose (width,
        height) is ``shape``.
        """
        return prediction

    @abstractmethod
    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """Return what a person looks at: panels (title, (H, W, 3) uint8) of one image (S, S, 3)
        uint8, such as truth and prediction.
        """


@dataclass(frozen=True, kw_only=True)
class TaskType(Card):
    """A kind of task. ``metrics`` lists what ``methods.measure`` returns; the first is the default.

    ``dense``: targets have places in the image. Then the head is given maps, not a vector; the
        whole image is squeezed into the square (for others the centre is cut out); augmentation
        moves the target with the image.
    ``labels``: what encoded targets are to estimators and solvers on features as they are; None
        where they are no labels of such a kind.
    ``probed_as``: what the labels are that ``methods.probe`` returns; None where there is no probe.
    ``softmax``: predictions are logits (N, C) of classes of which each image has one, so that their
        softmax are the classes' probabilities.
        ``conventions``: in how far data sets write such targets differently, as options of a task
        with their defaults (``void=11``): ``methods.encode`` finds them in the task.
    ``noun``: what people call its classes, in the plural (points, labels); ``singular``: one of
        them.
    """

    kind: ClassVar[Kind] = Kind.TASK_TYPE
    list_columns: ClassVar[tuple[str, ...]] = ("name", "metrics", "summary")
    usage: ClassVar[str] = '@hw.task(..., type="{name}")'

    methods: TaskTypeMethods
    metrics: tuple[Metric, ...]
    dense: bool = False
    labels: LabelKind | None = None
    probed_as: LabelKind | None = None
    softmax: bool = False
    conventions: Mapping[str, Value] = field(default_factory=dict, hash=False)
    noun: str = "classes"
    singular: str = "class"
    target_column: TargetColumn | None = field(default=None, repr=False)

    @property
    def scored_as(self) -> LabelKind | None:
        """What the labels are that estimators are given; None where they cannot score the type."""
        return self.probed_as or self.labels

    def counted(self, classes: Sequence[str]) -> str:
        """Return how many classes these are, in words: ``12 classes``, ``1 point``; "" for none."""
        if not classes:
            return ""
        return f"{len(classes):,} {self.singular if len(classes) == 1 else self.noun}"

    def metric(self, name: str) -> Metric:
        """The metric of that name, or the default for an empty name; raises KeyError."""
        return {metric.name: metric for metric in self.metrics}[name or self.metrics[0].name]


@names_bad_keywords
def task_type(
    name: str,
    *,
    metrics: Sequence[Metric],
    summary: str = "",
    dense: bool = False,
    labels: str = "",
    probed_as: str = "",
    softmax: bool = False,
    conventions: Mapping[str, Value] | None = None,
    noun: str = "classes",
    singular: str = "class",
    target_column: TargetColumn | None = None,
) -> Callable[[type[TaskTypeMethods]], TaskType]:
    """Register a task type: decorates the class that has its methods.

    Args:
        name: The name of the task type, as a task names it.
        metrics: What ``measure`` returns; the first is the default.
        summary: One line on what it is; by default the first line of the class's docstring.
        dense: True if targets have places in the image.
        labels: What encoded targets are to estimators and solvers on features: "classes",
            "numbers" or "flags" (``LabelKind``); by default none of these.
        probed_as: What the labels are that ``probe`` returns, in the same words.
        softmax: True if the softmax of predictions (N, C) are probabilities of the classes.
        conventions: The ways to write targets that data sets differ in, with their defaults.
        noun: What people call its classes, in the plural.
        singular: What people call one of them.
        target_column: How the column of targets looks in a data set; by default anything may be it.

    Raises:
        BadPlugin: An argument or a kind of labels does not exist, the class does not inherit from
            TaskTypeMethods, or it lacks one of its methods.
    """

    def kind_of(declared: str) -> LabelKind | None:
        return next(iter(label_kinds(declared, name)), None)

    def make(methods: type[TaskTypeMethods]) -> TaskType:
        if not issubclass(methods, TaskTypeMethods):
            raise BadPlugin(
                f"{name} does not inherit from TaskTypeMethods",
                subject=name,
                hint=f"class {methods.__name__}(hw.TaskTypeMethods):",
            )
        missing = sorted(methods.__abstractmethods__)
        if missing:
            raise BadPlugin(
                f"{name} lacks {', '.join(missing)}",
                subject=name,
                hint="See headwater's page on task types.",
            )
        return TaskType(
            name=name,
            summary=summary or summary_of(methods),
            code=code_of(methods, without=("picture",)),  # what is drawn decides no measurement
            methods=methods(),
            metrics=tuple(metrics),
            dense=dense,
            labels=kind_of(labels),
            probed_as=kind_of(probed_as),
            softmax=softmax,
            conventions=dict(conventions or {}),
            noun=noun,
            singular=singular,
            target_column=target_column,
        )

    return make
