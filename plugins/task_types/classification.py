"""Classification: one class per image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    Metric("accuracy", low=0, high=1, is_accuracy=True),
    Metric("balanced_accuracy", low=0, high=1),
    Metric("f1", low=0, high=1),
    Metric("auroc", low=0, high=1),
    Metric("log_loss", higher_is_better=False, low=0),
)
_LOG_TINY = -87.3
"""Logarithm of the smallest normal float32."""


@task_type(
    "classification",
    metrics=METRICS,
    labels="classes",
    softmax=True,
    target_column=TargetColumn(
        "one class for each image",
        fits=columns.is_class,
        surely=lambda feature: columns.is_a(feature, "ClassLabel"),
        names="^label$|^labels$|^target$|^class$|^fine_label$|^category$",
        ask_between=True,  # a ClassLabel says what it is, and of two the user must say which
        guess_order=6,
    ),
)
class classification(TaskTypeMethods):
    """One class per image.

    Targets as data sets write them: class indices or names. Encoded: indices (N,) int64.
    Predictions: logits (N, C). Metrics are over the classes that occur in the split.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Return class indices, (N,) int64; raise DataError naming the image whose label is not a
        class.
        """
        import numpy as np

        index = {name: position for position, name in enumerate(given.classes)}
        labels = (_encoded_label(given, row, index) for row in range(len(given.targets)))
        return Encoded(np.fromiter(labels, dtype=np.int64, count=len(given.targets)))

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """Return the names that occur, sorted; for whole numbers every class from 0 to the largest."""
        return names_of_classes(target for target in targets if target is not None)

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """Return the number of classes.

        Raises:
            DataError: there are fewer than two classes, or one has no training image.
        """
        if len(classes) < 2:
            present = f"only the class {classes[0]}" if classes else "no class"
            raise DataError(
                f"it has {present}; classification needs two or more",
                hint="Add images of another class.",
            )
        empty = sorted(set(range(len(classes))) - set(targets.tolist()))
        if empty:
            names = ", ".join(str(classes[index]) for index in empty[:5])
            raise DataError(
                f"no training image of {names}",
                hint="Add images of that class, or leave the class out of the data set.",
            )
        return len(classes)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Return each image's class."""
        return targets

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Return a linear layer: (B, features) -> (B, outputs) logits."""
        from torch import nn

        assert isinstance(features, int), "the type is not dense"
        return nn.Linear(features, outputs)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy of logits (B, C) against indices (B,): the mean over images, in
        nats.
        """
        from torch.nn.functional import cross_entropy

        return cross_entropy(outputs, targets)

    def chance(self, outputs: int) -> float:
        """Return the loss of equal probabilities: log C."""
        return math.log(outputs)

    def constant(self, targets: np.ndarray, outputs: int) -> Tensor:
        """Return the logarithms of the classes' shares, (C,): the largest class is predicted."""
        import torch

        counts = torch.from_numpy(targets).bincount(minlength=outputs)
        shares = counts / counts.sum()
        # A class without an image is ruled out, yet at a finite cost.
        return shares.log().clamp(min=_LOG_TINY)

    def measure(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Return accuracy, balanced accuracy, macro F1, macro one-vs-rest AUROC and log loss of
        logits (N, C).

        With n_c images of class c in the split, of which h_c are predicted as c, and m_c images
        predicted as c: accuracy is Σ h_c / N, balanced accuracy the mean of the recalls h_c / n_c,
        F1 the mean of 2 h_c / (n_c + m_c), all means over the classes that occur in ``targets``:
        one without an image has no recall. AUROC of a class is the probability that an image of it
        has a higher probability of it than another image; 0.5, chance, where only one class occurs.
        Log loss is the cross entropy in nats; a class ruled out with a score of -inf costs the log
        loss of the smallest float32. Computed by torchmetrics.

        Raises:
            TrainingError: outputs are not numbers.
        """
        outputs = outputs.float()
        log_probabilities = float_predictions(outputs.log_softmax(1))
        predicted, present = outputs.argmax(1), targets.unique()
        of_truth = log_probabilities.gather(1, targets[:, None]).clamp(min=_LOG_TINY)
        return {
            "accuracy": float((predicted == targets).float().mean()),
            **_macro_means(predicted, targets, present, classes=outputs.shape[1]),
            "auroc": _macro_auroc(log_probabilities.exp(), targets, present),
            "log_loss": -float(of_truth.mean()),
        }

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """Return the recall of each class that occurs."""
        from torchmetrics.functional.classification import multiclass_recall

        count = predictions.shape[1]
        recall = multiclass_recall(
            predictions.argmax(1), targets, num_classes=count, average="none"
        )
        present = targets.unique().tolist()
        return {"recall": {classes[index]: float(recall[index]) for index in present}}

    def answer(self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]) -> str:
        """Return the name of the likeliest class."""
        return classes[int(prediction.argmax())]

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """Return the image, under its class and the predicted one."""
        return [(f"{classes[int(target)]}: {classes[int(prediction.argmax())]}", image)]


def _encoded_label(given: Annotations, row: int, index: Mapping[str, int]) -> int:
    label = given.targets[row]
    if is_index(label):
        if 0 <= int(label) < len(index):
            return int(label)
        problem = f"has label {int(label)}, but the {len(index)} classes are 0 to {len(index) - 1}"
    elif label is None or (isinstance(label, float) and math.isnan(label)):
        problem = "has no label"
    elif str(label) in index:
        return index[str(label)]
    else:
        problem = f"has label {label!r}, which is none of the {len(index)} classes"
    image = str(given.names[row] if given.names else f"image {row}")
    raise DataError(
        f"{image} {problem}",
        subject=image,
        hint="Mend the label, leave the image out, or list the task's classes.",
    )


def _macro_means(
    predicted: Tensor, targets: Tensor, present: Tensor, *, classes: int
) -> dict[str, float]:
    """Return balanced accuracy and macro F1, means over the classes present."""
    from torchmetrics.functional.classification import multiclass_f1_score, multiclass_recall

    recall = multiclass_recall(predicted, targets, num_classes=classes, average="none")
    f1 = multiclass_f1_score(predicted, targets, num_classes=classes, average="none")
    return {"balanced_accuracy": float(recall[present].mean()), "f1": float(f1[present].mean())}


def _macro_auroc(probabilities: Tensor, targets: Tensor, present: Tensor) -> float:
    """Return the mean over the classes present of the area under each one's ROC curve against all
    others.
    """
    from torchmetrics.functional.classification import binary_auroc

    if len(present) < 2:
        return 0.5
    areas = [
        binary_auroc(probabilities[:, label], (targets == label).long())
        for label in present.tolist()
    ]
    return float(sum(areas) / len(present))
