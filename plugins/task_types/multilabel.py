"""Multilabel: any number of labels per image, or none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from headwater import (
    Annotations,
    DataError,
    Encoded,
    Metric,
    Pyramid,
    TargetColumn,
    Task,
    TaskTypeMethods,
    columns,
    task_type,
)
from headwater.plugins.task_types._checks import float_predictions, is_index, names_of_classes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

METRICS = (
    Metric("auroc", low=0, high=1),
    Metric("map", low=0, high=1),
    Metric("f1", low=0, high=1),
)


@task_type(
    "multilabel",
    metrics=METRICS,
    labels="flags",
    noun="labels",
    singular="label",
    target_column=TargetColumn(
        "a list of classes for each image",
        fits=lambda feature: columns.is_class(columns.inside(feature)),
        surely=lambda feature: columns.is_a(columns.inside(feature), "ClassLabel"),
        names=r"^labels$|^label$|^classes$|^categories$|^tags$|^attributes$|^targets?$|label",
        guess_order=5,
    ),
)
class multilabel(TaskTypeMethods):
    """Any number of labels per image.

    Targets as data sets write them: lists of class indices or names, or rows of zeros and ones.
    Encoded: flags (N, C) int64. Predictions: logits (N, C), one for each label by itself.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Return flags, (N, C) int64. An image without labels is one as good as any.

        Raises:
            DataError: an image's label is not a class, or it has no list of labels.
        """
        import numpy as np

        index = {name: position for position, name in enumerate(given.classes)}
        flags = np.zeros((len(given.targets), len(index)), dtype=np.int64)
        for row in range(len(flags)):
            flags[row, _encoded_labels(given, row, index)] = 1
        return Encoded(flags)

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """Return the names that occur, sorted.

        For whole numbers every class from 0 to the largest; for rows of flags the flags' places.
        """
        lists = [_labels(target) for target in targets]
        widths = {len(labels) for labels in lists if labels is not None}
        if len(widths) == 1:
            width = widths.pop()
            if all(_is_flags(target, width) for target in targets):
                return tuple(str(index) for index in range(width))
        return names_of_classes(label for labels in lists for label in labels or ())

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """Return the number of classes.

        A class that no training image has, or that all have, is allowed: nothing is learned of it,
        and metrics leave it out where it does not vary. Of many labels some are rare, and to leave
        them out of the data set would change all others' means.

        Raises:
            DataError: no label tells one training image from another.
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
        """Return each image's rarest label, C for images without one, so that small subsets hold
        what is rare.
        """
        import numpy as np

        counts = targets.sum(0)
        rarity = np.where(targets > 0, counts, counts.max(initial=0) + 1)
        return np.where(targets.any(1), rarity.argmin(1), targets.shape[1])

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Return a linear layer: (B, features) -> (B, outputs) logits."""
        from torch import nn

        assert isinstance(features, int), "the type is not dense"
        return nn.Linear(features, outputs)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the binary cross entropy of logits (B, C) against flags (B, C): the mean over
        both, in nats.
        """
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype))

    def chance(self, outputs: int) -> float:
        """Return the loss of giving every label an even chance: the share of images that have it is
        not known.
        """
        return math.log(2)

    def constant(self, targets: np.ndarray, outputs: int) -> Tensor:
        """Return the logits of the labels' shares of the images, (C,)."""
        import torch

        shares = torch.from_numpy(targets).double().mean(0)
        # A label that no image has, or every one, is not certain: as if half an image differed.
        least = 0.5 / len(targets)
        return shares.clamp(least, 1 - least).logit().float()

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Return mean area under the ROC curve, mean average precision and macro F1 of logits (N,
        C).

        AUROC of a label is the probability that an image with it is ranked above one without;
        average precision is Σ (R_k - R_(k-1)) P_k over the thresholds k, with precision P and
        recall R. Both are means over the labels that some images have and some have not; where
        there is none, they are what chance gives: 0.5, and the share of flags that are set. F1 of a
        label is 2 TP / (2 TP + FP + FN) at a probability of ½; the mean over the labels that some
        image has, 0 where there is none. Computed by torchmetrics.

        Raises:
            TrainingError: predictions are not numbers.
        """
        from torchmetrics.functional.classification import binary_f1_score

        predictions = float_predictions(predictions)
        areas, precisions = _ranking_metrics(predictions, targets)
        present = targets.bool().any(0).nonzero()[:, 0].tolist()
        f1 = [
            float(binary_f1_score((predictions[:, label] > 0).int(), targets[:, label]))
            for label in present
        ]
        flags_set = float(targets.float().mean())
        return {
            "auroc": _mean(areas.values(), otherwise=0.5),
            "map": _mean(precisions.values(), otherwise=flags_set),
            "f1": _mean(f1, otherwise=0.0),
        }

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """Return area under the ROC curve and average precision of each label that varies."""
        areas, precisions = _ranking_metrics(predictions, targets)
        return {
            "auroc": {classes[label]: value for label, value in areas.items()},
            "average_precision": {classes[label]: value for label, value in precisions.items()},
        }

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> list[str]:
        """Return the names of the labels that are more likely than not."""
        return [classes[label] for label in (prediction > 0).nonzero()[0].tolist()]

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """Return the image, under its labels and the predicted ones."""
        truth = ", ".join(self.answer(target, classes, (0, 0))) or "none"
        predicted = ", ".join(self.answer(prediction, classes, (0, 0))) or "none"
        return [(f"{truth}: {predicted}", image)]


def _mean(values: Iterable[float], *, otherwise: float) -> float:
    values = list(values)
    return sum(values) / len(values) if values else otherwise


def _ranking_metrics(logits: Tensor, targets: Tensor) -> tuple[dict[int, float], dict[int, float]]:
    """Return area under the ROC curve, and average precision, of each label that varies."""
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    flags = targets.bool()
    varying = (flags.any(0) & ~flags.all(0)).nonzero()[:, 0].tolist()
    areas, precisions = {}, {}
    for label in varying:
        # Only the order counts, and probabilities would lose it: float32's sigmoid is 1 from a logit of 17 on.
        ranks = logits[:, label].unique(return_inverse=True)[1].double() / len(logits)
        areas[label] = float(binary_auroc(ranks, targets[:, label]))
        precisions[label] = float(binary_average_precision(ranks, targets[:, label]))
    return areas, precisions


# -- labels as data sets write them ------------------------------------------------------------------


def _encoded_labels(given: Annotations, row: int, index: Mapping[str, int]) -> list[int]:
    """Return the indices of an image's labels."""
    target = given.targets[row]
    labels = _labels(target)
    if labels is None:
        missing = target is None or (isinstance(target, float) and math.isnan(target))
        problem = "has no list of labels"
        if not missing:
            problem = f"has {target!r}, which is no list of labels"
        _refuse(given, row, problem)
    if _is_flags(target, len(index)):
        return [place for place, flag in enumerate(labels) if flag]
    return [_label_index(given, row, label, index) for label in labels]


def _label_index(given: Annotations, row: int, label: Any, index: Mapping[str, int]) -> int:
    count = len(index)
    if is_index(label):
        if 0 <= int(label) < count:
            return int(label)
        _refuse(given, row, f"has label {int(label)}, but the {count} classes are 0 to {count - 1}")
    if str(label) not in index:
        _refuse(given, row, f"has label {label!r}, which is none of the {count} classes")
    return index[str(label)]


def _refuse(given: Annotations, row: int, problem: str) -> NoReturn:
    image = str(given.names[row] if given.names else f"image {row}")
    raise DataError(
        f"{image} {problem}",
        subject=image,
        hint="Mend the labels, leave the image out, or list the task's classes. "
        "An image without labels has an empty list.",
    )


def _labels(target: Any) -> Sequence[Any] | None:
    """Return what the target lists; None if it is no list."""
    if hasattr(target, "tolist"):
        target = target.tolist()
    if isinstance(target, Iterable) and not isinstance(target, str | bytes | Mapping):
        return list(target)
    return None


def _is_flags(target: Any, width: int) -> bool:
    """Return True if the target is a row of C zeros and ones, not a list of labels.

    Booleans and fractions (0.0) number no label, and a list of three or more of 0 and 1 would name
    one twice: these are flags. Of two whole numbers an array is flags, a list is labels. One whole
    number is a label.
    """
    labels = _labels(target)
    if not labels or len(labels) != width:
        return False
    if not all(isinstance(label, int | float) and label in (0, 1) for label in labels):
        return False
    if width > 2 or not any(is_index(label) for label in labels):
        return True
    return width == 2 and hasattr(target, "tolist")
