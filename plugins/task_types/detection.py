"""Detection: boxes around objects, a class each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from headwater import (
    Annotations,
    DataError,
    Encoded,
    Metric,
    Probe,
    Pyramid,
    TargetColumn,
    Task,
    TaskTypeMethods,
    columns,
    task_type,
)
from headwater.plugins.task_types._checks import check_finite, check_unit, names_of_classes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from torchvision.transforms.v2 import Transform

    from headwater.plugins.task_types._average_precision import Curves

METRICS = tuple(Metric(name, low=0, high=1) for name in ("map", "ap50", "ap75", "ar100"))
CHANCE = 2.5
"""A fresh head's loss of a positive location, whatever the classes: 1.1 of the focal loss (¼ ·
0.99² · ln 100), 0.7 of the centre-ness (ln 2), and about 0.7 of the GIoU loss.
"""
MIN_DRAWN_SCORE = 0.5
"""Least score of the detections in a picture."""
DEFAULT_FORMAT = "xywh"
"""How boxes are written, where a task does not say."""


@task_type(
    "detection",
    metrics=METRICS,
    dense=True,
    probed_as="classes",
    conventions={"boxes": DEFAULT_FORMAT},
    target_column=TargetColumn(
        "objects with bbox and category",
        fits=columns.is_objects,
        surely=columns.is_objects,
        names="objects|annotation|instances|boxes|.",
        guess_order=1,
    ),
)
class detection(TaskTypeMethods):
    """Boxes around objects, a class each.

    Metrics are COCO's, over the classes that occur; images may be without boxes. Encoded targets:
    (N, K, 5) float32: x1, y1, x2, y2 as shares of the side and the class, class -1 where there is
    no further box. Predictions: (N, 100, 6): x1, y1, x2, y2, score, class, best first, score 0 and
    class -1 where there is no further detection.
    """

    def encode(self, given: Annotations) -> Encoded:
        """Return the boxes of ``{"bbox": [[x, y, w, h], ...], "category": [index or name, ...]}``,
        (n, K, 5).

        Raises:
            DataError: no box is of a known class, or shares of the image's sides are read as
                pixels, or the other way round.
        """
        import numpy as np

        from headwater.plugins.task_types._boxes import BoxFormat

        written = given.task.conventions.get("boxes", DEFAULT_FORMAT)
        box_format = BoxFormat.parse(written, given.classes)
        images = [
            box_format.read(target, partial(given.shape, row))
            for row, target in enumerate(given.targets)
        ]
        _check_categories(given, box_format.classes)
        check_unit(
            [image.written for image in images],
            given.task,
            shares=box_format.shares,
            noun="boxes",
            otherwise=f"boxes={box_format.in_other_unit}",
        )
        flaws = [
            replace(flaw, name=given.names[row])
            for row, image in enumerate(images)
            for flaw in image.flaws
        ]
        rows = [row for row, image in enumerate(images) if not image.left_out]
        most_boxes = max((len(image.encoded) for image in images), default=0)
        targets = np.zeros((len(rows), max(1, most_boxes), 5), np.float32)
        targets[..., 4] = -1
        for target, row in zip(targets, rows, strict=True):
            target[: len(images[row].encoded)] = images[row].encoded
        if len(rows) == len(images):
            return Encoded(targets, None, tuple(flaws))
        return Encoded(targets, np.array(rows, dtype=np.int64), tuple(flaws))

    def classes(self, targets: Sequence[Any], task: Task) -> tuple[str, ...]:
        """Return the names that occur, sorted; for whole numbers every class from 0 to the largest."""
        return names_of_classes(_categories(targets))

    def outputs(self, targets: np.ndarray, classes: Sequence[str]) -> int:
        """Return the number of classes; a class without a box in training is allowed, as lists of
        classes often have some.

        Raises:
            DataError: no training image has a box.
        """
        if not (targets[..., 4] >= 0).any():
            raise DataError(
                "no training image has a box; detection needs some",
                hint="Are the boxes in another column?",
            )
        return len(classes)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Return, of each image, its class that the fewest images have, so that small subsets hold
        all classes.

        Images without boxes are a stratum of their own.
        """
        import numpy as np

        width = int(targets[..., 4].max(initial=0)) + 1
        has = (targets[..., 4, None] == np.arange(width)).any(1)
        images = np.where(has, has.sum(0), len(targets) + 1)
        return np.where(has.any(1), images.argmin(1), width).astype(np.int64)

    def head(self, features: int | Pyramid, outputs: int) -> nn.Module:
        """Return FCOS on a feature pyramid."""
        from headwater.plugins.task_types._fcos import Detector

        assert isinstance(features, Pyramid), "the type is dense"
        return Detector(features, outputs)

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """Return FCOS's loss (see ``_fcos``) of ``LocationOutputs`` against boxes (B, K, 5)."""
        from headwater.plugins.task_types._fcos import fcos_loss

        return fcos_loss(outputs, targets)

    def chance(self, outputs: int) -> float:
        """Return a fresh head's loss."""
        return CHANCE

    def measure(self, predictions: Tensor, targets: Tensor) -> Mapping[str, float]:
        """Return COCO's average precision and recall (see ``_average_precision``) of detections (N,
        M, 6).

        map: AP, a mean over classes and over overlaps of 0.50 to 0.95; ap50 and ap75: at one
            overlap; ar100: recall of at most 100 detections an image and class, a mean over classes
            and overlaps. NaN where no image has a box.

        Raises:
            TrainingError: detections are not numbers.
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
        """Return AP, AP at an overlap of 0.5, and the share of boxes found at 0.5, of each class
        that occurs.
        """
        curves = _curves(predictions, targets)
        occurs = [index for index in range(curves.recall.shape[1]) if curves.recall[0, index] > -1]
        ap = curves.precision.mean(1)
        return {
            "ap": {classes[index]: float(ap[:, index].mean()) for index in occurs},
            "ap50": {classes[index]: float(ap[0, index]) for index in occurs},
            "recall50": {classes[index]: float(curves.recall[0, index]) for index in occurs},
        }

    def augmentation(self, mirror: bool) -> Transform | None:
        """Return shift, zoom and, if ``mirror``, mirroring; a box of which less than 30 % of its
        area is left goes.
        """
        from headwater.plugins.task_types._augmentation import move_boxes

        return move_boxes(mirror)

    def annotate(self, target: Tensor) -> dict[str, Any]:
        """Return boxes (K, 5) as tv_tensors on a canvas of side 1, and their labels."""
        from headwater.plugins.task_types._augmentation import box_annotations

        return box_annotations(target)

    def annotated(self, annotations: Mapping[str, Any], target: Tensor) -> Tensor:
        """Return the moved boxes, encoded; those that left the image are not among them."""
        from headwater.plugins.task_types._augmentation import box_target

        return box_target(annotations, target)

    def probe(self, targets: np.ndarray) -> Probe:
        """Return the boxes' centres with their classes, and places in no box as one more class."""
        from headwater.plugins.task_types._boxes import probe_boxes

        return probe_boxes(targets)

    def answer(
        self, prediction: np.ndarray, classes: Sequence[str], shape: tuple[int, int]
    ) -> dict[str, list[Any]]:
        """Return boxes in pixels as targets have them, best first.

        ``{"bbox": [[x, y, w, h], ...], "category": [name, ...], "score": [...]}``.
        """
        import numpy as np

        detections = prediction[prediction[:, 5] >= 0].astype(np.float64)
        corners = detections[:, :4] * (*shape, *shape)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return {
            "bbox": boxes.tolist(),
            "category": [classes[int(label)] for label in detections[:, 5]],
            "score": detections[:, 4].tolist(),
        }

    def picture(
        self, image: np.ndarray, target: np.ndarray, prediction: np.ndarray, classes: Sequence[str]
    ) -> list[tuple[str, np.ndarray]]:
        """Return the image with its boxes, and with those detected with a score of 0.5 or more."""
        from headwater.plugins.task_types._drawing import draw_boxes

        truth = target[target[:, 4] >= 0]
        sure = prediction[prediction[:, 4] >= MIN_DRAWN_SCORE]
        true_boxes, true_labels = truth[:, :4], truth[:, 4]
        boxes, scores, labels = sure[:, :4], sure[:, 4], sure[:, 5]
        title = f"predicted, score ≥ {MIN_DRAWN_SCORE}: {_class_counts(labels, classes)}"
        return [
            (
                f"boxes: {_class_counts(true_labels, classes)}",
                draw_boxes(image, true_boxes, true_labels, classes=classes),
            ),
            (title, draw_boxes(image, boxes, labels, classes=classes, scores=scores)),
        ]


def _curves(predictions: Tensor, targets: Tensor) -> Curves:
    from headwater.plugins.task_types._average_precision import curves_of

    check_finite(predictions)
    return curves_of(predictions.numpy(), targets.numpy())


def _categories(targets: Sequence[Any]) -> list[Any]:
    """Return the category of every box that has one; None and NaN are none."""
    from headwater.plugins.task_types._boxes import fields_of

    categories = []
    for target in targets:
        fields = fields_of(target)
        if fields is not None:
            categories += [value for value in fields[1] if value is not None and value == value]
    return categories


def _check_categories(given: Annotations, index: Mapping[str, int]) -> None:
    """Raise DataError if no box is of a known class: then the classes are wrong, not the boxes."""
    from headwater.plugins.task_types._boxes import class_index

    categories = _categories(given.targets)
    if not categories or any(class_index(category, index) >= 0 for category in categories):
        return
    hint = "List the task's classes."
    if given.classes:
        hint = f"The task's classes: {', '.join(given.classes[:8])}."
    raise DataError(
        f"{given.task.name}: no box is of a known category, such as {categories[0]!r}",
        subject=given.task.name,
        hint=hint,
    )


def _class_counts(labels: np.ndarray, classes: Sequence[str]) -> str:
    """Return how many there are of each class, such as ``12 RBC, 1 WBC``."""
    counts = {name: int((labels == index).sum()) for index, name in enumerate(classes)}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
