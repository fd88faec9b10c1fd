"""Multilabel: any number of labels per image, or none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, NoReturn

from headwater import (
    Annotations,
    DataError,
    Encoded,
    Metric,
    Pyramid,
    Task,
    TaskTypeMethods,
    task_type,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

METRICS = (
    Metric("auroc", low=0, high=1),
    Metric("map", low=0, high=1),
    Metric("f1", low=0, high=1),
)


@task_type("multilabel", metrics=METRICS, noun="labels")
class multilabel(TaskTypeMethods):
    """Any number of labels per image. Targets are lists of class indices or names, or rows of zeros and ones; the loss is binary."""

    def encode(self, given: Annotations) -> Encoded:
        """Flags, (N, C) int64. An image without labels is one as good as any.

        Raises DataError naming the image whose label is no class, or that has no list of labels.
        """
        import numpy as np

        index = {name: position for position, name in enumerate(given.classes)}
        flags = np.zeros((len(given.targets), len(index)), dtype=np.int64)
        for row in range(len(flags)):
            flags[row, _encode(given, row, index)] = 1
        return Encoded(flags)

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """The names that occur, sorted; for whole numbers every class from 0 to the largest; for rows of flags their places."""
        lists = [_labels(target) for target in targets]
        widths = {len(labels) for labels in lists if labels is not None}
        if len(widths) == 1 and all(_is_flags(target, *widths) for target in targets):
            return tuple(str(index) for index in range(*widths))
        present = {label for labels in lists for label in labels or ()}
        if all(_is_index(label) for label in present):
            return tuple(
                str(index)
                for index in range(max((int(label) for label in present), default=-1) + 1)
            )
        return tuple(sorted(str(label) for label in present))

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """One per class; raises DataError where no label tells one training image from another.

        A class that no training image has, or that all have, is allowed: nothing is learned of it, and metrics leave it out where
        it does not vary. Of many labels some are rare, and to leave them out of the data set would change all others' means.
        """
        if not len(classes):
            raise DataError(
                "it has no class", hint="List the task's classes, or label some images."
            )
        if not (targets.any(0) & ~targets.all(0)).any():
            raise DataError(
                "every training image has the same labels", hint="Add images with others."
            )
        return len(classes)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """An image's rarest label; C for images without one. Small subsets then hold what is rare."""
        import numpy as np

        counts = targets.sum(0)
        rarity = np.where(targets > 0, counts, counts.max(initial=0) + 1)
        return np.where(targets.any(1), rarity.argmin(1), targets.shape[1])

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """A linear layer: (B, features) -> (B, outputs) logits, one for each label by itself."""
        from torch import nn

        assert isinstance(features, int), "the type is not dense"
        return nn.Linear(features, outputs)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Binary cross entropy of logits (B, C) against flags (B, C): the mean over labels and images."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype))

    def chance(self, outputs: int) -> float:
        """That of giving every label an even chance; the share of images that have it is not known beforehand."""
        return math.log(2)

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Mean area under the ROC curve, mean average precision, and macro F1 at a probability of ½, of logits (N, C).

        The first two are means over the labels that some images have and some have not; where there is none, they are what chance
        gives: 0.5, and the share of flags that are set. F1 is the mean over the labels that some image has, 0 where there is none.
        Raises TrainingError for predictions that are not numbers.
        """
        from torchmetrics.functional.classification import binary_f1_score

        from headwater.plugins.task_types._numbers import numbers

        predictions = numbers(predictions)
        areas, precisions = _curves(predictions, targets)
        present = targets.bool().any(0).nonzero()[:, 0].tolist()
        f1 = [
            float(binary_f1_score((predictions[:, label] > 0).int(), targets[:, label]))
            for label in present
        ]
        return {
            "auroc": sum(areas.values()) / len(areas) if areas else 0.5,
            "map": sum(precisions.values()) / len(precisions)
            if precisions
            else float(targets.float().mean()),
            "f1": sum(f1) / len(f1) if f1 else 0.0,
        }

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """Area under the ROC curve and average precision of each label that some images have and some have not."""
        named = (
            {classes[label]: value for label, value in found.items()}
            for found in _curves(predictions, targets)
        )
        return dict(zip(("auroc", "average_precision"), named, strict=True))

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> list[str]:
        """Names of the labels that are more likely than not."""
        return [classes[label] for label in (prediction > 0).nonzero()[0].tolist()]

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """The image, under its labels and those predicted."""
        said = (self.answer(scores, classes, (0, 0)) for scores in (target, prediction))
        truth, predicted = (", ".join(labels) or "none" for labels in said)
        return [(f"{truth}: {predicted}", image)]


def _curves(logits: Tensor, targets: Tensor) -> tuple[dict[int, float], dict[int, float]]:
    """Area under the ROC curve, and average precision, of each label that varies."""
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    flags = targets.bool()
    varying = (flags.any(0) & ~flags.all(0)).nonzero()[:, 0].tolist()
    # Only the order counts, and probabilities would lose it: float32's sigmoid is 1 from a logit of 17 on.
    ranks = {
        label: logits[:, label].unique(return_inverse=True)[1].double() / len(logits)
        for label in varying
    }
    areas = {label: float(binary_auroc(rank, targets[:, label])) for label, rank in ranks.items()}
    return areas, {
        label: float(binary_average_precision(rank, targets[:, label]))
        for label, rank in ranks.items()
    }


# -- labels in -------------------------------------------------------------------------------------------


def _encode(given: Annotations, row: int, index: Mapping[str, int]) -> list[int]:
    """Places of an image's labels."""
    target = given.targets[row]
    if (labels := _labels(target)) is None:
        _refuse(
            given,
            row,
            "has no list of labels"
            if target is None or _is_nan(target)
            else f"has {target!r}, which is no list of labels",
        )
    if _is_flags(target, len(index)):
        return [place for place, flag in enumerate(labels) if flag]
    return [_place(given, row, label, index) for label in labels]


def _place(given: Annotations, row: int, label: Any, index: Mapping[str, int]) -> int:
    if _is_index(label):
        if 0 <= int(label) < len(index):
            return int(label)
        _refuse(
            given,
            row,
            f"has label {int(label)}, but the {len(index)} classes are 0 to {len(index) - 1}",
        )
    if str(label) not in index:
        _refuse(given, row, f"has label {label!r}, which is none of the {len(index)} classes")
    return index[str(label)]


def _refuse(given: Annotations, row: int, problem: str) -> NoReturn:
    image = str(given.names[row] if given.names else f"image {row}")
    hint = "Mend the labels, leave the image out, or list the task's classes. An image without labels has an empty list."
    raise DataError(f"{image} {problem}", subject=image, hint=hint)


def _labels(target: Any) -> Sequence[Any] | None:
    """What is listed; None where the target is no list."""
    if hasattr(target, "tolist"):
        target = target.tolist()
    return (
        list(target)
        if isinstance(target, Iterable) and not isinstance(target, str | bytes | Mapping)
        else None
    )


def _is_flags(target: Any, width: int) -> bool:
    """Whether it is a row of C zeros and ones, not a list of labels.

    Booleans and fractions (0.0) number no label, and a list of three or more of 0 and 1 would name one twice: these are flags. Of two
    whole numbers an array is flags, a list is labels. One whole number is a label.
    """
    labels = _labels(target)
    if (
        not labels
        or len(labels) != width
        or not all(isinstance(label, int | float) and label in (0, 1) for label in labels)
    ):
        return False
    return (
        width > 2
        or not any(_is_index(label) for label in labels)
        or (width == 2 and hasattr(target, "tolist"))
    )


def _is_index(label: Any) -> bool:
    return isinstance(label, Integral) and not isinstance(label, bool)


def _is_nan(target: Any) -> bool:
    return isinstance(target, float) and math.isnan(target)
