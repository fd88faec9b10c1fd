"""Classification: one class per image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from headwater import (
    Annotations,
    DataError,
    Encoded,
    Metric,
    Pyramid,
    Task,
    TaskTypeMethods,
    TrainingError,
    task_type,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

METRICS = (
    Metric("accuracy", low=0, high=1, is_accuracy=True),
    Metric("balanced_accuracy", low=0, high=1),
    Metric("f1", low=0, high=1),
    Metric("auroc", low=0, high=1),
    Metric("log_loss", higher_is_better=False, low=0),
)


_LOG_TINY = -87.3
"""Logarithm of the smallest normal float32."""


@task_type("classification", metrics=METRICS)
class classification(TaskTypeMethods):
    """One class per image. Targets are class indices or class names; metrics are over the classes that occur."""

    def encode(self, given: Annotations) -> Encoded:
        """Class indices, (N,) int64; raises DataError naming the image whose label is not a class."""
        import numpy as np

        index, targets = (
            {name: position for position, name in enumerate(given.classes)},
            given.targets,
        )
        labels = (_encode(targets, row, index, given.names) for row in range(len(targets)))
        return Encoded(np.fromiter(labels, dtype=np.int64, count=len(targets)))

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """The names that occur, sorted; for whole numbers every class from 0 to the largest."""
        present = {target for target in targets if target is not None}
        if all(_is_index(target) for target in present):
            return tuple(
                str(index)
                for index in range(max((int(target) for target in present), default=-1) + 1)
            )
        return tuple(sorted(str(target) for target in present))

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """One per class; raises DataError where there is nothing to tell apart, or a class that no training image has."""
        if len(classes) < 2:
            named = f"only the class {classes[0]}" if classes else "no class"
            raise DataError(
                f"it has {named}; classification needs two or more",
                hint="Add images of another class.",
            )
        if empty := sorted(set(range(len(classes))) - set(targets.tolist())):
            named = ", ".join(str(classes[index]) for index in empty[:5])
            hint = "Add images of that class, or leave the class out of the data set."
            raise DataError(f"no training image of {named}", hint=hint)
        return len(classes)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        return targets

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """A linear layer: (B, features) -> (B, outputs) logits."""
        from torch import nn

        assert isinstance(features, int), "the type is not dense"
        return nn.Linear(features, outputs)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy of logits (B, C) against indices (B,)."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets)

    def chance(self, outputs: int) -> float:
        return math.log(outputs)

    def measure(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Accuracy, balanced accuracy, macro F1, macro one-vs-rest AUROC and log loss of logits (N, C).

        The macro averages are over the classes that occur in ``targets``: one without an image has no recall.
        AUROC is 0.5, chance, where only one class occurs. A class ruled out with a score of -inf costs the log
        loss of the smallest float32. Raises TrainingError for outputs that are not numbers.
        """
        outputs = outputs.float()
        log_probabilities = outputs.log_softmax(1)
        if bool(log_probabilities.isnan().any()):
            raise TrainingError(
                "the network's outputs are not numbers",
                hint="Lower the learning rate, or turn mixed precision off.",
            )
        predicted, present = outputs.argmax(1), targets.unique()
        return {
            "accuracy": float((predicted == targets).float().mean()),
            **_macro(predicted, targets, present, outputs.shape[1]),
            "auroc": _auroc(log_probabilities.exp(), targets, present),
            "log_loss": -float(
                log_probabilities.gather(1, targets[:, None]).clamp(min=_LOG_TINY).mean()
            ),
        }

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """The recall of each class that occurs."""
        from torchmetrics.functional.classification import multiclass_recall

        recall = multiclass_recall(
            predictions.argmax(1), targets, num_classes=predictions.shape[1], average="none"
        )
        return {
            "recall": {classes[index]: float(recall[index]) for index in targets.unique().tolist()}
        }

    def answer(self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]) -> str:
        """The class's name."""
        return classes[int(prediction.argmax())]

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """The image, under its class and the one predicted."""
        return [(f"{classes[int(target)]}: {classes[int(prediction.argmax())]}", image)]


def _encode(
    targets: Sequence[Any], row: int, index: Mapping[str, int], names: Sequence[str]
) -> int:
    target = targets[row]
    if _is_index(target):
        if 0 <= int(target) < len(index):
            return int(target)
        problem = f"has label {int(target)}, but the {len(index)} classes are 0 to {len(index) - 1}"
    elif target is None or (isinstance(target, float) and math.isnan(target)):
        problem = "has no label"
    elif str(target) in index:
        return index[str(target)]
    else:
        problem = f"has label {target!r}, which is none of the {len(index)} classes"
    image = names[row] if names else f"image {row}"
    raise DataError(
        f"{image} {problem}",
        subject=str(image),
        hint="Mend the label, leave the image out, or list the task's classes.",
    )


def _is_index(target: Any) -> bool:
    return isinstance(target, Integral) and not isinstance(target, bool)


def _macro(predicted: Tensor, targets: Tensor, present: Tensor, outputs: int) -> dict[str, float]:
    from torchmetrics.functional.classification import multiclass_f1_score, multiclass_recall

    recall = multiclass_recall(predicted, targets, num_classes=outputs, average="none")
    f1 = multiclass_f1_score(predicted, targets, num_classes=outputs, average="none")
    return {"balanced_accuracy": float(recall[present].mean()), "f1": float(f1[present].mean())}


def _auroc(probabilities: Tensor, targets: Tensor, present: Tensor) -> float:
    from torchmetrics.functional.classification import binary_auroc

    if len(present) < 2:
        return 0.5
    return float(
        sum(binary_auroc(probabilities[:, c], (targets == c).long()) for c in present.tolist())
        / len(present)
    )
