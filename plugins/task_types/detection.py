"""Detection: boxes around objects, a class each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from headwater import (
    Annotations,
    DataError,
    Encoded,
    Flaw,
    Metric,
    Probe,
    Pyramid,
    Task,
    TaskTypeMethods,
    TrainingError,
    task_type,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torchvision.transforms.v2 import Transform

    from headwater.plugins.task_types._average_precision import Curves

METRICS = tuple(Metric(name, low=0, high=1) for name in ("map", "ap50", "ap75", "ar100"))
CHANCE = 2.5
"""A fresh head's loss of a positive location, whatever the classes: 1.1 of the focal loss (¼ · 0.99² · ln 100), 0.7 of the centre-ness
(ln 2), and about 0.7 of the GIoU loss."""
SHOWN = 0.5
"""Least score of the detections in a picture."""
WRITTEN = "xywh"
"""How boxes are written, where a task does not say."""


@task_type(
    "detection",
    metrics=METRICS,
    dense=True,
    probed_as="classification",
    conventions={"boxes": WRITTEN},
)
class detection(TaskTypeMethods):
    """Boxes around objects, a class each. Metrics are COCO's, over the classes that occur; images may be without boxes.

    Encoded targets: (N, K, 5) float32, x1, y1, x2, y2 as shares of the side and the class, class -1 where there is no further box.
    Predictions: (N, 100, 6), x1, y1, x2, y2, score, class, best first, score 0 and class -1 where there is no further one.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Boxes of ``{"bbox": [[x, y, w, h], ...], "category": [index or name, ...]}``.

        Raises DataError where no class is known, and for shares of the image's sides read as pixels, or the other way round.
        """
        import numpy as np

        from headwater.plugins.task_types._boxes import writing_of
        from headwater.plugins.task_types._shares import refuse_misread

        writing = writing_of(given.task.conventions.get("boxes", WRITTEN), given.classes)
        read = [
            writing.read(target, partial(given.shape, row))
            for row, target in enumerate(given.targets)
        ]
        _refuse_strangers(given, writing.classes)
        refuse_misread(
            [one.written for one in read],
            writing.shares,
            given.task,
            "boxes",
            f"boxes={writing.other}",
        )
        flaws = [
            Flaw(given.names[row], what, handled)
            for row, one in enumerate(read)
            for what, handled in one.flaws
        ]
        rows = np.array([row for row, one in enumerate(read) if not one.left_out], dtype=np.int64)
        most = max((len(one.boxes) for one in read), default=0)
        targets = np.zeros((len(rows), max(1, most), 5), np.float32)
        targets[..., 4] = -1
        for target, row in zip(targets, rows, strict=True):
            target[: len(read[row].boxes)] = read[row].boxes
        return Encoded(targets, rows if len(rows) < len(read) else None, tuple(flaws))

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """The names that occur, sorted; for whole numbers every class from 0 to the largest."""
        from headwater.plugins.task_types._boxes import is_index

        present = _categories(targets)
        if all(is_index(category) for category in present):
            return tuple(
                str(index)
                for index in range(max((int(category) for category in present), default=-1) + 1)
            )
        return tuple(sorted({str(category) for category in present}))

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """One per class; a class without a box in training is allowed, as lists of classes often have some."""
        if not (targets[..., 4] >= 0).any():
            raise DataError(
                "no training image has a box; detection needs some",
                hint="Are the boxes in another column?",
            )
        return len(classes)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Of each image its class that the fewest images have, so that small subsets hold all; those without boxes by themselves."""
        import numpy as np

        width = int(targets[..., 4].max(initial=0)) + 1
        has = (targets[..., 4, None] == np.arange(width)).any(1)
        images = np.where(has, has.sum(0), len(targets) + 1)
        return np.where(has.any(1), images.argmin(1), width).astype(np.int64)

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """torchvision's FCOS on a feature pyramid."""
        from headwater.plugins.task_types._fcos import Detector

        assert isinstance(features, Pyramid), "the type is dense"
        return Detector(features, outputs)

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """FCOS's, a mean over the batch's positive locations."""
        from headwater.plugins.task_types._fcos import fcos_loss

        return fcos_loss(outputs, targets)

    def chance(self, outputs: int) -> float:
        return CHANCE

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """COCO's mean average precision (overlaps of 0.50 to 0.95), at 0.50, at 0.75, and average recall of 100 detections.

        NaN where no image has a box. Raises TrainingError for detections that are not numbers.
        """
        curves = _curves(predictions, targets)
        return {
            "map": curves.average(),
            "ap50": curves.average(0),
            "ap75": curves.average(5),
            "ar100": curves.average_recall(),
        }

    def by_class(
        self, predictions: Tensor, targets: Tensor, classes: Sequence[str]
    ) -> Mapping[str, Mapping[str, float]]:
        """AP, AP at an overlap of 0.5, and the share of boxes found at 0.5, of each class that occurs."""
        curves = _curves(predictions, targets)
        occurs = [index for index in range(curves.recall.shape[1]) if curves.recall[0, index] > -1]
        ap = curves.precision.mean(1)
        return {
            "ap": {classes[index]: float(ap[:, index].mean()) for index in occurs},
            "ap50": {classes[index]: float(ap[0, index]) for index in occurs},
            "recall50": {classes[index]: float(curves.recall[0, index]) for index in occurs},
        }

    def augmentation(self, mirror: bool) -> Transform | None:
        """Shift, zoom, and mirroring where allowed; a box of which less than 30 % of its area is left goes."""
        from headwater.plugins.task_types._boxes_moved import moving

        return moving(mirror)

    def annotate(self, target: Tensor) -> dict[str, Any]:
        from headwater.plugins.task_types._boxes_moved import as_annotations

        return as_annotations(target)

    def annotated(self, annotations: Mapping[str, Any], target: Tensor) -> Tensor:
        from headwater.plugins.task_types._boxes_moved import as_target

        return as_target(annotations, target)

    def probe(self, targets: np.ndarray) -> Probe:
        """The boxes' centres with their classes, and places in no box as one more class."""
        from headwater.plugins.task_types._boxes_probed import probe_of

        return probe_of(targets)

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> dict[str, list[Any]]:
        """Boxes in pixels as targets have them, ``{"bbox": [[x, y, w, h], ...], "category": [name, ...], "score": [...]}``, best first."""
        import numpy as np

        found = prediction[prediction[:, 5] >= 0].astype(np.float64)
        corners = found[:, :4] * (*shape, *shape)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return {
            "bbox": boxes.tolist(),
            "category": [classes[int(label)] for label in found[:, 5]],
            "score": found[:, 4].tolist(),
        }

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """The image with its boxes, and with those predicted."""
        from headwater.plugins.task_types._boxes_drawn import drawn

        sure = prediction[prediction[:, 4] >= SHOWN]
        truth = target[target[:, 4] >= 0]
        return [
            (
                "boxes: " + _named(truth[:, 4], classes),
                drawn(image, truth[:, :4], truth[:, 4], classes),
            ),
            (
                f"predicted, score ≥ {SHOWN}: " + _named(sure[:, 5], classes),
                drawn(image, sure[:, :4], sure[:, 5], classes, sure[:, 4]),
            ),
        ]


def _curves(predictions: Tensor, targets: Tensor) -> Curves:
    from headwater.plugins.task_types._average_precision import curves_of

    if not bool(predictions.isfinite().all()):
        raise TrainingError(
            "the network's detections are not numbers",
            hint="Lower the learning rate, or turn mixed precision off.",
        )
    return curves_of(predictions.numpy(), targets.numpy())


def _categories(targets: Sequence[Any]) -> list[Any]:
    """Every category that is given, those that are none (None, NaN) left out."""
    from headwater.plugins.task_types._boxes import fields_of

    found = (fields_of(target) for target in targets)
    given = (category for one in found if one is not None for category in one[1])
    return [category for category in given if category is not None and category == category]


def _refuse_strangers(given: Annotations, index: Mapping[str, int]) -> None:
    """Where no box is of a known class, the classes are wrong, not the boxes. Raises DataError."""
    from headwater.plugins.task_types._boxes import class_of

    told = _categories(given.targets)
    if told and all(class_of(category, index) < 0 for category in told):
        hint = (
            f"The task's classes: {', '.join(given.classes[:8])}."
            if given.classes
            else "List the task's classes."
        )
        raise DataError(
            f"{given.task.name}: no box is of a known category, such as {told[0]!r}",
            subject=given.task.name,
            hint=hint,
        )


def _named(labels: np.ndarray, classes: Sequence[str]) -> str:
    """How many of each class, e.g. ``12 RBC, 1 WBC``."""
    counts = {name: int((labels == index).sum()) for index, name in enumerate(classes)}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
